//! The real squawk, as PyPI has it: its findings are beside what was measured, and what it takes for a rewrite and is none is told.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::project::Project;

const RELEASE: &str = "2.70.0";

/// The folder with the program, brought once.
fn program() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("squawk-{RELEASE}"));
    if !folder.join("bin/squawk").is_file() {
        let words = ["-m", "venv"];
        assert!(Command::new("python3").args(words).arg(&folder).status().unwrap().success());
        let wanted = format!("squawk-cli=={RELEASE}");
        let pip =
            Command::new(folder.join("bin/pip")).args(["install", "-q", "--only-binary", ":all:", &wanted]).status();
        assert!(pip.unwrap().success());
    }
    folder.join("bin")
}

#[test]
fn its_findings_are_beside_what_was_measured() {
    let (mut project, database) = Project::on_staging("squawk");
    project.run(&["forward", "-q"]).expect(0);
    database.execute(r#"insert into "Session" (id, shop, state, "accessToken") values ('1', 's', 's', 't')"#);
    let sql = "-- AlterTable\nALTER TABLE \"Session\" ALTER COLUMN \"shop\" TYPE varchar;\n\nCREATE TABLE \"Fresh\" (id int);\n\
               CREATE INDEX i ON \"Session\" (shop);\nALTER TABLE \"Session\"\n  ALTER COLUMN \"userId\" TYPE int;\n";
    project.migration("20260101000000_types", sql);
    let path = std::env::var("PATH").unwrap();
    project.env.insert("PATH".to_owned(), format!("{}:{path}", program().display()));
    project.write(
        ".squawk.toml",
        "excluded_rules = [\"prefer-robust-stmts\", \"require-lock-timeout\", \"require-statement-timeout\"]\n",
    );
    let answer = project.run(&["forward", "--json"]).expect(0);
    let said = answer.said();
    let told: Vec<&str> = said.lines().filter(|line| line.contains("squawk")).collect();
    insta::assert_snapshot!(told.join("\n"), @"
    Target: staging is database `squawk_N_test` on 127.0.0.1:PORT (Postgres 17.10, unclaimed)
      `20260101000000_types` line 2: squawk's `changing-column-type` does not hold: measured, it rewrites no table
      ✓ impact: 4 statements measured: 1 migration is in the way of tables that hold rows here; squawk has 5 findings, 1 of which the measurement contradicts
    ");
    let json = answer.json();
    let lint = |one: &serde_json::Value| {
        let rules = one["lint"].as_array().into_iter().flatten().map(|one| one["rule"].as_str().unwrap().to_owned());
        format!("{}: {}", one["line"], rules.collect::<Vec<_>>().join(", "))
    };
    insta::assert_snapshot!(json["impact"].as_array().unwrap().iter().map(lint).collect::<Vec<_>>().join("\n"), @"
    2: changing-column-type
    4: prefer-bigint-over-int
    5: require-concurrent-index-creation
    6: changing-column-type, prefer-bigint-over-int
    ");
}
