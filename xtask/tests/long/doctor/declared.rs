//! Causes in files and variables: before anything is dialled.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::process::Command;

use super::patient::{Patient, as_written};
use crate::postgrest::legacy_key;
use crate::project::DRILL_TOML;

fn git(patient: &Patient, words: &[&str]) {
    let mut command = Command::new("git");
    command.args(["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main"]).args(words);
    assert!(command.current_dir(patient.project.path("")).output().unwrap().status.success(), "git {words:?}");
}

#[test]
fn of_the_env_file() {
    let mut patient = Patient::new("env_file");
    let url = patient.url();
    let env = patient.project.path(".env.staging");
    patient.case(
        "placeholder",
        |patient| patient.write_env_file(&format!("DATABASE_URL={url}\nSHOPIFY_API_KEY=changeme\n")),
        |patient, row| {
            assert!(row.hint.contains("or remove its line"));
            patient.env_file(&url);
        },
    );
    patient.case(
        "placeholder",
        |patient| {
            patient.env_file("'postgresql://postgres.abcdefghijklmnopqrst:[YOUR-PASSWORD]@127.0.0.1:5432/x_test'")
        },
        |patient, _| patient.env_file(&url),
    );
    patient.case(
        "env-file-form",
        |patient| patient.write_env_file(&format!("DATABASE_URL={url}\nA: b\n")),
        |patient, row| {
            assert!(row.message.contains("line 2") && row.hint.starts_with("write `NAME=value`"), "{row:?}");
            patient.edit(".env.staging", "A: b", "A=b");
            patient.env_file(&url);
        },
    );
    patient.case(
        "env-file-unreadable",
        |_| {
            fs::remove_file(&env).unwrap();
            symlink("nowhere", &env).unwrap();
        },
        |patient, row| {
            assert!(row.hint.starts_with("let `.env.staging` be a plain file"), "{row:?}");
            fs::remove_file(&env).unwrap();
            patient.env_file(&url);
        },
    );
    patient.case(
        "env-file-missing",
        |patient| {
            fs::copy(
                crate::server::workspace().join(".env.staging.example"),
                patient.project.path(".env.staging.example"),
            )
            .unwrap();
            patient.project.drill_toml(&format!("{DRILL_TOML}env_file = \"config/.env.staging\"\n"));
            fs::create_dir(patient.project.path("config")).unwrap();
        },
        |patient, row| {
            as_written(patient, row);
            fs::copy(&env, patient.project.path("config/.env.staging")).unwrap();
        },
    );
    patient.project.drill_toml(DRILL_TOML);
    insta::assert_snapshot!(patient.said);
}

#[test]
fn of_who_can_get_at_the_env_file() {
    let mut patient = Patient::new("env_access");
    let url = patient.url();
    let env = patient.project.path(".env.staging");
    let example = crate::server::workspace().join(".env.staging.example");
    fs::copy(example, patient.project.path(".env.staging.example")).unwrap();
    patient.case(
        "env-file-missing",
        |_| fs::remove_file(&env).unwrap(),
        |patient, row| {
            as_written(patient, row);
            patient.env_file(&url);
        },
    );
    patient.case(
        "env-file-open",
        |_| fs::set_permissions(&env, fs::Permissions::from_mode(0o644)).unwrap(),
        as_written,
    );
    if rustix::process::geteuid().is_root() {
        // Nobody else can give a file away.
        patient.case("env-file-owner", |_| chown(&env, Some(12_345), None).unwrap(), as_written);
    }
    git(&patient, &["init", "-q"]);
    patient.case("env-file-not-ignored", |patient| patient.edit(".gitignore", ".env.*\n", ""), as_written);
    patient.case("env-file-staged", |patient| git(patient, &["add", "--force", ".env.staging"]), as_written);
    patient.case(
        "env-file-committed",
        |patient| {
            git(patient, &["add", "--force", ".env.staging", "package.json"]);
            git(patient, &["commit", "--quiet", "-m", "all"]);
        },
        |patient, row| {
            let (text, command) = row.hint.split_once(": ").unwrap();
            assert!(text.starts_with("change every password"), "{text}");
            let kept = patient.project.read(".env.staging");
            let command = command.split("; see").next().unwrap();
            let run = Command::new("sh").args(["-c", command]).current_dir(patient.project.path("")).output().unwrap();
            assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
            patient.write_env_file(kept.strip_suffix('\n').map(|text| format!("{text}\n")).as_deref().unwrap());
        },
    );
    insta::assert_snapshot!(patient.said);
}

/// An edit of one line of the env file or of drill.toml, and the way back.
fn lines(patient: &mut Patient, cases: &[(&str, &str, &str)]) {
    let url = patient.url();
    for (cause, file, line) in cases {
        let whole = patient.project.read(file);
        let line = line.replace("{url}", &url);
        patient.case(
            cause,
            |patient| match *file {
                ".env.staging" if line.starts_with("DATABASE_URL") => patient.write_env_file(&format!("{line}\n")),
                ".env.staging" => patient.write_env_file(&format!("{whole}{line}\n")),
                _ => patient.project.write(file, &whole.replace("\nallow_hosts", &format!("\n{line}\nallow_hosts"))),
            },
            |patient, _| {
                patient.project.write(file, &whole);
                patient.write_env_file(&patient.project.read(".env.staging"));
            },
        );
    }
}

