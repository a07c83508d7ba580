//! `parity` against a real server: what it counts, what it calls a difference and where, and each reason for which it does not count.

use serde_json::Value;

use crate::project::{Answer, DRILL_TOML, Project};
use crate::server::{self, Database, workspace};

/// A staging database with the tables as their own migrations and script make them, without the CLIs that would take seconds to run them.
fn with_tables(name: &str) -> (Project, Database) {
    let (project, database) = Project::on_staging(name);
    let mut migrations: Vec<_> = std::fs::read_dir(workspace().join("prisma/postgres/migrations"))
        .unwrap()
        .map(|entry| entry.unwrap().path().join("migration.sql"))
        .filter(|path| path.is_file())
        .collect();
    migrations.sort();
    migrations.push(workspace().join("supabase/sql/analytics_facts_table.sql"));
    for path in migrations {
        database.execute(&std::fs::read_to_string(path).unwrap());
    }
    configure(&project, "settle_seconds = 0");
    (project, database)
}

fn configure(project: &Project, parity: &str) {
    project.drill_toml(&format!("{DRILL_TOML}\n[parity]\n{parity}\n"));
}

/// A view every ten seconds from 13:00 to 15:00 on 9 October 2026, one an hour in the ten days before, and a refresh a minute; then the
/// mirror as the app fills it.
const FACTS: &str = r#"
    insert into "DashboardFact" ("shopDomain", "factType", value, "createdAt", "updatedAt")
    select 'a.myshopify.com', kind, '{"secret": "of a customer"}', at, at
      from (select 'dashboard.session.opened', generate_series(timestamp '2026-10-09 13:00', '2026-10-09 14:59:59', '10 s')
            union all
            select 'dashboard.session.opened', generate_series(timestamp '2026-09-29 00:30', '2026-10-08 23:59', '1 h')
            union all
            select 'dashboard.refresh.triggered', generate_series(timestamp '2026-10-09 13:00', '2026-10-09 14:59', '1 min')
            union all
            select 'shopify.orders.summary', generate_series(timestamp '2026-10-09 13:00', '2026-10-09 14:59', '1 h')) as fact (kind, at);
    insert into facts (project, topic, key, value, created_at)
    select "shopDomain", 'dashboard.analytics', case "factType" when 'dashboard.session.opened' then 'view' else 'refresh' end, value,
           "createdAt" at time zone 'UTC'
      from "DashboardFact" where "factType" like 'dashboard.%'"#;

pub fn with_facts(name: &str) -> (Project, Database) {
    let (project, database) = with_tables(name);
    database.execute(FACTS);
    (project, database)
}

fn evidence(project: &Project, answer: &Answer, file: &str) -> String {
    let folder = answer.stderr.lines().find_map(|line| line.strip_prefix("evidence: ")).unwrap();
    project.read(&format!("{folder}/{file}"))
}

pub fn parity_json(project: &Project, answer: &Answer) -> Value {
    serde_json::from_str(&evidence(project, answer, "parity.json")).unwrap()
}

#[test]
fn equal_sides_are_within_under_the_new_keys_and_the_old_ones() {
    let (project, database) = with_facts("parity_equal");
    let answer = project.run(&["parity", "--json"]).expect(0);
    let json = answer.json();
    let same = serde_json::json!({
        "how": "join", "missing": 0, "extra": 0, "changed": 0, "columns": {}, "diff_pct": 0.0, "changed_pct": 0.0, "threshold_pct": 0.0,
        "within": true,
    });
    assert_eq!(
        json["parity"],
        serde_json::json!({
            "threshold_pct": 1.0,
            "pairs": [
                {"name": "view", "prisma": 960, "mirror": 960, "delta": 0, "diff_pct": 0.0, "within": true, "rows": same},
                {"name": "refresh", "prisma": 120, "mirror": 120, "delta": 0, "diff_pct": 0.0, "within": true, "rows": same},
            ],
            "source": "sql",
        })
    );
    let old = parity_json(&project, &answer);
    assert_eq!(old["prisma"], serde_json::json!({"viewCount": 960, "refreshCount": 120}));
    assert_eq!(old["supabase"], old["prisma"]);
    assert_eq!(old["deltas"], serde_json::json!({"view": 0, "refresh": 0}));
    assert_eq!(old["diffPct"], serde_json::json!({"view": 0.0, "refresh": 0.0}));
    assert!(old["timestamp"].as_str().unwrap().ends_with('Z'));
    assert_eq!((old["status"].as_str(), old["looks"].as_array().unwrap().len()), (Some("ok"), 1));
    let feedback = project.read("feedback/data.md");
    assert!(
        feedback.contains("— parity ok\n") && feedback.contains("| view | 960 | 960 | +0 (0.00 %) |\n"),
        "{feedback}"
    );
    // It stood on a database that nobody claimed, and left nothing there.
    assert!(database.one::<bool>("select to_regnamespace('staging_drill') is null"));
    project.assert_no_secret(&[&answer]);
}

