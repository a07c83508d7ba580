//! Parity over REST: against a stand-in for PostgREST that counts in the real Postgres, and whatever else may answer in
//! its place.

use std::io::Write;
use std::process::{Command, Stdio};

use chores::setup::clients;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::parity::{parity_json, with_facts};
use crate::postgrest::{Fault, Postgrest, SECRET_KEY, legacy_key};
use crate::project::{Answer, DRILL_TOML, Project};
use crate::server::{Database, second, workspace};

const REST: [&str; 4] = ["parity", "--source", "rest", "--json"];

/// Facts and their mirror in a database with Supabase's roles, an API before it, and the target's variables.
fn with_api(name: &str) -> (Project, Database, Postgrest) {
    let (project, database) = with_facts(name);
    database.grant_supabase_roles();
    make_mirror(&database);
    let server = Postgrest::start(&database);
    use_key(&project, &database, &server, &legacy_key("service_role"));
    (project, database, server)
}

fn make_mirror(database: &Database) {
    let script = workspace().join("supabase/sql/analytics_facts_table.sql");
    database.execute(&std::fs::read_to_string(script).unwrap());
}

fn use_key(project: &Project, database: &Database, server: &Postgrest, key: &str) {
    let url = &server.url;
    let text = format!("DATABASE_URL={}\nSUPABASE_URL={url}\nSUPABASE_SERVICE_KEY={key}\n", database.url());
    project.write(".env.staging", &text);
}

/// Panics when a key lies anywhere but in the env file, whole or as much of it as would help anyone.
fn assert_no_key(project: &Project, answers: &[&Answer]) {
    let legacy = legacy_key("service_role");
    let forms = [&SECRET_KEY[..24], &legacy[..48], legacy.rsplit('.').next().unwrap()];
    let files = project.files().into_iter().map(|path| std::fs::read(path).unwrap_or_default());
    let outputs = answers.iter().map(|answer| format!("{}{}", answer.stdout, answer.stderr).into_bytes());
    for bytes in files.chain(outputs) {
        let text = String::from_utf8_lossy(&bytes);
        assert!(!forms.iter().any(|form| text.contains(form)), "a key in:\n{text}");
    }
    project.assert_no_secret(answers);
}

fn counts(answer: &Answer) -> Vec<(u64, u64)> {
    let json = answer.json();
    let pairs = json["parity"]["pairs"].as_array().unwrap();
    pairs.iter().map(|pair| (pair["prisma"].as_u64().unwrap(), pair["mirror"].as_u64().unwrap())).collect()
}