#[test]
fn of_what_the_guard_refuses() {
    let mut patient = Patient::new("guard");
    let url = patient.url();
    let api = "http://127.0.0.1:54321";
    let anon = legacy_key("anon");
    lines(
        &mut patient,
        &[
            ("target-not-set", ".env.staging", "DATABASE_URL="),
            ("url-form", ".env.staging", "DATABASE_URL=postgres://u:p@127.0.0.1:5432/a_test?host=db.example.com"),
            ("host-not-allowed", ".env.staging", "DATABASE_URL=postgresql://u:pw-1234567@db.example.com:5432/a_test"),
            ("database-not-allowed", ".env.staging", "DATABASE_URL=postgresql://u:p@127.0.0.1:5432/a_prod"),
            ("schema-not-allowed", ".env.staging", "DATABASE_URL={url}?schema=auth"),
            ("shadow-url", ".env.staging", "SHADOW_DATABASE_URL={url}"),
            ("api-url", ".env.staging", "SUPABASE_URL=https://example.com"),
            ("service-key", ".env.staging", &format!("SUPABASE_URL={api}\nSUPABASE_SERVICE_KEY={anon}")),
            ("drill-toml", "drill.toml", "alow_hosts = []"),
        ],
    );
    patient.case(
        "direct-url",
        |patient| {
            let other = url.replace(&patient.database.name, "another_test");
            patient.write_env_file(&format!("DATABASE_URL={url}\nDIRECT_URL={other}\n"));
        },
        |patient, _| patient.write_env_file(&format!("DATABASE_URL={url}\nDIRECT_URL={url}\n")),
    );
    patient.env_file(&url);
    patient.case(
        "policy-too-wide",
        |patient| patient.edit("drill.toml", "allow_hosts = [\"127.0.0.1\"]", "allow_hosts = [\"*\"]"),
        |patient, _| patient.edit("drill.toml", "allow_hosts = [\"*\"]", "allow_hosts = [\"127.0.0.1\"]"),
    );
    patient.case(
        "password-not-given",
        |patient| {
            patient.project.drill_toml(&DRILL_TOML.replace("127.0.0.1", "*.staging.hotdash.app"));
            patient.env_file("postgresql://app@db.staging.hotdash.app:5432/a_test");
        },
        |patient, _| {
            patient.project.drill_toml(DRILL_TOML);
            patient.env_file(&url);
        },
    );
    patient.case(
        "project-not-allowed",
        |patient| {
            patient.env_file("postgresql://postgres.abcdefghijklmnopqrst:pw-1234567@aws-0-eu-west-1.pooler.supabase.com:5432/postgres");
        },
        |patient, _| patient.env_file(&url),
    );
    insta::assert_snapshot!(patient.said);
}

#[test]
fn of_what_contradicts_the_target() {
    let mut patient = Patient::new("contradicted");
    let url = patient.url();
    patient.case(
        "target-not-set",
        |patient| {
            let other = url.replace(&patient.database.name, "another_test");
            patient.project.env.insert("DATABASE_URL".to_owned(), other);
        },
        |patient, row| {
            assert!(row.hint.contains("unset"), "{row:?}");
            patient.project.env.remove("DATABASE_URL");
        },
    );
    patient.case(
        "other-url",
        |patient| {
            let other = url.replace(&patient.database.name, "another_test");
            patient.project.env.insert("POSTGRES_URL".to_owned(), other);
        },
        |patient, row| {
            assert!(row.hint.contains("unset"), "{row:?}");
            patient.project.env.remove("POSTGRES_URL");
        },
    );
    patient.case(
        "resolver-moved",
        |patient| {
            patient.project.env.insert("HOSTALIASES".to_owned(), "/tmp/aliases".to_owned());
        },
        |patient, row| {
            assert!(row.hint.contains("unset"), "{row:?}");
            patient.project.env.remove("HOSTALIASES");
        },
    );
    patient.case(
        "production-file",
        |patient| {
            let other =
                format!("postgres://app:pw-1234567@127.0.0.1:{}/{}", patient.database.port, patient.database.name);
            patient.project.write(".env.production", &format!("DATABASE_URL={other}\n"));
        },
        |patient, row| {
            assert!(row.hint.contains("remove it from `.env.production`"), "{row:?}");
            fs::remove_file(patient.project.path(".env.production")).unwrap();
        },
    );
    insta::assert_snapshot!(patient.said);
}

#[test]
fn of_files_that_prisma_reads() {
    let mut patient = Patient::new("read_by_prisma");
    patient.case(
        "project-file",
        |patient| {
            patient.config_back();
            let config = "prisma/postgres.config.ts";
            patient.edit(config, "process.env.DATABASE_URL ?? \"\"", "\"postgresql://a:b-1234567@db.example.com/x\"");
        },
        |patient, row| {
            assert!(row.hint.contains("from `process.env`"), "{row:?}");
            patient.config_back();
        },
    );
    fs::remove_file(patient.project.path("prisma/postgres.config.ts")).unwrap();
    patient.case(
        "schema-file",
        |patient| {
            patient.project.write("prisma/schema.txt", &patient.project.read("prisma/schema.postgres.prisma"));
            patient.edit("drill.toml", "prisma/schema.postgres.prisma", "prisma/schema.txt");
        },
        |patient, row| {
            assert!(row.hint.contains("as `schema` under `[prisma]`"), "{row:?}");
            patient.edit("drill.toml", "prisma/schema.txt", "prisma/schema.postgres.prisma");
        },
    );
    insta::assert_snapshot!(patient.said);
}