#[test]
fn a_plan_counts_nothing() {
    let (project, _) = with_tables("parity_plan");
    let plan = project.run(&["parity", "--plan"]).expect(0);
    insta::assert_snapshot!(plan.stdout, @"
    parity on staging: compare `view`, `refresh`, up to 1 % apart.

    1. tables: look at tables, columns, grants and row security of both sides
    2. count: count both sides in one snapshot and compare with 1 %, then row by row; over it again after 0 s, then find where

    Nothing was changed.
    ");
    assert!(!project.path("feedback").exists());
}

#[test]
fn a_loss_of_one_and_a_half_percent_in_one_hour_is_named_to_the_minute() {
    let (project, database) = with_facts("parity_loss");
    database.execute(
        "delete from facts where key = 'view' and created_at >= '2026-10-09 14:05:00Z' and created_at < '2026-10-09 14:07:30Z'",
    );
    let answer = project.run(&["parity"]).expect(5);
    let prose = answer.prose();
    let lines: Vec<&str> = prose.lines().filter(|line| !line.contains(" ms)")).collect();
    insta::assert_snapshot!(lines[3..].join("\n"), @"
      ✓ tables: every row of `DashboardFact` and `facts` is readable
       pair     Prisma  mirror    difference  missing / extra / changed
       view        960     945  -15 (1.56 %)                 15 / 0 / 0
       refresh     120     120   +0 (0.00 %)                  0 / 0 / 0
    error: Prisma and the mirror are more than 1 % apart in `view`
    caused by: view: Prisma has 960, the mirror 945: 15 fewer, 1.56 %
    caused by: view: 15 rows are not in the mirror: `391` of 2026-10-09 14:05:00+00; `392` of 2026-10-09 14:05:10+00; `393` of 2026-10-09 14:05:20+00; and 12 more
    caused by: view: 15 rows are missing from the mirror between 14:05 and 14:08 on 9 October 2026 (UTC)
    note: counted twice, the second time after 0 s, for rows in flight
    note: parity.json and parity.svg show where; mirror what is missing, then count again
    hint: cargo xtask parity
    ");
    let json = parity_json(&project, &answer);
    assert_eq!((json["status"].as_str(), json["diffPct"]["view"].as_f64()), (Some("different"), Some(1.56)));
    assert_eq!(json["looks"].as_array().unwrap().len(), 2);
    let found = &json["where"][0];
    assert_eq!(json["where"].as_array().unwrap().len(), 1, "the other pair is within");
    assert_eq!(
        found["places"],
        serde_json::json!([{
            "from": "2026-10-09T14:05:00Z", "to": "2026-10-09T14:08:00Z", "width": "minute", "buckets": 3, "throughout": true, "prisma": 18, "mirror": 3,
        }])
    );
    let times: Vec<&str> =
        found["sample"]["prisma"].as_array().unwrap().iter().map(|row| row["time"].as_str().unwrap()).collect();
    assert_eq!(
        times,
        ["00", "10", "20", "30", "40"].map(|second| format!("2026-10-09 14:05:{second}+00")),
        "the first rows that the mirror lacks"
    );
    assert_eq!(found["sample"]["mirror"], serde_json::json!([]));
    let widths: Vec<&str> =
        found["levels"].as_array().unwrap().iter().map(|level| level["width"].as_str().unwrap()).collect();
    assert_eq!(widths, ["day", "hour", "minute"]);
    assert!(evidence(&project, &answer, "parity.svg").contains("class=\"missing\""));
    for file in ["parity.json", "parity.svg", "run.json", "plan.json"] {
        assert!(!evidence(&project, &answer, file).contains("customer"), "a value in {file}");
    }
    project.assert_no_secret(&[&answer]);
}

/// Takes sixty views out of the mirror, starts `parity`, and returns when its first look has seen that.
fn started_on_a_breach(project: &Project, database: &Database) -> std::process::Child {
    database.execute(
        "create table late as select * from facts where created_at > '2026-10-09 14:50Z';
         delete from facts where id in (select id from late)",
    );
    let drill = project.start(&["parity", "--json"]);
    let mut observer = database.connect();
    let mut looking = || -> bool {
        let open = "select count(*) > 0 from pg_stat_activity
                     where datname = current_database() and pid <> pg_backend_pid() and xact_start is not null";
        observer.query_one(open, &[]).unwrap().get(0)
    };
    let looked = || {
        let log = server::shared().log();
        log.lines().any(|line| line.contains(&database.name) && line.contains("pg_export_snapshot"))
    };
    while !looked() {
        std::thread::yield_now();
    }
    while looking() {
        std::thread::yield_now();
    }
    drill
}

fn ended(drill: std::process::Child) -> Answer {
    let output = drill.wait_with_output().unwrap();
    Answer {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn terminate(drill: &std::process::Child) {
    rustix::process::kill_process(rustix::process::Pid::from_child(drill), rustix::process::Signal::TERM).unwrap();
}

#[test]
fn rows_in_flight_that_arrive_are_no_breach() {
    let (project, database) = with_facts("parity_flight");
    configure(&project, "settle_seconds = 6");
    let drill = started_on_a_breach(&project, &database);
    database.execute("insert into facts select * from late");
    let answer = ended(drill).expect(0);
    let line = "count: `view`, `refresh` are within 1 % (counted again after 6 s, for rows in flight)";
    assert!(answer.stderr.contains(line), "{}", answer.stderr);
    let json = parity_json(&project, &answer);
    let views: Vec<&Value> = json["looks"].as_array().unwrap().iter().map(|look| &look["pairs"][0]["mirror"]).collect();
    assert_eq!(views, [901, 960], "both looks are kept");
}

/// Sixty rows are late in the first look and five others in the second: no row is missing in both. One value is another in both.
#[test]
fn a_row_differs_only_where_it_does_in_both_looks() {
    let (project, database) = with_facts("parity_rows_flight");
    configure(&project, "settle_seconds = 6");
    database.execute("update facts set value = '{}' where key = 'view' and created_at = '2026-10-09 14:05Z'");
    let drill = started_on_a_breach(&project, &database);
    database.execute(
        "insert into facts select * from late;
         delete from facts where key = 'view' and created_at between '2026-10-09 13:00Z' and '2026-10-09 13:00:40Z'",
    );
    let answer = ended(drill).expect(5);
    let pair = &answer.json()["parity"]["pairs"][0];
    assert_eq!(
        (&pair["delta"], &pair["rows"]["missing"], &pair["rows"]["changed"]),
        (&Value::from(-5), &Value::from(0), &Value::from(1))
    );
    let json = parity_json(&project, &answer);
    let missing: Vec<&Value> =
        json["looks"].as_array().unwrap().iter().map(|look| &look["pairs"][0]["rows"]["missing"]).collect();
    assert_eq!(missing, [59, 0], "both looks are kept");
    assert_eq!(json["rows"][0]["missing"]["rows"], serde_json::json!([]));
    assert!(answer.stderr.contains("the mirror has other values than Prisma in `view`"), "{}", answer.stderr);
}

#[test]
fn a_first_look_is_no_verdict() {
    let (project, database) = with_facts("parity_first");
    configure(&project, "settle_seconds = 3600");
    let drill = started_on_a_breach(&project, &database);
    terminate(&drill);
    let answer = ended(drill).expect(143);
    assert_eq!(answer.json()["parity"], Value::Null);
    let json = parity_json(&project, &answer);
    assert_eq!((json["status"].as_str(), json["prisma"].as_str()), (Some("interrupted"), None));
    assert_eq!(json["looks"][0]["pairs"][0]["within"], false);
}

/// The rule of the rows by itself: the counts agree in all of it.
#[test]
fn a_value_that_differs_and_a_lost_row_that_a_doubled_one_hides_are_found_where_counts_agree() {
    let (project, database) = with_facts("parity_rows");
    database.execute(
        r#"update facts set value = '{"secret": "of another"}' where key = 'view' and created_at between '2026-10-09 14:05Z' and '2026-10-09 14:07:15Z'"#,
    );
    let answer = project.run(&["parity", "--json"]).expect(5);
    let rows = &answer.json()["parity"]["pairs"][0]["rows"];
    assert_eq!(
        rows,
        &serde_json::json!({
            "how": "join", "missing": 0, "extra": 0, "changed": 14, "columns": {"value": 14}, "diff_pct": 0.0, "changed_pct": 14.0 * 100.0 / 960.0,
            "threshold_pct": 0.0, "within": false,
        })
    );
    let words = answer.stderr.clone();
    for said in [
        "error: the mirror has other values than Prisma in `view`",
        "caused by: view: 14 rows have other values in the mirror (`value` in 14): `391` of 2026-10-09 14:05:00+00; ",
        "note: parity.json shows which rows; mirror them anew, then count again",
    ] {
        assert!(words.contains(said), "{said} is not in\n{words}");
    }
    let listed = &parity_json(&project, &answer)["rows"][0];
    assert_eq!(listed["pair"], "view");
    assert_eq!(
        listed["changed"]["rows"][13],
        serde_json::json!({"key": "404", "time": "2026-10-09 14:07:10+00", "rows": 1, "columns": ["value"]})
    );
    assert_eq!(
        (&listed["changed"]["truncated"], &listed["missing"]["rows"]),
        (&Value::from(false), &serde_json::json!([]))
    );
    for file in ["parity.json", "run.json", "report.html"] {
        let text = evidence(&project, &answer, file);
        assert!(!text.contains("of a customer") && !text.contains("of another"), "a value in {file}");
    }
    assert!(evidence(&project, &answer, "report.html").contains(": Changed in the mirror</summary>"));
    assert!(project.read("feedback/data.md").contains("\nview: 0 rows missing, 0 extra, 14 changed.\n"));

    // As many are allowed as the pair says.
    let toml = project.read("drill.toml");
    project.write(
        "drill.toml",
        &toml.replace("values = { value = \"value\" } }", "values = { value = \"value\" }, threshold_pct = 2 }"),
    );
    let answer = project.run(&["parity"]).expect(0);
    assert!(answer.stderr.contains("within 1 %; compared to the row"), "{}", answer.stderr);
    assert!(answer.stderr.contains("0 / 0 / 14"), "{}", answer.stderr);

    // A lost row and one that is there twice: the counts agree, and nothing else does.
    database.execute(
        "delete from facts where key = 'view' and created_at < '2026-09-29 14:00Z';
         insert into facts (project, topic, key, value, created_at)
           select project, topic, key, value, created_at from facts where key = 'view' order by created_at desc limit 14",
    );
    let answer = project.run(&["parity", "--json"]).expect(5);
    let pair = &answer.json()["parity"]["pairs"][0];
    assert_eq!(
        (&pair["delta"], &pair["rows"]["missing"], &pair["rows"]["extra"]),
        (&Value::from(0), &Value::from(14), &Value::from(14))
    );
    assert!(answer.json()["notes"][0].as_str().unwrap().starts_with("`view`: some rows have the same key, or none"));
    project.assert_no_secret(&[&answer]);
}

/// A mirror that stamps its rows on arrival shares no key with Prisma's: it has lost none for it, and that its rows were not compared is no green line.
#[test]
fn a_key_that_identifies_nothing_and_one_that_nobody_names_leave_the_counts() {
    let (project, database) = with_facts("parity_no_key");
    database.execute("update facts set created_at = created_at + interval '1 second 1 ms'");
    let answer = project.run(&["parity", "--json"]).expect(0);
    let steps = &answer.json()["stages"][0]["steps"];
    assert_eq!((&steps[1]["name"], &steps[1]["status"]), (&"count".into(), &"skipped".into()), "{steps}");
    let pair = &answer.json()["parity"]["pairs"][0];
    let why = "no row has a partner by `createdAt`, `shopDomain`, which identifies none here";
    assert_eq!((&pair["rows"], pair["rows_not_compared"].as_str()), (&Value::Null, Some(why)));
    let note = format!("`view`: its rows were not compared: {why}");
    assert!(answer.json()["notes"].as_array().unwrap().contains(&Value::from(note)), "{}", answer.json()["notes"]);
    let toml = project.read("drill.toml");
    let without: String =
        toml.lines().filter(|line| !line.starts_with("rows = ")).map(|line| format!("{line}\n")).collect();
    project.write("drill.toml", &without);
    let answer = project.run(&["parity", "--json"]).expect(0);
    assert_eq!(
        answer.json()["notes"][0],
        "`view`, `refresh`: counted and not compared row by row: a changed value, or a lost row and a doubled one, is not seen; `rows` in drill.toml says what identifies a row"
    );
    // By its values alone a mirror may be compared as well.
    let values = without.replace(
        "time = \"created_at\" }",
        "time = \"created_at\" }\nrows = { values = { shopDomain = \"project\", value = \"value\" } }",
    );
    project.write("drill.toml", &values);
    let answer = project.run(&["parity", "--json"]).expect(0);
    assert_eq!(answer.json()["parity"]["pairs"][0]["rows"]["how"], "hash");
    database.execute("update facts set value = '{}' where key = 'view' and created_at < '2026-09-29 14:00Z'");
    let rows = project.run(&["parity", "--json"]).expect(5).json()["parity"]["pairs"][0]["rows"].clone();
    assert_eq!(
        (&rows["missing"], &rows["extra"], &rows["changed"]),
        (&Value::from(14), &Value::from(14), &Value::from(0))
    );
}

/// Facts and their copies appear together, thousands of them while it counts: only one snapshot sees as many of both.
#[test]
fn both_sides_are_seen_at_one_moment() {
    let (project, database) = with_facts("parity_moment");
    configure(&project, "settle_seconds = 0\nthreshold_pct = 0");
    let done = std::sync::atomic::AtomicBool::new(false);
    let answer = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut client = database.connect();
            let mut pairs = 0;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                client
                    .batch_execute(
                        r#"with fact as (insert into "DashboardFact" ("shopDomain", "factType", value, "updatedAt")
                             values ('b', 'dashboard.session.opened', '{}', now()) returning *)
                           insert into facts (project, topic, key, value) select 'b', 'dashboard.analytics', 'view', value from fact"#,
                    )
                    .unwrap();
                pairs += 1;
            }
            pairs
        });
        let answer = project.run(&["parity", "--json"]);
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(writer.join().unwrap() > 100);
        answer
    });
    let answer = answer.expect(0);
    assert!(answer.json()["parity"]["pairs"][0]["prisma"].as_u64().unwrap() > 960);
    assert_eq!(parity_json(&project, &answer)["looks"].as_array().unwrap().len(), 1);
}

