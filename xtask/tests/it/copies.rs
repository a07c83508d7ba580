//! A snapshot as a database of the same server: what `reset` keeps there comes back whole, and where it cannot be kept there, files are.

use std::fs;

use serde_json::Value;

use crate::made_history::with_history;
use crate::project::{Answer, Project};
use crate::restore::{claimed, snapshot};
use crate::server::{self, Database, fingerprint};

const FIVE_SESSIONS: &str = r#"insert into "Session" (id, shop, state, "accessToken") select i::text, 's', 's', 't' from generate_series(1, 5) i"#;

/// As `claimed`, where the state before is kept as a database.
fn kept_as_database(name: &str) -> (Project, Database) {
    let (project, database) = claimed(name);
    let toml = project.read("drill.toml");
    project.write("drill.toml", &format!("{toml}\n[snapshots]\nkeep_as = \"database\"\n"));
    database.execute(FIVE_SESSIONS);
    (project, database)
}

/// The databases of the server that are copies of this one.
fn copies(database: &Database) -> Vec<String> {
    let of = format!("%\"of\":\"{}\"%", database.name);
    let found = server::shared().superuser("postgres").query(
        "select datname::text from pg_database where datname like 'drill_copy_%' and shobj_description(oid, 'pg_database') like $1 order by oid",
        &[&of],
    );
    found.unwrap().iter().map(|row| row.get(0)).collect()
}

fn list(project: &Project) -> Value {
    project.run(&["restore", "--list", "--json"]).expect(0).json()["snapshots"].clone()
}

fn notes(answer: &Answer) -> String {
    answer.json()["notes"].to_string()
}

/// What `status` says of copies, without names and sizes; `doctor` says the same.
fn rows_of_copies(project: &Project) -> String {
    let said = ["status", "doctor"].map(|command| {
        let answer = project.run(&[command, "--json"]).json();
        let rows = answer["checks"].as_array().unwrap().iter().filter(|row| row["name"] == "copies");
        let text = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
        let lines: Vec<_> = rows.map(|row| format!("{}: {}", text(row, "status"), text(row, "message"))).collect();
        let vary = regex::Regex::new(r"[0-9.]+ MB|drill_copy_\w+|_\d+_test").unwrap();
        vary.replace_all(&lines.join("\n"), |found: &regex::Captures<'_>| match found[0].ends_with("MB") {
            true => "N MB",
            false => "NAME",
        })
        .into_owned()
    });
    assert_eq!(said[0], said[1]);
    said[0].clone()
}