/// What PostgREST's official client counts.
fn official(server: &Postgrest, questions: &Value) -> Vec<u64> {
    let mut child = Command::new("node")
        .arg(clients().join("official.mjs"))
        .env("URL", &server.url)
        .env("KEY", legacy_key("service_role"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(questions.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

fn question(key: &str, window: &[(&str, &Value)]) -> Value {
    let mut filters = vec![json!(["topic", "eq", "dashboard.analytics"]), json!(["key", "eq", key])];
    filters.extend(window.iter().map(|(operator, at)| json!(["created_at", operator, at])));
    json!({ "table": "facts", "filters": filters })
}

#[test]
fn a_loss_is_counted_and_placed_over_rest_as_by_sql_and_as_the_official_client_counts() {
    let (project, database, server) = with_api("rest_loss");
    database.execute(
        "delete from facts where key = 'view'
            and created_at >= '2026-10-09 14:05:00Z' and created_at < '2026-10-09 14:07:30Z'",
    );
    let answer = project.run(&REST).expect(5);
    let seen = server.seen();
    assert_eq!(counts(&answer), [(960, 945), (120, 120)]);
    assert_eq!(answer.json()["parity"]["source"], "rest");
    assert!(
        answer
            .stderr
            .contains("view: 15 rows are missing from the mirror between 14:05 and 14:08 on 9 October 2026 (UTC)"),
        "{}",
        answer.stderr
    );
    assert!(seen.len() < 60 && seen.iter().all(|request| !request.target.contains("value")), "{}", seen.len());
    let by_sql = project.run(&["parity", "--json"]).expect(5);
    let (found, expected) = (&parity_json(&project, &answer)["where"][0], &parity_json(&project, &by_sql)["where"][0]);
    assert_eq!((&found["places"], &found["sample"]), (&expected["places"], &expected["sample"]));
    let place = &found["places"][0];
    let window = [("gte", &place["from"]), ("lt", &place["to"])];
    let questions = json!([question("view", &[]), question("refresh", &[]), question("view", &window)]);
    assert_eq!(official(&server, &questions), [945, 120, place["mirror"].as_u64().unwrap()]);
    assert_no_key(&project, &[&answer, &by_sql]);
}

/// From now on the compared columns may be fetched.
fn fetch_rows(project: &Project) {
    let toml = project.read("drill.toml");
    let fetched =
        toml.replace("values = { value = \"value\" } }", "values = { value = \"value\" }, over_rest = true }");
    assert_ne!(toml, fetched);
    project.write("drill.toml", &fetched);
}

/// Three pages of views: some lost, some doubled, some changed, and all a little late, so that a page ends between a time and what it is rounded to.
#[test]
fn rows_are_compared_page_by_page_over_rest_as_by_sql() {
    let (project, database, server) = with_api("rest_rows");
    database.execute(
        r#"insert into "DashboardFact" ("shopDomain", "factType", value, "createdAt", "updatedAt")
           select 'b.myshopify.com', 'dashboard.session.opened', jsonb_build_object('n', i, 'big', 12345678901234567890.10), at, at
             from (select i, timestamp '2026-10-10' + i * interval '7 s' from generate_series(1, 1600) i) fact (i, at);
           insert into facts (project, topic, key, value, created_at)
           select "shopDomain", 'dashboard.analytics', 'view', value, "createdAt" at time zone 'UTC' from "DashboardFact" where "shopDomain" like 'b.%';
           update facts set created_at = created_at - interval '300 microseconds' where project like 'b.%'"#,
    );
    let quiet = project.run(&REST).expect(0);
    let pair = &quiet.json()["parity"]["pairs"][0];
    assert_eq!(pair["rows_not_compared"], "over REST they are fetched only where `over_rest = true` stands in `rows`");
    assert!(server.seen().iter().all(|request| request.method == "HEAD"), "no row is sent unasked");

    fetch_rows(&project);
    let equal = project.run(&REST).expect(0).json()["parity"]["pairs"][0]["rows"].clone();
    assert_eq!(
        (&equal["how"], &equal["missing"], &equal["extra"], &equal["changed"]),
        (&json!("segments"), &json!(0), &json!(0), &json!(0))
    );
    let pages: Vec<String> = server.seen().into_iter().filter(|it| it.method == "GET").map(|it| it.target).collect();
    assert_eq!(pages.len(), 4, "three of views and one of refreshes: {pages:?}");
    assert!(pages.iter().all(|page| page.contains("select=created_at%2Cid%2Cproject%2Cvalue&")), "{pages:?}");

    database.execute(
        r#"delete from facts where key = 'view' and extract(epoch from created_at)::int % 50 = 0 and project like 'b.%';
           insert into facts (project, topic, key, value, created_at)
             select project, topic, key, value, created_at from facts where key = 'view' order by created_at limit 4;
           update facts set value = value || '{"n": null}' where id in (select id from facts where project like 'b.%' order by created_at desc limit 30)"#,
    );
    let [over_rest, by_sql] = [&REST[..], &["parity", "--json"]].map(|arguments| {
        let answer = project.run(arguments).expect(5);
        let rows = answer.json()["parity"]["pairs"][0]["rows"].clone();
        let listed = parity_json(&project, &answer)["rows"][0].clone();
        let keys = ["missing", "extra", "changed"].map(|kind| {
            let rows = listed[kind]["rows"].as_array().unwrap().iter();
            let mut keys: Vec<String> = rows.map(|row| row["key"].as_str().unwrap().to_owned()).collect();
            keys.sort();
            keys
        });
        (["missing", "extra", "changed", "columns"].map(|key| rows[key].clone()), keys)
    });
    assert_eq!(over_rest.0, by_sql.0);
    assert_eq!((&over_rest.0[1], &over_rest.0[2]), (&json!(4), &json!(30)));
    assert!(over_rest.0[0].as_u64() > Some(20), "{:?}", over_rest.0);
    let [missing, extra, changed] = over_rest.1.each_ref().map(Vec::len);
    assert_eq!(
        (&over_rest.1[0], &over_rest.1[2]),
        (&by_sql.1[0], &by_sql.1[2]),
        "a doubled row has two keys, of which one is told"
    );
    assert_eq!((json!(missing), extra, changed), (over_rest.0[0].clone(), 4, 30));
}

/// More rows than are fetched: where their counts by the key differ, each row is named; what is not looked at is said.
#[test]
fn of_many_rows_those_are_fetched_where_the_counts_differ() {
    let (project, database, server) = with_api("rest_many_rows");
    fetch_rows(&project);
    database.execute(
        r#"insert into "DashboardFact" ("shopDomain", "factType", value, "createdAt", "updatedAt")
           select 'b.myshopify.com', 'dashboard.session.opened', '{}', at, at
             from (select timestamp '2020-01-01' + i * interval '700.0005 ms' from generate_series(1, 201000) i) fact (at);
           insert into facts (project, topic, key, value, created_at)
           select "shopDomain", 'dashboard.analytics', 'view', value, "createdAt" at time zone 'UTC' - interval '300 microseconds'
             from "DashboardFact" where "shopDomain" like 'b.%';
           create index on facts (topic, key, created_at)"#,
    );
    let rows = |answer: &Answer| {
        let pair = answer.json()["parity"]["pairs"][0].clone();
        let found = ["missing", "extra", "changed"].map(|kind| pair["rows"][kind].as_u64());
        (found, pair["rows_not_compared"].as_str().unwrap_or_default().to_owned())
    };
    let equal = project.run(&REST).expect(0);
    let why = "over REST no more than 200000 rows are fetched, and the counts do not differ";
    assert_eq!(rows(&equal), ([None; 3], why.to_owned()));

    // Ten lost in three places, and in one of those another value; a changed value and a pair that cancels out elsewhere.
    database.execute(
        "delete from facts where id in (select id from facts where key = 'view' and project like 'b.%' order by created_at offset 1000 limit 5);
         delete from facts where id in (select id from facts where key = 'view' and project like 'b.%' order by created_at offset 99000 limit 4);
         delete from facts where id in (select id from facts where key = 'view' and project like 'b.%' order by created_at desc limit 1);
         update facts set value = '{\"n\": 1}' where id in (select id from facts where key = 'view' and project like 'b.%' order by created_at offset 1002 limit 2);
         update facts set value = '{\"n\": 1}' where id in (select id from facts where key = 'view' and project like 'b.%' order by created_at offset 50000 limit 1)",
    );
    server.seen();
    let answer = project.run(&REST).expect(5);
    let partly = "over REST no more than 200000 rows are fetched, so only where the counts by `createdAt` differ was it looked: a changed value elsewhere is not seen";
    assert_eq!(rows(&answer), ([Some(10), Some(0), Some(2)], partly.to_owned()));
    let listed = parity_json(&project, &answer)["rows"][0]["missing"]["rows"].as_array().unwrap().len();
    assert_eq!(listed, 10);
    assert!(
        answer.stderr.contains(&format!("note: `view`: not all of its rows were compared: {partly}")),
        "{}",
        answer.stderr
    );
    let pages = server.seen().iter().filter(|it| it.method == "GET" && it.target.contains("limit=1000")).count();
    assert!(pages < 40, "{pages} pages in two looks");

    // A row in each five hundred: every stretch is uneven, and together they are more than are fetched.
    database.execute(
        "delete from facts where id in (select id from (select id, row_number() over (order by created_at) as at from facts
            where key = 'view' and project like 'b.%') numbered where at % 500 = 0)",
    );
    let everywhere = project.run(&REST).expect(0);
    let why = "over REST no more than 200000 rows are fetched, and the counts by `createdAt` differ in too many places";
    assert_eq!(rows(&everywhere), ([None; 3], why.to_owned()));
    assert_eq!(everywhere.json()["stages"][0]["steps"][1]["status"], "skipped");
}

/// What cannot be fetched in order, or not whole, is told and not compared.
#[test]
fn rows_that_pages_cannot_hold_are_not_told_as_compared() {
    let (project, database, server) = with_api("rest_no_rows");
    fetch_rows(&project);
    database.execute(
        r#"insert into "DashboardFact" ("shopDomain", "factType", value, "createdAt", "updatedAt")
           select i::text, 'dashboard.session.opened', '{}', timestamp '2026-09-01', now() from generate_series(1, 1100) i;
           insert into facts (project, topic, key, value, created_at)
           select "shopDomain", 'dashboard.analytics', 'view', value, "createdAt" at time zone 'UTC' from "DashboardFact" where value = '{}'"#,
    );
    let why = |answer: &Answer| answer.json()["parity"]["pairs"][0]["rows_not_compared"].clone();
    assert_eq!(why(&project.run(&REST).expect(0)), "1000 rows of the mirror share one `created_at`");
    // An API that gives less than it counted.
    database.execute(
        "update facts set created_at = created_at + random() * interval '1 ms' * 0.4 where created_at < '2026-09-02'",
    );
    server.fail(vec![Fault::Total(2070), Fault::Total(120)]);
    let answer = project.run(&REST).expect(0);
    assert_eq!(why(&answer), "the API gave 2060 of 2070 rows: some came or went meanwhile, or have no `created_at`");
    assert_eq!(answer.json()["stages"][0]["steps"][1]["status"], "skipped");
    assert_eq!(why(&project.run(&REST).expect(0)), Value::Null, "times that are rounded to one are no one time");
    let toml = project.read("drill.toml");
    project.write("drill.toml", &toml.replace("createdAt = \"created_at\" }", "factType = \"key\" }"));
    let told = why(&project.run(&REST).expect(0));
    assert_eq!(told, "over REST a key needs a number, a time or a UUID, and no list may be compared");
}

#[test]
fn each_kind_of_key_goes_in_its_own_headers_and_nowhere_else() {
    let (project, database, server) = with_api("rest_keys");
    let mut answers = Vec::new();
    for key in [legacy_key("service_role"), SECRET_KEY.to_owned()] {
        use_key(&project, &database, &server, &key);
        let answer = project.run(&REST).expect(0);
        assert_eq!(counts(&answer), [(960, 960), (120, 120)]);
        let seen = server.seen();
        assert_eq!(seen.len(), 2, "a count is one question");
        for request in &seen {
            let bearer = (key != SECRET_KEY).then(|| format!("Bearer {key}"));
            assert_eq!(request.method, "HEAD");
            assert_eq!(request.header("apikey"), Some(key.as_str()));
            assert_eq!(request.header("authorization").map(str::to_owned), bearer);
            assert_eq!(
                (request.header("prefer"), request.header("accept-profile")),
                (Some("count=exact"), Some("public"))
            );
            assert!(!request.target.contains(&key) && !request.target.contains(&SECRET_KEY[10..20]));
        }
        answers.push(answer);
    }
    assert_no_key(&project, &answers.iter().collect::<Vec<_>>());
}

#[test]
fn both_ways_must_be_within() {
    let (mut project, _database, server) = with_api("rest_both");
    // Neither is taken, whatever the environment says.
    let nowhere = "http://127.0.0.1:9".to_owned();
    project.env.extend(["http_proxy", "HTTPS_PROXY", "ALL_PROXY"].map(|name| (name.to_owned(), nowhere.clone())));
    let answer = project.run(&["parity", "--source", "both", "--json"]).expect(0);
    let pair = &answer.json()["parity"]["pairs"][0];
    assert_eq!((&pair["mirror"], &pair["mirror_rest"]), (&json!(960), &json!(960)));
    server.fail(vec![Fault::Total(3); 4]);
    let answer = project.run(&["parity", "--source", "both"]).expect(5);
    assert!(answer.stderr.contains("view: Prisma has 960, the mirror 960 by SQL and 3 over REST"), "{}", answer.stderr);
}

/// `reason`, first line of the error, and what was said of it.
fn obstacle(project: &Project, answer: &Answer) -> [String; 3] {
    let line = |start: &str| answer.stderr.lines().find_map(|line| line.strip_prefix(start)).unwrap_or("").to_owned();
    let json = parity_json(project, answer);
    assert_eq!((json["status"].as_str(), answer.code), (Some("blocked"), 4), "{}", answer.stderr);
    assert!(answer.stderr.contains("\nhint: ") || answer.stderr.contains("\nnote: "), "{}", answer.stderr);
    [json["reason"].as_str().unwrap().to_owned(), line("error: "), line("caused by: ")]
}

#[test]
fn whatever_else_answers_has_a_verdict_of_its_own() {
    let (project, _database, server) = with_api("rest_faults");
    let cases = [
        (
            Fault::Redirect("https://login.example/portal?token=abc"),
            "redirected",
            "HTTP status 302, to `login.example`",
        ),
        (Fault::Html(200), "not_postgrest", "HTTP status 200, text/html; charset=utf-8"),
        (Fault::Html(403), "not_postgrest", "HTTP status 403, text/html; charset=utf-8"),
        (Fault::NoTotal, "no_exact_count", "`Content-Range: */*`"),
        (Fault::Status(402, None), "project_restricted", "HTTP status 402"),
        (Fault::Status(540, None), "project_paused", "HTTP status 540"),
        (
            Fault::Error(406, "PGRST106", "Invalid schema: public"),
            "schema_not_exposed",
            "PGRST106: Invalid schema: public",
        ),
        (Fault::Error(401, "PGRST303", "JWT expired"), "key_not_valid_now", "PGRST303: JWT expired"),
        (Fault::Error(400, "PGRST100", "failed to parse"), "request_rejected", "PGRST100: failed to parse"),
    ];
    let mut answers = Vec::new();
    for (fault, reason, said) in cases {
        // A question whose HEAD cannot say why is asked once more.
        server.fail([fault.clone(), fault]);
        let answer = project.run(&REST).expect(4);
        let [found, _, because] = obstacle(&project, &answer);
        assert_eq!((found, because.as_str()), (format!("supabase.{reason}"), said));
        assert!(server.seen().len() <= 2, "nothing of that is asked again");
        server.recover();
        answers.push(answer);
    }
    // A server that quotes the key back.
    let leak =
        Fault::Error(400, "PGRST100", Box::leak(format!("bad header {}", legacy_key("service_role")).into_boxed_str()));
    server.fail([leak.clone(), leak]);
    answers.push(project.run(&REST).expect(4));
    assert_no_key(&project, &answers.iter().collect::<Vec<_>>());
}

#[test]
fn what_may_pass_is_asked_again_and_not_for_ever() {
    let (project, _database, server) = with_api("rest_again");
    server.fail([Fault::Status(429, Some(1)), Fault::Status(503, None), Fault::Status(503, None), Fault::CutHead]);
    assert_eq!(counts(&project.run(&REST).expect(0)), [(960, 960), (120, 120)]);
    assert_eq!(server.seen().len(), 6);
    // The first question never gets its answer; 4 tries, each with its question why.
    for (fault, reason) in [(Fault::Html(522), "project_asleep"), (Fault::CutHead, "connection_lost")] {
        server.fail(vec![fault; 8]);
        let answer = project.run(&REST).expect(4);
        assert_eq!(obstacle(&project, &answer)[0], format!("supabase.{reason}"));
        assert!((4..=8).contains(&server.seen().len()));
        server.recover();
    }
    server.fail([Fault::Status(500, None), Fault::CutBody]);
    assert_eq!(counts(&project.run(&REST).expect(0)), [(960, 960), (120, 120)]);
}

#[test]
fn a_stale_schema_cache_is_told_from_a_missing_table_and_reloaded() {
    let (project, database, _) = with_api("rest_cache");
    database.execute("alter table facts rename to facts_elsewhere");
    let server = Postgrest::start(&database);
    use_key(&project, &database, &server, SECRET_KEY);
    // Nobody named a source: the target does not hold the mirror, so the API is asked.
    let missing = project.run(&["parity"]).expect(4);
    assert_eq!(
        obstacle(&project, &missing),
        [
            "supabase.facts_table_missing",
            "the mirror's table is missing",
            "PGRST205: Could not find the table 'public.facts' in the schema cache",
        ]
    );
    assert!(
        missing.stderr.contains("hint: cargo xtask mirror  # see docs/failures/mirror-table-missing\n"),
        "{}",
        missing.stderr
    );
    database.execute("alter table facts_elsewhere rename to facts");
    assert_eq!(counts(&project.run(&REST).expect(0)), [(960, 960), (120, 120)]);
    database.execute("alter table facts rename to facts_elsewhere; notify pgrst");
    let deaf = Postgrest::start(&database);
    database.execute("alter table facts_elsewhere rename to facts");
    deaf.be_deaf();
    use_key(&project, &database, &deaf, SECRET_KEY);
    project.drill_toml(&format!("{DRILL_TOML}\n[timeouts]\nconnect = 1\n"));
    let stale = project.run(&REST).expect(4);
    assert_eq!(obstacle(&project, &stale)[0], "supabase.schema_cache_stale");
    assert!(stale.stderr.contains("NOTIFY pgrst, 'reload schema'"), "{}", stale.stderr);
}

#[test]
fn the_databases_own_refusals_have_their_names() {
    let (project, database, server) = with_api("rest_refusals");
    database.execute("revoke select on facts from service_role");
    let [reason, _, said] = obstacle(&project, &project.run(&REST).expect(4));
    assert_eq!(
        (reason.as_str(), said.as_str()),
        ("supabase.permission_denied", "42501: permission denied for table facts")
    );
    make_mirror(&database);
    server.statement_timeout(50);
    let mut locking = database.connect();
    let mut transaction = locking.transaction().unwrap();
    transaction.batch_execute("lock table facts in access exclusive mode").unwrap();
    let [reason, _, said] = obstacle(&project, &project.run(&REST).expect(4));
    assert_eq!(reason, "supabase.statement_timeout");
    assert_eq!(said, "57014: canceling statement due to statement timeout");
    drop(transaction);
    use_key(&project, &database, &server, "sb_secret_of_another_project_x");
    let [reason, _, said] = obstacle(&project, &project.run(&REST).expect(4));
    assert_eq!(
        (reason.as_str(), said.as_str()),
        ("supabase.key_rejected", "Invalid API key: Double check your API key.")
    );
    drop(server);
    assert_eq!(obstacle(&project, &project.run(&REST).expect(4))[0], "supabase.unreachable");
}

#[test]
fn a_clock_that_is_off_is_named_with_its_minutes() {
    let (project, _database, server) = with_api("rest_clock");
    server.clock_ahead(600);
    let noted = project.run(&REST).expect(0);
    let note = noted.json()["notes"].to_string();
    assert!(note.contains("the clock of the REST API is 10 minutes ahead of this machine's"), "{note}");
    server.clock_ahead(-420);
    let future = Fault::Error(401, "PGRST303", "JWT issued at future");
    server.fail([future.clone(), future]);
    let [reason, _, said] = obstacle(&project, &project.run(&REST).expect(4));
    assert_eq!(reason, "supabase.clock_off");
    assert_eq!(said, "the server's clock is 7 minutes behind this machine's: PGRST303: JWT issued at future");
}

#[test]
fn without_a_key_or_with_the_wrong_kind_nothing_is_asked() {
    let (project, database, server) = with_api("rest_no_key");
    let base = format!("DATABASE_URL={}\n", database.url());
    for (more, reason) in [(String::new(), "no_address"), (format!("SUPABASE_URL={}\n", server.url), "no_key")] {
        project.write(".env.staging", &format!("{base}{more}"));
        assert_eq!(obstacle(&project, &project.run(&REST).expect(4))[0], format!("supabase.{reason}"));
    }
    for (url, key) in [
        (server.url.as_str(), "sb_publishable_abcdefghijklmnopqrstuv"),
        (server.url.as_str(), legacy_key("anon").as_str()),
        ("http://10.0.0.1:54321", SECRET_KEY),
        (&format!("{}/rest/v1", server.url), SECRET_KEY),
    ] {
        project.write(".env.staging", &format!("{base}SUPABASE_URL={url}\nSUPABASE_SERVICE_KEY={key}\n"));
        project.run(&REST).expect(3);
    }
    assert_eq!(server.seen().len(), 0);
}

#[test]
fn ctrl_c_ends_the_wait_for_an_answer() {
    let (project, _database, server) = with_api("rest_interrupt");
    server.fail([Fault::Silence]);
    let child = project.start(&["parity", "--source", "rest"]);
    while server.seen().is_empty() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
}

/// On a server of its own kind: roles belong to a server, and the other tests' service role bypasses row security as a
/// hosted one does.
#[test]
fn a_service_role_that_row_security_keeps_rows_from_counts_nothing() {
    let database = second().database("rest_hidden");
    let (role, owner) = ("service_role", &database.user);
    second().superuser("postgres").batch_execute(&format!("create role {role}; grant {role} to {owner}")).unwrap();
    database.execute(
        r#"create table "DashboardFact" ("factType" text, "shopDomain" text, value jsonb, "createdAt" timestamp);
           create table facts (project text, topic text, key text, value jsonb, created_at timestamptz);
           alter table facts enable row level security;
           grant select on facts to service_role"#,
    );
    let (project, server) = (Project::new(), Postgrest::start(&database));
    use_key(&project, &database, &server, SECRET_KEY);
    assert_eq!(obstacle(&project, &project.run(&REST).expect(4))[0], "supabase.row_security");
    assert_eq!(server.seen().len(), 0, "0 of 0 would have been within");
    database.execute("create policy all_rows on facts for select to service_role using (true)");
    assert_eq!(counts(&project.run(&REST).expect(0)), [(0, 0), (0, 0)]);
}
