//! `doctor` as a whole. Its causes, each made for real, named alone, and gone once its fix was applied as it is written, are in `tests/long/doctor`.

#[allow(dead_code, reason = "shared with the long tests")]
mod patient;

use std::time::{Duration, Instant};

use patient::Patient;

/// All of the answer, as a user reads it.
#[test]
fn a_healthy_target_has_a_line_for_everything_that_was_looked_at() {
    let patient = Patient::new("healthy");
    let answer = patient.project.run(&["doctor"]).expect(0);
    let said = patient.without_names(&answer.stdout);
    insta::assert_snapshot!(said);
    assert_eq!(answer.stderr, "");
    assert_eq!(patient.project.run(&["doctor", "-q"]).expect(0).stdout.trim(), "");
    patient.project.assert_no_secret(&[&answer]);
}

/// Nothing on the disk and nothing on the server is another one afterwards.
#[test]
fn it_changes_nothing() {
    let patient = Patient::new("untouched");
    patient.config_back();
    std::fs::remove_dir_all(patient.project.path(".drill/schemas")).unwrap();
    let state = || {
        let files: Vec<_> =
            patient.project.files().iter().map(|file| (file.clone(), std::fs::read(file).unwrap())).collect();
        let databases: Vec<String> = crate::server::shared()
            .superuser("postgres")
            .query(
                "select datname::text from pg_database where datname like $1 order by 1",
                &[&format!("%{}%", patient.database.name)],
            )
            .unwrap()
            .iter()
            .map(|row| row.get(0))
            .collect();
        let rows: String = patient.database.one("select string_agg(t::text, chr(10)) from _prisma_migrations t");
        (files, databases, rows)
    };
    let before = state();
    patient.project.run(&["doctor"]).expect(0);
    patient.project.run(&["doctor", "--json"]).expect(0);
    assert!(before == state());
}

/// Without a target it is about this machine and the sandbox; nothing is started for it.
#[test]
fn without_an_env_file_it_looks_at_the_machine_and_the_sandbox() {
    let patient = Patient::new("nobody");
    std::fs::remove_file(patient.project.path(".env.staging")).unwrap();
    let answer = patient.project.run(&["doctor"]).expect(0);
    insta::assert_snapshot!(patient.without_names(&answer.stdout));
    assert!(!patient.project.path(".drill/sandbox").exists());
}

#[test]
fn a_known_failure_is_explained_by_its_name_and_by_a_code() {
    let project = crate::project::Project::empty();
    let page = std::fs::read_to_string(crate::server::workspace().join("docs/failures/wrong-password.md")).unwrap();
    for name in ["wrong-password", "28P01", "docs/failures/wrong-password", "docs/failures/wrong-password.md"] {
        assert_eq!(project.run(&["doctor", "--explain", name]).expect(0).stdout, page, "{name}");
    }
    let unknown = project.run(&["doctor", "--explain", "P9999"]).expect(2);
    insta::assert_snapshot!(unknown.stderr, @"
    error: no known failure is called `P9999`
    note: docs/failures/README.md lists them, by name and by code
    ");
    // What zsh passes on of a hint that is pasted.
    let pasted = project.run(&["doctor", "--explain", "wrong-password", "#", "see", "docs/failures/x"]);
    assert_eq!(pasted.expect(0).stdout, page);
}

/// Fault injection: programs and servers that never answer. Each is a row, and the answer comes all the same.
#[test]
fn whatever_hangs_the_answer_comes_within_five_seconds() {
    let mut patient = Patient::new("hangs");
    patient.fake("node", "sleep 60");
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    patient.env_file(&patient.url().replace(&format!(":{}/", patient.database.port), &format!(":{port}/")));
    let begun = Instant::now();
    let rows = patient.ails();
    assert!(begun.elapsed() < Duration::from_millis(5_500), "{:?}", begun.elapsed());
    let causes: Vec<&str> = rows.iter().map(|row| row.cause.as_str()).collect();
    assert!(causes.contains(&"server-hangs") && causes.contains(&"no-answer"), "{rows:#?}");
}