#[test]
fn a_mirror_that_is_not_there_is_blocked_as_the_old_readers_know_it() {
    let (project, database) = with_facts("parity_no_mirror");
    database.execute("drop table facts");
    let answer = project.run(&["parity"]).expect(4);
    insta::assert_snapshot!(answer.prose().lines().skip(3).collect::<Vec<_>>().join("\n"), @r#"
      ✗ tables: the mirror has no table `public.facts`
      - not tried: count
    error: the mirror has no table `public.facts`
    hint: cargo xtask mirror
    "#);
    let json = parity_json(&project, &answer);
    assert_eq!(
        (json["status"].as_str(), json["reason"].as_str()),
        (Some("blocked"), Some("supabase.facts_table_missing"))
    );
    assert_eq!(json["event"], "analytics.parity");
    assert!(project.read("feedback/data.md").contains("— parity blocked\n"));
}

/// Each way of making a side uncountable, and how it is told. The owner keeps no right that it revokes from itself.
#[test]
fn each_reason_not_to_count_is_told_apart() {
    let (project, database) = with_facts("parity_reasons");
    let user = &database.user;
    let away = "create extension file_fdw; create server away foreign data wrapper file_fdw;
         create foreign table away (project text, topic text, key text, value jsonb, created_at timestamptz) server away options (filename '/none'); grant select on away to";
    server::shared().superuser(&database.name).batch_execute(&format!("{away} {user}")).unwrap();
    let cases = [
        ("alter table facts force row level security", "alter table facts no force row level security", "row_security"),
        ("revoke select on facts from OWNER", "grant select on facts to OWNER", "grants_missing"),
        (
            "alter table facts rename to kept; create view facts as select * from kept; revoke select on kept from OWNER",
            "drop view facts; alter table kept rename to facts; grant select on facts to OWNER",
            "grants_missing",
        ),
        ("alter table facts rename key to kee", "alter table facts rename kee to key", "column_missing"),
        (
            "alter table facts alter created_at drop default, alter created_at type text",
            "alter table facts alter created_at type timestamptz using created_at::timestamptz",
            "column_is_no_time",
        ),
        (
            "alter table facts rename to kept;
             create view facts as select project, topic, key, value, created_at from kept union all select * from away",
            "drop view facts; alter table kept rename to facts",
            "table_is_foreign",
        ),
        (
            r#"alter table "DashboardFact" rename to gone"#,
            r#"alter table gone rename to "DashboardFact""#,
            "prisma.table_missing",
        ),
    ];
    let mut told = String::new();
    for (spoil, mend, reason) in cases {
        database.execute(&spoil.replace("OWNER", user));
        let answer = project.run(&["parity"]).expect(4);
        assert_eq!(parity_json(&project, &answer)["reason"], reason);
        let words = answer.prose().replace(user, "OWNER");
        told += &format!("{}\n\n", &words[words.find("error:").unwrap()..]);
        database.execute(&mend.replace("OWNER", user));
    }
    project.run(&["parity"]).expect(0);
    insta::assert_snapshot!(told, @r#"
    error: the mirror: row-level security keeps rows of `public.facts` from `OWNER`
    caused by: a count would be of some rows, and pass for all of them
    note: or a superuser lets the role see every row: alter role "OWNER" bypassrls
    hint: alter table "public"."facts" no force row level security; -- or connect as a role with BYPASSRLS

    error: the mirror: `OWNER` may not read `public.facts`
    note: the table's owner may run the SQL below
    hint: grant usage on schema "public" to "OWNER"; grant select on "public"."facts" to "OWNER"

    error: the mirror: the server does not let `OWNER` count every row
    caused by: ERROR: permission denied for table kept (SQLSTATE 42501)
    note: connect as the role that owns the tables where their row security is not forced, or as one with BYPASSRLS that may read them

    error: the mirror: `public.facts` has no column `key`
    note: correct `where`, `time` or `rows` of that side in `[[parity.pairs]]` of drill.toml

    error: the mirror: `created_at` of `public.facts` is of type `text`, which is not a time
    note: name a timestamp column as `time` of that side in `[[parity.pairs]]` of drill.toml

    error: the mirror: `public.facts` leads to a foreign table
    caused by: its rows are on another server, and that one is not proven to be staging
    note: name a table of this database in `[[parity.pairs]]`

    error: Prisma's side has no table `public.DashboardFact`
    hint: cargo xtask forward
    "#);
}

/// Runs `parity` while a lock keeps it from counting the mirror; `meanwhile` gets the process and the backend that waits.
fn while_counting(project: &Project, database: &Database, meanwhile: impl FnOnce(&std::process::Child, i32)) -> Answer {
    let mut holder = database.connect();
    holder.batch_execute("begin; lock table facts").unwrap();
    let drill = project.start(&["parity"]);
    let mut observer = database.connect();
    let waiting = "select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    let pid = loop {
        if let Some(row) = observer.query_opt(waiting, &[]).unwrap() {
            break row.get(0);
        }
    };
    meanwhile(&drill, pid);
    ended(drill)
}

#[test]
fn a_count_that_takes_too_long_or_loses_its_server_is_not_a_count() {
    let (project, database) = with_facts("parity_slow");
    project.drill_toml(&format!("{DRILL_TOML}\n[timeouts]\nquery = 1\n"));
    let slow = while_counting(&project, &database, |_, _| {}).expect(4);
    assert_eq!(parity_json(&project, &slow)["reason"], "statement_timeout");
    project.drill_toml(DRILL_TOML);
    let lost = while_counting(&project, &database, |_, pid| {
        server::shared().superuser("postgres").execute("select pg_terminate_backend($1)", &[&pid]).unwrap();
    })
    .expect(4);
    assert_eq!(parity_json(&project, &lost)["reason"], "connection_lost");
    let told = [&slow, &lost].map(|answer| {
        let words = answer.prose();
        // How the end of a connection reads depends on whether the server's last word came through.
        let lines = words[words.find("error:").unwrap()..].lines();
        // And whose lock it was has a pid.
        let told = lines.filter(|line| !line.starts_with("caused by: ") && !line.contains("pg_terminate_backend"));
        told.collect::<Vec<_>>().join("\n")
    });
    insta::assert_snapshot!(told.join("\n\n"), @"
    error: the mirror: counting took longer than 1 s
    note: wait for it to end, then run this again

    error: the mirror: the connection was lost while the server counted
    note: the project may have been paused or restarted: wake it first
    hint: cargo xtask parity
    ");
}

/// A view whose values take their time, of which a count needs none.
#[test]
fn rows_that_take_too_long_are_counted_and_not_told_as_compared() {
    let (project, database) = with_facts("parity_slow_rows");
    database.execute(
        "alter table facts rename to kept;
         create function slow(jsonb) returns jsonb stable language plpgsql as 'begin perform pg_sleep(0.02); return $1; end';
         create view facts as select id, project, topic, key, slow(value) as value, created_at from kept",
    );
    project.drill_toml(&format!("{DRILL_TOML}\n[timeouts]\nquery = 1\n"));
    let answer = project.run(&["parity", "--json"]).expect(0);
    let why = "comparing them took longer than 1 s; set `query` under `[timeouts]` in drill.toml to more";
    let json = answer.json();
    assert_eq!(json["parity"]["pairs"][0]["rows_not_compared"], why);
    assert_eq!(json["stages"][0]["steps"][1]["status"], "skipped");
    for said in [
        "count: `view`, `refresh` are within 1 % by their counts; not every pair was compared row by row",
        &format!("note: `view`: its rows were not compared: {why}"),
    ] {
        assert!(answer.stderr.contains(said), "{said} is not in\n{}", answer.stderr);
    }
}

#[test]
fn a_signal_stops_the_count_on_the_server_too() {
    let (project, database) = with_facts("parity_signal");
    let answer = while_counting(&project, &database, |drill, _| {
        terminate(drill);
    })
    .expect(143);
    let run: Value = serde_json::from_str(&evidence(&project, &answer, "run.json")).unwrap();
    assert_eq!(
        (run["status"].as_str(), run["stages"][0]["steps"][1]["status"].as_str()),
        (Some("interrupted"), Some("interrupted"))
    );
    assert_eq!(run["parity"], Value::Null);
}

#[test]
fn pairs_of_ones_own_may_be_of_any_tables_and_types() {
    let (project, database) = with_tables("parity_pairs");
    database.execute(
        r#"create type "Level" as enum ('low', 'high');
           create table "Order" (id int primary key, level "Level", paid boolean, n bigint, "at" timestamptz);
           create table orders as select * from "Order";
           create view seen as select id, n as number, "at" as seen_at from "Order";
           insert into "Order" select i, case when i % 2 = 0 then 'high' else 'low' end::"Level", i % 3 = 0, i % 5, '2026-10-09 14:05:07Z'
             from generate_series(1, 300) i;
           insert into "Order" values (301, 'high', true, 0, null), (302, 'high', true, 0, 'infinity');
           insert into orders select * from "Order" where id < 299"#,
    );
    configure(
        &project,
        r#"
        settle_seconds = 0
        threshold_pct = 5
        [[parity.pairs]]
        name = "paid_high"
        prisma = { table = "Order", where = { level = "high", paid = "true" }, time = "at" }
        mirror = { table = "orders", where = { level = "high", paid = "t" }, time = "at" }
        [[parity.pairs]]
        name = "all"
        prisma = { table = "Order", time = "at" }
        mirror = { table = "orders", time = "at" }
        [[parity.pairs]]
        name = "fives"
        prisma = { table = "Order", where = { n = "4" }, time = "at" }
        mirror = { table = "seen", where = { number = "4" }, time = "seen_at" }"#,
    );
    let answer = project.run(&["parity", "--json"]).expect(5);
    let json = answer.json();
    let counts: Vec<Value> = json["parity"]["pairs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|pair| serde_json::json!([pair["name"], pair["prisma"], pair["mirror"], pair["within"]]))
        .collect();
    assert_eq!(
        Value::from(counts),
        serde_json::json!([["paid_high", 52, 49, false], ["all", 302, 298, true], ["fives", 60, 60, true]])
    );
    insta::assert_snapshot!(parity_json(&project, &answer)["where"][0]["sentences"], @r#"["1 row is missing from the mirror between 14:05 and 14:06 on 9 October 2026 (UTC)","2 rows of the difference have no time, or are older than what was looked at"]"#);
}

#[test]
fn a_configuration_that_compares_nothing_sensible_is_refused_by_name() {
    let (project, _) = with_tables("parity_config");
    let mut told = String::new();
    for (parity, code) in [
        ("threshold_pct = 100.5", 2),
        ("threshold_pct = nan", 2),
        ("settle_seconds = 3601", 2),
        ("treshold = 1", 2),
        ("[[parity.pairs]]\nname = \"a\"\nprisma = { table = \"x; drop\" }\nmirror = { table = \"facts\" }", 2),
        ("pairs = []", 4),
    ] {
        configure(&project, parity);
        let words = project.run(&["parity"]).expect(code).prose();
        told += &format!("{}\n\n", words[words.find("error:").unwrap()..].trim_end());
    }
    insta::assert_snapshot!(told, @"
    error: `drill.toml` cannot be used: `threshold_pct` is 100.5, and must be from 0 to 100
    note: correct `[parity]`; docs/configuration.md lists every key

    error: `drill.toml` cannot be used: `threshold_pct` is NaN, and must be from 0 to 100
    note: correct `[parity]`; docs/configuration.md lists every key

    error: `drill.toml` cannot be used: `settle_seconds` is more than 3600
    note: correct `[parity]`; docs/configuration.md lists every key

    error: `drill.toml` cannot be read at line 8
    caused by: unknown field `treshold`, expected one of `threshold_pct`, `settle_seconds`, `pairs`
    note: correct that line; docs/configuration.md lists every key

    error: `drill.toml` cannot be used: the pair `a` names `x; drop`, which is not a plain identifier
    note: correct `[[parity.pairs]]`; docs/configuration.md lists every key

    error: nothing is compared: drill.toml names no pair of a table and its mirror
    note: add a `[[parity.pairs]]` to drill.toml; docs/configuration.md says what one is
    ");
}

#[test]
fn the_feeder_mirrors_what_it_seeds_and_loses_what_it_is_told_to() {
    let project = Project::new();
    let script = "supabase/sql/analytics_facts_table.sql";
    project.write(script, &std::fs::read_to_string(workspace().join(script)).unwrap());
    project.run(&["forward", "--sandbox"]).expect(0);
    let early = project.run(&["sandbox", "seed", "--mirror-drop", "5"]).expect(4);
    insta::assert_snapshot!(early.said(), @"
    Target: sandbox is database `hotdash_sandbox` on 127.0.0.1:PORT (Postgres 17.10, claimed as disposable)
    Tools: Prisma 7.10.0, engine wasm (7.10.0-4.0edf323efd1d98336f3f0a68684b56f689b900d3)
    error: there is no mirror yet that rows could be missing from
    hint: cargo xtask mirror --sandbox
    ");
    project.run(&["sandbox", "seed", "--rows", "1000"]).expect(0);
    let blocked = project.run(&["parity", "--sandbox"]).expect(4);
    insta::assert_snapshot!(blocked.said(), @r"
    Target: sandbox is database `hotdash_sandbox` on 127.0.0.1:PORT (Postgres 17.10, claimed as disposable)
    Tools: Prisma 7.10.0, engine wasm (7.10.0-4.0edf323efd1d98336f3f0a68684b56f689b900d3)
    parity:
      ✗ tables: the mirror has no table `public.facts`
      - not tried: count
    error: the mirror has no table `public.facts`
    hint: cargo xtask mirror --sandbox
    ");
    project.run(&["mirror", "--sandbox"]).expect(0);
    // A new mirror gets the facts that are there; from then on, those that are added.
    project.run(&["sandbox", "seed", "--rows", "0"]).expect(0);
    project.run(&["sandbox", "seed", "--rows", "1000", "--mirror-drop", "1"]).expect(0);
    let within = project.run(&["parity", "--sandbox", "--json"]).expect(0).json();
    let pairs = within["parity"]["pairs"].as_array().unwrap();
    assert!(pairs.iter().all(|pair| pair["delta"].as_i64().unwrap() < 0), "half a percent is gone: {pairs:?}");
    project.run(&["sandbox", "seed", "--rows", "1000", "--mirror-drop", "7.5"]).expect(0);
    project.drill_toml(&format!("{}\n[parity]\nsettle_seconds = 0\n", DRILL_TOML));
    let breach = project.run(&["parity", "--sandbox", "--json"]).expect(5).json();
    assert_eq!(breach["status"], "different");
    let wrong = project.run(&["sandbox", "seed", "--mirror-drop", "101"]).expect(2);
    insta::assert_snapshot!(wrong.said(), @r"
    error: invalid value '101' for '--mirror-drop <PCT>': a number from 0 to 100 is needed

    For more information, try '--help'.
    ");
}
