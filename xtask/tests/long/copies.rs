//! A reset that keeps a database, and what undoes it; killed wherever the server makes, marks or renames one.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::project::{Answer, Project, claim, stop};
use crate::server::{Database, Server, fingerprint};

const ROWS: &str = r#"insert into "Session" (id, shop, state, "accessToken") select i::text, 's', 's', 't' from generate_series(1, 500) i;
    insert into "DecisionLog" (scope, actor, action) select 's', 'a', i::text from generate_series(1, 700) i"#;

/// On a server of its own: what keeps a run waiting keeps every run of the server.
pub fn staging(name: &str) -> (Project, Database, Server) {
    let (project, server) = (Project::new(), Server::start());
    let database = server.database(name);
    project.write(".env.staging", &format!("DATABASE_URL={}\n", database.url()));
    let toml = project.read("drill.toml");
    project.write("drill.toml", &format!("{toml}\n[snapshots]\nkeep_as = \"database\"\n"));
    project.run(&["forward"]).expect(0);
    claim(&project, &database);
    database.execute(ROWS);
    (project, database, server)
}

pub fn copies(server: &Server, database: &Database) -> Vec<String> {
    // By its mark; before it has one, by its name, which ends as the target's.
    let sql = "select datname::text from pg_database where datname like 'drill_copy_%'
                  and (datname like $1 or shobj_description(oid, 'pg_database') like $2) order by oid";
    let (ends, marked) = (format!("%{}", database.name), format!("%\"of\":\"{}\"%", database.name));
    server.superuser("postgres").query(sql, &[&ends, &marked]).unwrap().iter().map(|row| row.get(0)).collect()
}

fn oid(database: &Database) -> u32 {
    database.one("select oid from pg_database where datname = current_database()")
}

pub fn notes(answer: &Answer) -> String {
    answer.json()["notes"].to_string()
}

/// The statement that makes a copy.
pub const BEGINS: &str = "^create database \"drill_copy";

/// The copy is there, and has no mark.
pub const MADE: [&str; 3] =
    [BEGINS, "lock table pg_catalog.pg_shdescription in share mode", "comment on database \"drill_copy"];

/// Held, it keeps the copy from being begun.
pub fn waits(database: &Database) -> String {
    format!("comment on database {} is 'wait'", database.name)
}