#[test]
fn a_copy_that_nobody_would_put_back_is_seen() {
    let (project, database) = kept_as_database("copies_seen");
    assert_eq!(rows_of_copies(&project), "");
    snapshot(&project);
    fs::remove_dir_all(project.path(".drill/snapshots")).unwrap();
    // Of a database that is gone: one of this role's, and one of another's, which is not its business.
    let mark = r#"staging drill: copy of a database {"id":"ID","of":"NAME_that_is_gone","of_oid":1,"claimed_at":null}"#;
    let (name, owner) = (&database.name, &database.user);
    let mut server = server::shared().superuser("postgres");
    for (left, owner) in [(format!("{name}_left"), owner.as_str()), (format!("{name}_others"), "postgres")] {
        server.batch_execute(&format!("create database {left} owner {owner}")).unwrap();
        server.batch_execute(&format!("comment on database {left} is '{}'", mark.replace("NAME", name))).unwrap();
    }
    insta::assert_snapshot!(rows_of_copies(&project), @"
    warn: `NAME` (N MB) is a copy of this one, of another checkout or without its record
    warn: `copies_seenNAME_left` (N MB) is a copy of `copies_seenNAME_that_is_gone`, which is gone
    ");
    // What nobody can read here.
    fs::write(project.path(".drill/snapshots"), "").unwrap();
    insta::assert_snapshot!(rows_of_copies(&project), @"skipped: cannot read the snapshots in `.drill/snapshots/staging`");
    for left in ["left", "others"] {
        server.batch_execute(&format!("drop database {name}_{left}")).unwrap();
    }
}

#[test]
fn a_copy_puts_rows_back_table_by_table_where_the_schema_has_changed() {
    let (project, database) = kept_as_database("copies_rows");
    database.execute(
        "create table parts (n int, j json) partition by range (n); create table one partition of parts for values from (0) to (50);
         create table rest partition of parts default; insert into parts select n, '{\"a\": 1}' from generate_series(1, 99) n;
         create unlogged table quick (n int primary key, \"row\" text); insert into quick values (1, E'tab\\t');
         create table \"odd \"\"one\" (id int generated always as identity, twice int generated always as (7) stored); insert into \"odd \"\"one\" default values",
    );
    let rows = fingerprint(&database);
    let name = snapshot(&project);
    let found = copies(&database);
    assert_eq!(found.len(), 1);
    let listed = &list(&project)[0];
    assert_eq!(
        (&listed["kind"], &listed["database"]["name"]),
        (&Value::from("database"), &Value::from(found[0].clone()))
    );
    let files: Vec<_> =
        fs::read_dir(project.path(&format!(".drill/snapshots/staging/{name}"))).unwrap().flatten().collect();
    assert_eq!(files.len(), 1, "{files:?}");
    assert_eq!(rows_of_copies(&project), "ok: 1 earlier state, N MB in all, for `restore --list`");
    // Only its owner gets in.
    let public = format!("select has_database_privilege('public', '{}', 'connect')", found[0]);
    assert!(!server::shared().superuser("postgres").query_one(&public, &[]).unwrap().get::<_, bool>(0));

    database.execute("delete from \"Session\" where id > '2'; truncate parts; update quick set n = 9; alter table quick add later int default 4");
    let answer = project.run(&["restore", "--confirm", "--json"]).expect(0);
    database.execute("alter table quick drop later");
    assert_eq!(fingerprint(&database), rows);
    assert_eq!(copies(&database), found, "it can be put back again");
    project.assert_no_secret(&[&answer]);
}

/// What a database has that is not in it.
fn dressing(database: &Database) -> String {
    let sql = format!(
        "select concat_ws(E'\\n', pg_get_userbyid(datdba), datconnlimit, shobj_description(d.oid, 'pg_database'),
                (select string_agg(a::text, ' ' order by a::text) from aclexplode(coalesce(datacl, acldefault('d', datdba))) a),
                (select string_agg(concat(setrole, setconfig), ' ' order by setrole) from pg_db_role_setting where setdatabase = d.oid))
           from pg_database d where datname = '{}'",
        database.name
    );
    server::shared().superuser("postgres").query_one(&sql, &[]).unwrap().get(0)
}

fn oid(database: &Database) -> u32 {
    database.one("select oid from pg_database where datname = current_database()")
}

#[test]
fn a_copy_takes_the_targets_name_with_all_that_belongs_to_it_and_the_next_restore_takes_it_back() {
    let (project, database) = kept_as_database("copies_rename");
    let (name, owner) = (&database.name, &database.user);
    let dress = format!(
        r#"create schema other authorization {owner}; revoke connect on database {name} from public; grant connect on database {name} to pg_monitor;
           alter database {name} connection limit 50; comment on database {name} is 'ours, isn''t it';
           alter database {name} set search_path = "$user", public; alter role {owner} in database {name} set work_mem = '5MB'"#
    );
    server::shared().superuser(name).batch_execute(&dress).unwrap();
    database.execute("create table other.kept (n int); insert into other.kept values (7)");
    let (rows, dressed, before) = (fingerprint(&database), dressing(&database), oid(&database));
    let claim = "select claimed_by || note || (table_oid = tableoid) from only staging_drill.claim c";
    let claimed_by: String = database.one(claim);
    snapshot(&project);
    database.execute("truncate \"Session\"");
    let (empty, kept) = (fingerprint(&database), copies(&database));
    assert_ne!(empty, rows);
    let plan = project.run(&["restore", "--plan"]).expect(0).stdout;
    assert!(plan.contains("give the copy the database's name"), "{plan}");

    let answer = project.run(&["restore", "--confirm", "--json"]).expect(0);
    assert!(notes(&answer).contains("is the newest snapshot now"), "{}", notes(&answer));
    assert_eq!((fingerprint(&database), dressing(&database)), (rows.clone(), dressed.clone()));
    assert_ne!(oid(&database), before);
    assert_eq!(database.one::<String>(claim), claimed_by);
    assert_ne!(copies(&database), kept);
    assert_eq!((copies(&database).len(), list(&project).as_array().unwrap().len()), (1, 1));
    let status = project.run(&["status"]).stdout;
    assert!(status.contains("is claimed as disposable"), "{status}");

    // The newest is what was there before the restore: it is named, since it holds less.
    let newest = list(&project)[0]["name"].as_str().unwrap().to_owned();
    project.run(&["restore", &newest, "--confirm"]).expect(0);
    assert_eq!((fingerprint(&database), dressing(&database), oid(&database)), (empty, dressed.clone(), before));
    project.run(&["restore", "--confirm"]).expect(0);
    assert_eq!((fingerprint(&database), dressing(&database)), (rows, dressed));
    project.assert_no_secret(&[&answer]);
}

#[test]
fn a_copy_that_was_written_to_or_is_not_ours_is_never_put_back() {
    let (project, database) = kept_as_database("copies_doubt");
    snapshot(&project);
    let copy = copies(&database).swap_remove(0);
    let of_copy = database.named(copy.clone());
    database.execute("delete from \"Session\"");
    of_copy.execute("update \"Session\" set shop = 'other' where id = '3'");
    let answer = project.run(&["restore", "--confirm"]).expect(5);
    assert!(answer.stderr.contains("`public.Session` of"), "{}", answer.stderr);
    assert_eq!(database.one::<i64>("select count(*) from \"Session\""), 0);
    of_copy.execute("update \"Session\" set shop = 's' where id = '3'");
    database.execute(&format!("comment on database {copy} is 'hands off'"));
    let answer = project.run(&["restore", "--confirm"]).expect(3);
    assert!(answer.stderr.contains("it has no mark of the drill"), "{}", answer.stderr);
    database.execute(&format!("drop database {copy}"));
    let answer = project.run(&["restore", "--confirm"]).expect(4);
    assert!(answer.stderr.contains("is gone"), "{}", answer.stderr);
    assert_eq!(database.one::<i64>("select count(*) from \"Session\""), 0);
}

#[test]
fn backward_keeps_a_database_too_and_one_restore_brings_it_back_with_its_schema() {
    let newest = ("2_c", "alter table \"or der\" add column c text", "alter table \"or der\" drop column c");
    let history = [("1_t", "create table \"or der\" (id int primary key, keep text)", ""), newest];
    let (project, database) = with_history("copies_backward", &history);
    let toml = project.read("drill.toml");
    project.write("drill.toml", &format!("{toml}\n[snapshots]\nkeep_as = \"database\"\n"));
    database.execute("insert into \"or der\" select i, 'k', i from generate_series(1, 5) i");
    let answer = project.run(&["backward", "--accept-data-loss", "--json"]).expect(0);
    let kept = &answer.json()["snapshot"];
    assert_eq!(
        (&kept["database"]["name"], &kept["rows"]),
        (&Value::from(copies(&database)[0].clone()), &Value::from(5))
    );
    let before = fingerprint(&database);
    database.execute("delete from \"or der\" where id > 2");
    // The rows alone, into the older schema.
    let restored = project.run(&["restore", "--confirm", "--skip-missing", "--json"]).expect(0);
    let told = notes(&restored);
    assert!(told.contains("the schema is not the copy's") && told.contains("column `c`"), "{told}");
    assert_eq!(fingerprint(&database), before);
    let plan = project.run(&["restore", "--plan"]).expect(0).stdout;
    let summary = plan.split("\n\n").next().unwrap().replace(kept["name"].as_str().unwrap(), "NAME");
    let vary = regex::Regex::new(r"taken [0-9-]+ [0-9:]+ UTC").unwrap();
    insta::assert_snapshot!(vary.replace_all(&summary, "taken THEN"), @"
    restore on staging: put back 5 rows of 1 tables from `NAME` (taken THEN by backward).
    No snapshot holds more rows than there are now; it is the newest with rows.
    The schema goes back with the rows, since the one that is there has no place for all of them (column `c` of `public.or der`, which is not there). Objects that come back: 1, that go: 0; other changes: 0. With `--skip-missing` the schema stays as it is.
    Applied again will be `2_c`.
    The database as it is now (1 rows of `public._prisma_migrations`, 5 rows of `public.or der`) is kept as the newest snapshot.
    ");
    let whole = project.run(&["restore", "--confirm", "--json"]).expect(0);
    assert_eq!(database.one::<i64>("select sum(c::int) from \"or der\""), 15);
    assert_eq!(crate::made_history::applied(&database), ["1_t", "2_c"]);
    project.assert_no_secret(&[&answer, &restored, &whole]);
}