/// Runs `args` until the server has it at `before`, then holds `gate` and waits until that keeps it waiting at `statement`: the run, and who holds it up.
pub fn hold_at(
    server: &Server,
    project: &Project,
    args: &[&str],
    [before, gate, statement]: [&str; 3],
) -> (Child, postgres::Client) {
    let (mut holder, mut watcher) = (server.superuser("postgres"), server.superuser("postgres"));
    holder.batch_execute("begin").unwrap();
    if before.is_empty() {
        holder.batch_execute(gate).unwrap();
    }
    let mut child = project.start(args);
    let mut until = |condition: &str, statement: &str| {
        let sql = format!(
            "select count(*) from pg_stat_activity where {condition} and query ~* $1 and pid <> pg_backend_pid()"
        );
        let begun = Instant::now();
        while watcher.query_one(&sql, &[&statement]).unwrap().get::<_, i64>(0) == 0 {
            if child.try_wait().unwrap().is_some() || begun.elapsed() > Duration::from_secs(60) {
                panic!("{args:?} never came to {statement}");
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    if !before.is_empty() {
        until("state = 'active'", before);
        holder.batch_execute(gate).unwrap();
    }
    until("wait_event_type = 'Lock'", statement);
    (child, holder)
}

/// As `hold_at`, kills it there, and lets the server go on.
pub fn kill_at(server: &Server, project: &Project, args: &[&str], gate: [&str; 3]) {
    let (child, mut holder) = hold_at(server, project, args, gate);
    assert_eq!(stop(child, Signal::KILL).code, -1);
    holder.batch_execute("rollback").unwrap();
    let left = "select count(*) from pg_stat_activity where application_name = 'staging drill'";
    let begun = Instant::now();
    while holder.query_one(left, &[]).unwrap().get::<_, i64>(0) > 0 {
        assert!(begun.elapsed() < Duration::from_secs(60), "the server never came to an end");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_reset_is_undone_by_a_rename_and_that_by_the_next_restore() {
    let (project, database, _server) = staging("copies_reset");
    let (rows, before) = (fingerprint(&database), oid(&database));
    project.run(&["reset", "--confirm"]).expect(0);
    let empty = fingerprint(&database);
    assert_ne!(empty, rows);
    let answer = project.run(&["restore", "--confirm", "--json"]).expect(0);
    assert!(notes(&answer).contains("is the newest snapshot now"), "{}", notes(&answer));
    assert_eq!(fingerprint(&database), rows);
    assert_ne!(oid(&database), before);
    project.run(&["status"]).expect(0);
    let list = project.run(&["restore", "--list", "--json"]).expect(0).json()["snapshots"].clone();
    project.run(&["restore", list[0]["name"].as_str().unwrap(), "--confirm"]).expect(0);
    assert_eq!((fingerprint(&database), oid(&database)), (empty, before));
    project.run(&["forward"]).expect(0);
    // A newer history: the copy's schema is the older one, so its rows go back one table after the other.
    project.migration("20270101000000_more", "create table more (n int); insert into more values (1)");
    project.run(&["forward"]).expect(0);
    let answer = project.run(&["restore", "--confirm", "--json"]).expect(0);
    assert!(notes(&answer).contains("the schema is not the copy's"), "{}", notes(&answer));
    database.execute("drop table more");
    assert_eq!((fingerprint(&database), oid(&database)), (rows, before));
}

#[test]
fn a_kill_while_the_server_makes_a_copy_loses_nothing_and_leaves_nothing() {
    let (project, database, server) = staging("copies_killed_making");
    let rows = fingerprint(&database);
    let before = waits(&database);
    for gate in [["", before.as_str(), BEGINS], MADE] {
        kill_at(&server, &project, &["reset", "--confirm"], gate);
        assert_eq!(fingerprint(&database), rows);
        assert_eq!(copies(&server, &database).len(), 1, "what was sent is done");
    }
    project.run(&["reset", "--confirm"]).expect(0);
    assert_eq!(copies(&server, &database).len(), 1);
    project.run(&["restore", "--confirm"]).expect(0);
    assert_eq!((fingerprint(&database), copies(&server, &database).len()), (rows, 1));
}

#[test]
fn a_kill_around_the_renaming_leaves_a_target_and_the_next_restore_ends_it() {
    let (project, database, server) = staging("copies_killed_renaming");
    let rows = fingerprint(&database);
    project.run(&["reset", "--confirm"]).expect(0);
    let (empty, before) = (fingerprint(&database), oid(&database));
    let copy = copies(&server, &database).swap_remove(0);
    let of = |name: &str| format!("alter database {name} connection limit 77");
    let gates = [
        ["", "lock table pg_catalog.pg_database in share mode", "^create database \"drill_replay"],
        ["", "lock table pg_catalog.pg_shdescription in share mode", "comment on database %I"],
        ["", &of(&database.name), "alter database .* rename to"],
        ["", &of(&copy), "alter database .* rename to"],
    ];
    let mut admin = server.superuser("postgres");
    admin.batch_execute("revoke connect on database postgres from public").unwrap();
    for (number, gate) in gates.into_iter().enumerate() {
        if number == 2 {
            admin.batch_execute("grant connect on database postgres to public").unwrap();
        }
        kill_at(&server, &project, &["restore", "--confirm"], gate);
        assert_eq!((fingerprint(&database), oid(&database)), (empty.clone(), before), "{gate:?}");
        assert_eq!(copies(&server, &database), [copy.as_str()], "{gate:?}");
    }
    // Right after it.
    let mut child = project.start(&["restore", "--confirm"]);
    let mut watcher = server.superuser("postgres");
    let now = "select oid from pg_database where datname = $1";
    while watcher.query_one(now, &[&database.name]).unwrap().get::<_, u32>(0) == before {
        assert!(child.try_wait().unwrap().is_none(), "it ended before");
    }
    stop(child, Signal::KILL);
    assert_eq!(fingerprint(&database), rows);
    assert_ne!(oid(&database), before);
    // What had the name is a snapshot of its own, and no other.
    let old = copies(&server, &database);
    assert_eq!(old.len(), 1);
    project.run(&["restore", "--plan"]);
    let list = project.run(&["restore", "--list", "--json"]).expect(0).json()["snapshots"].clone();
    let whole: Vec<_> = list.as_array().unwrap().iter().filter(|one| one["state"] == "whole").collect();
    assert_eq!(whole.len(), 1, "{list}");
    assert_eq!(whole[0]["database"]["name"], old[0].as_str());
    project.run(&["status"]).expect(0);
    project.run(&["restore", whole[0]["name"].as_str().unwrap(), "--confirm"]).expect(0);
    assert_eq!((fingerprint(&database), oid(&database)), (empty, before));
    project.run(&["restore", "--confirm"]).expect(0);
    assert_eq!(fingerprint(&database), rows);
}

/// What a database has that is not in it.
fn dressing(server: &Server, database: &Database) -> String {
    let sql = format!(
        "select concat_ws(E'\\n', pg_get_userbyid(datdba), datconnlimit, shobj_description(d.oid, 'pg_database'),
                (select string_agg(a::text, ' ' order by a::text) from aclexplode(coalesce(datacl, acldefault('d', datdba))) a),
                (select string_agg(concat(setrole, setconfig), ' ' order by setrole) from pg_db_role_setting where setdatabase = d.oid))
           from pg_database d where datname = '{}'",
        database.name
    );
    server.superuser("postgres").query_one(&sql, &[]).unwrap().get(0)
}

/// Keeps the state before as `reset` does, and stops there: an engine that cannot start keeps Prisma from dropping anything.
fn snapshot(project: &Project) {
    let dead = project.path("dead-engine");
    fs::write(&dead, "#!/bin/sh\nexit 1\n").unwrap();
    fs::set_permissions(&dead, fs::Permissions::from_mode(0o755)).unwrap();
    let output = project.command(&["reset", "--confirm"]).env("PRISMA_SCHEMA_ENGINE_BINARY", &dead).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("the database is as it was before"), "{said}");
}

fn list(project: &Project) -> Value {
    project.run(&["restore", "--list", "--json"]).expect(0).json()["snapshots"].clone()
}

fn newest_record(project: &Project) -> String {
    let runs = fs::read_dir(project.path("feedback/evidence")).unwrap().flatten();
    let newest = runs.map(|run| run.path()).filter(|run| run.join("run.json").exists()).max_by_key(|run| modified(run));
    fs::read_to_string(newest.unwrap().join("run.json")).unwrap()
}

fn modified(path: &Path) -> std::time::SystemTime {
    fs::metadata(path.join("run.json")).unwrap().modified().unwrap()
}

#[test]
fn what_came_since_outside_of_the_snapshot_stays_and_the_rows_go_back_table_by_table() {
    let (project, database, _server) = staging("copies_since");
    database.execute("create schema other; create table other.kept (n int); insert into other.kept values (1)");
    snapshot(&project);
    database.execute("delete from \"Session\"; insert into other.kept values (2)");
    let before = oid(&database);
    let answer = project.run(&["restore", "--confirm", "--json"]).expect(0);
    assert!(notes(&answer).contains("`other.kept`, which is not of the snapshot"), "{}", notes(&answer));
    assert_eq!(database.one::<i64>("select count(*) from \"Session\""), 500);
    assert_eq!((oid(&database), database.one::<i64>("select sum(n) from other.kept")), (before, 3));
    // Somebody is in the database.
    database.execute("delete from other.kept where n = 2; delete from \"Session\"");
    let guest = database.connect();
    let answer = project.run(&["restore", "--confirm", "--json"]).expect(0);
    assert!(notes(&answer).contains("client backend of"), "{}", notes(&answer));
    assert_eq!((oid(&database), database.one::<i64>("select count(*) from \"Session\"")), (before, 500));
    drop(guest);
    database.execute("select lo_create(0); delete from \"Session\"");
    let answer = project.run(&["restore", "--confirm", "--json"]).expect(0);
    assert!(notes(&answer).contains("large objects"), "{}", notes(&answer));
}

#[test]
fn where_the_server_makes_no_copy_files_are_written_and_a_line_says_why() {
    let (project, database, server) = staging("copies_files");
    let notes_of_reset = |project: &Project| {
        snapshot(project);
        newest_record(project)
    };
    let guest = database.connect();
    let said = notes_of_reset(&project);
    assert!(
        said.contains("not as a database of the same server: somebody else is in the database: client backend of"),
        "{said}"
    );
    drop(guest);
    let mut admin = server.superuser("postgres");
    admin.batch_execute(&format!("alter role {} nocreatedb", database.user)).unwrap();
    let said = notes_of_reset(&project);
    assert!(said.contains("may not create databases"), "{said}");
    admin.batch_execute(&format!("alter role {} createdb", database.user)).unwrap();
    assert_eq!(copies(&server, &database), [""; 0]);
    assert_eq!(list(&project)[0]["kind"], "files");
    database.execute("delete from \"Session\"");
    let answer = project.run(&["restore", "--confirm", "--json"]).expect(0);
    assert_eq!(database.one::<i64>("select count(*) from \"Session\""), 500, "{}", notes(&answer));
}

#[test]
fn a_long_name_and_an_owner_that_is_another_role_are_no_obstacle_and_another_target_is_left_alone() {
    let (project, other, server) = staging("copies_other");
    snapshot(&project);
    let others = copies(&server, &other);
    let owner = "copies_landlord";
    let name = format!("{}_test", "l".repeat(55));
    let database = other.named(name.clone());
    let mut admin = server.superuser("postgres");
    admin.batch_execute(&format!("create database {name} owner {}", database.user)).unwrap();
    project.write(".env.staging", &format!("DATABASE_URL={}\n", database.url()));
    database.execute("create table \"t\" (\"row\" int, t json); insert into t values (1, '{}'), (2, null)");
    project.migration("20260101000000_t", "create table \"t\" (\"row\" int, t json)");
    for folder in fs::read_dir(project.path("prisma/postgres/migrations")).unwrap().flatten().map(|entry| entry.path())
    {
        if folder.is_dir() && !folder.ends_with("20260101000000_t") {
            database.execute(&fs::read_to_string(folder.join("migration.sql")).unwrap());
        }
    }
    claim(&project, &database);
    admin
        .batch_execute(&format!(
            "create role {owner}; grant {owner} to {}; alter database {name} owner to {owner}",
            database.user
        ))
        .unwrap();
    let (rows, dressed) = (fingerprint(&database), dressing(&server, &database));
    snapshot(&project);
    let copy = copies(&server, &database);
    assert!(copy.len() == 1 && copy[0].len() == 63 && copy[0].ends_with("lll_test"), "{copy:?}");
    database.execute("truncate t");
    let answer = project.run(&["restore", "--confirm", "--json"]).expect(0);
    assert!(notes(&answer).contains("is the newest snapshot now"), "{}", notes(&answer));
    assert_eq!((fingerprint(&database), dressing(&server, &database)), (rows, dressed));
    assert_eq!(copies(&server, &other), others);
    // A copy whose record is gone is told, and stays.
    snapshot(&project);
    let lost = copies(&server, &database).pop().unwrap();
    for folder in
        fs::read_dir(project.path(".drill/snapshots/staging")).unwrap().flatten().filter(|entry| entry.path().is_dir())
    {
        fs::remove_dir_all(folder.path()).unwrap();
    }
    snapshot(&project);
    assert!(newest_record(&project).contains(&format!("the database `{lost}` is a copy of this one too")));
    assert!(copies(&server, &database).contains(&lost));
}

/// The claim of a sandbox is its user's own: what takes its database's place is claimed by whoever puts it there.
#[test]
fn in_a_sandbox_too_a_reset_is_undone_by_a_name() {
    let project = Project::new();
    let toml = project.read("drill.toml");
    project.write("drill.toml", &format!("{toml}\n[snapshots]\nkeep_as = \"database\"\n"));
    let run = |args: &[&str]| project.run(&[&["--sandbox", "--json"], args].concat()).expect(0).json();
    run(&["forward"]);
    run(&["sandbox", "seed", "--rows", "50"]);
    let before = run(&["forward"])["counts"]["after"].clone();
    run(&["reset", "--confirm"]);
    let restored = run(&["restore", "--confirm"]);
    let steps = restored["stages"][0]["steps"].as_array().unwrap();
    let said = steps.iter().find(|step| step["name"] == "put back").unwrap()["detail"].as_str().unwrap();
    assert!(said.ends_with("has the target's name now, in one transaction"), "{said}: {}", restored["notes"]);
    // It is claimed, as it was, and what destroys goes on.
    assert_eq!(run(&["forward"])["counts"]["after"], before);
    run(&["backward", "--accept-data-loss"]);
}

/// Somebody enters between the plan, which says that the rows of now are kept, and the renaming: then they are not taken either.
#[test]
fn what_the_plan_said_is_kept_is_not_lost_when_the_copy_cannot_take_the_name() {
    let (project, database, server) = staging("copies_refused");
    database.execute(r#"insert into "DecisionLog" (scope, actor, action) select 's', 'a', i::text from generate_series(1, 400000) i"#);
    project.run(&["reset", "--confirm"]).expect(0);
    database.execute(r#"insert into "Session" (id, shop, state, "accessToken") values ('new', 's', 's', 't')"#);
    let rows = fingerprint(&database);
    let child = project.start(&["restore", "--confirm"]);
    let begun = Instant::now();
    // The record of a run is there once its plan is made; counting the copy takes longer than to enter.
    let has_begun = || project.files().iter().any(|file| file.to_string_lossy().contains("-restore-"));
    while !has_begun() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it never began");
        std::thread::sleep(Duration::from_millis(2));
    }
    let stranger = server.superuser(&database.name);
    let answer = Project::answered(child).expect(4);
    drop(stranger);
    let told =
        ["could not take the target's name", "1 rows of `public.Session` that are there now", "nothing was changed"];
    assert!(told.iter().all(|told| answer.stderr.contains(told)), "{}", answer.stderr);
    assert_eq!(fingerprint(&database), rows);
    // Nobody is in the way now.
    project.run(&["restore", "--confirm"]).expect(0);
    assert_eq!(database.one::<i64>(r#"select count(*) from "Session""#), 500);
}

/// A DBA's claim stays the DBA's: the plan says so before, and what is lost with it.
#[test]
fn where_the_claim_is_another_roles_the_plan_says_what_the_slower_way_takes() {
    let (project, database, server) = staging("copies_claimed");
    let dba = "alter schema staging_drill owner to postgres; alter table staging_drill.claim owner to postgres";
    server.superuser(&database.name).batch_execute(dba).unwrap();
    let before = fingerprint(&database);
    project.run(&["reset", "--confirm"]).expect(0);
    database.execute(r#"insert into "Session" (id, shop, state, "accessToken") values ('new', 's', 's', 't')"#);
    let plan = project.run(&["restore", "--plan", "--json"]).expect(0);
    let losses = plan.json()["plan"]["losses"].to_string();
    assert!(losses.contains("1 rows of `public.Session` that are there now"), "{losses}");
    let answer = project.run(&["restore", "--confirm"]).expect(0);
    assert!(answer.stderr.contains("this role may not write its claim anew"), "{}", answer.stderr);
    assert_eq!(fingerprint(&database), before);
}
