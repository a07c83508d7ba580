//! Causes in what is installed, and in the project's own files.

use std::fs;
use std::os::unix::fs::{chown, symlink};
use std::path::Path;

use super::patient::{Patient, as_written};
use crate::server::workspace;

impl Patient {
    pub fn real_programs(&mut self) {
        self.project.env.remove("PATH");
        let _ = fs::remove_dir_all(self.project.path("bin"));
    }

    /// A `node_modules` of our own, with what the real one has but for `without`.
    pub fn packages_without(&self, without: &[&str]) {
        let (own, real) = (self.project.path("node_modules"), workspace().join("node_modules"));
        fs::remove_file(&own).unwrap();
        fs::create_dir_all(&own).unwrap();
        let link = |from: &Path, to: &Path, prefix: &str| {
            for entry in fs::read_dir(from).unwrap().flatten() {
                let name = entry.file_name().into_string().unwrap();
                let full = format!("{prefix}{name}");
                let is_scope = prefix.is_empty() && name.starts_with('@');
                if !is_scope && !without.contains(&full.as_str()) {
                    symlink(entry.path(), to.join(&name)).unwrap();
                }
            }
        };
        link(&real, &own, "");
        for entry in fs::read_dir(&real).unwrap().flatten() {
            let scope = entry.file_name().into_string().unwrap();
            if scope.starts_with('@') && !without.contains(&scope.as_str()) {
                fs::create_dir(own.join(&scope)).unwrap();
                link(&entry.path(), &own.join(&scope), &format!("{scope}/"));
            }
        }
    }

    pub fn packages_back(&self) {
        let own = self.project.path("node_modules");
        if own.symlink_metadata().is_ok_and(|meta| meta.is_dir()) {
            fs::remove_dir_all(&own).unwrap();
        }
        if own.symlink_metadata().is_err() {
            symlink(workspace().join("node_modules"), own).unwrap();
        }
    }
}

/// The package managers here stand in for the real ones: they put back what the test took away.
fn npm_puts_back(patient: &mut Patient) {
    let real = workspace().join("node_modules");
    let script = format!("rm -rf node_modules; ln -s '{}' node_modules", real.display());
    patient.fake("npm", &script);
}

#[test]
fn of_what_is_installed() {
    let mut patient = Patient::new("programs");
    patient.case(
        "node-missing",
        |patient| {
            patient.fake("git", "exit 128");
            patient.project.env.insert("PATH".to_owned(), patient.project.path("bin").display().to_string());
        },
        |patient, _| patient.real_programs(),
    );
    for (cause, script) in [("node-too-old", "echo v18.20.0"), ("node-broken", "exit 126")] {
        patient.case(
            cause,
            |patient| patient.fake("node", script),
            |patient, row| {
                assert!(row.hint.starts_with("install Node"), "{row:?}");
                patient.real_programs();
            },
        );
    }
    patient.case(
        "packages-missing",
        |patient| {
            fs::remove_file(patient.project.path("node_modules")).unwrap();
            npm_puts_back(patient);
        },
        as_written,
    );
    patient.case(
        "packages-in-part",
        |patient| {
            patient.packages_without(&["prisma"]);
            fs::create_dir(patient.project.path("node_modules/prisma")).unwrap();
            patient.project.write("node_modules/prisma/package.json", r#"{"version":"7.10.0"}"#);
        },
        as_written,
    );
    patient.case(
        "two-prismas",
        |patient| {
            patient.packages_without(&["@prisma/client"]);
            patient.project.write("node_modules/@prisma/client/package.json", r#"{"version":"6.19.3"}"#);
        },
        |patient, row| {
            assert!(row.command.as_deref().is_some_and(|command| command.starts_with("npm install")), "{row:?}");
            as_written(patient, row);
        },
    );
    patient.case(
        "prisma-unsupported",
        |patient| {
            patient.packages_without(&["prisma", "@prisma"]);
            installed(patient, "8.0.0");
        },
        as_written,
    );
    insta::assert_snapshot!(patient.said);
}

#[test]
fn of_the_engine_and_the_supabase_cli() {
    let mut patient = Patient::new("engines");
    patient.case(
        "engine-to-bring",
        |patient| {
            patient.packages_without(&["prisma", "@prisma"]);
            installed(patient, "7.9.0");
        },
        |patient, _| patient.packages_back(),
    );
    patient.case(
        "engine-missing",
        |patient| {
            patient.packages_without(&["prisma", "@prisma"]);
            installed(patient, "7.9.0");
            // Node, and no npm to bring it.
            let node = which("node");
            patient.fake("node", &format!("exec '{node}' \"$@\""));
            patient.project.env.insert("PATH".to_owned(), patient.project.path("bin").display().to_string());
        },
        |patient, row| {
            assert!(
                row.command.as_deref().is_some_and(|command| command.contains("@prisma/schema-engine-wasm@")),
                "{row:?}"
            );
            patient.packages_back();
            patient.real_programs();
        },
    );
    patient.case(
        "supabase-cli-missing",
        |patient| {
            patient.packages_without(&["supabase", "@supabase"]);
            patient.real_programs();
            npm_puts_back(patient);
        },
        as_written,
    );
    patient.case(
        "supabase-cli-unsupported",
        |patient| {
            patient.packages_without(&["supabase"]);
            patient.project.write("node_modules/supabase/package.json", r#"{"version":"1.200.0"}"#);
        },
        as_written,
    );
    patient.real_programs();
    patient.case(
        "engine-override",
        |patient| {
            patient.project.env.insert("PRISMA_SCHEMA_ENGINE_BINARY".to_owned(), "no/such/engine".to_owned());
        },
        |patient, row| {
            assert!(row.hint.starts_with("unset PRISMA_SCHEMA_ENGINE_BINARY"), "{row:?}");
            patient.project.env.remove("PRISMA_SCHEMA_ENGINE_BINARY");
        },
    );
    patient.case(
        "engine-of-another-release",
        |patient| {
            let commit = "c0ffee".repeat(7)[..40].to_owned();
            patient.fake("schema-engine", &format!("echo schema-engine-cli {commit}"));
            patient.project.env.insert("PRISMA_SCHEMA_ENGINE_BINARY".to_owned(), "bin/schema-engine".to_owned());
        },
        |patient, row| {
            assert!(row.command.is_some(), "{row:?}");
            patient.project.env.remove("PRISMA_SCHEMA_ENGINE_BINARY");
            patient.real_programs();
        },
    );
    insta::assert_snapshot!(patient.said);
}

fn which(program: &str) -> String {
    let path = std::env::var("PATH").unwrap();
    let found = path.split(':').map(|folder| format!("{folder}/{program}")).find(|file| Path::new(file).is_file());
    found.unwrap()
}

/// A Prisma as far as anybody looks at it, in the project's own packages.
fn installed(patient: &Patient, version: &str) {
    let packages = [
        ("prisma", version, r#""@prisma/config":"","@prisma/engines":"""#),
        ("@prisma/config", version, ""),
        ("@prisma/engines", version, r#""@prisma/engines-version":"""#),
        ("@prisma/engines-version", "7.9.0-4.0000000000000000000000000000000000000000", ""),
    ];
    for (name, version, needs) in packages {
        let text = format!(r#"{{"version":"{version}","dependencies":{{{needs}}}}}"#);
        patient.project.write(&format!("node_modules/{name}/package.json"), &text);
    }
    patient.project.write("node_modules/prisma/build/index.js", "");
}

#[test]
fn of_the_projects_own_files() {
    const SCHEMA: &str = "prisma/schema.postgres.prisma";
    const LOCK: &str = "prisma/postgres/migrations/migration_lock.toml";
    let mut patient = Patient::new("files");
    let edits = [
        ("schema-missing", "drill.toml", SCHEMA, "prisma/nowhere.prisma"),
        ("schema-not-postgres", SCHEMA, "provider = \"postgresql\"", "provider = \"sqlite\""),
        ("schema-without-models", SCHEMA, "\nmodel ", "\ntype "),
        ("schema-error", SCHEMA, "DateTime", "DateTimes"),
        ("history-not-postgres", LOCK, "postgresql", "sqlite"),
        ("no-migrations", "drill.toml", "prisma/postgres/migrations", "prisma/nothing"),
    ];
    fs::create_dir(patient.project.path("prisma/nothing")).unwrap();
    for (cause, file, from, to) in edits {
        let whole = patient.project.read(file);
        patient.case(cause, |patient| patient.edit(file, from, to), |patient, _| patient.project.write(file, &whole));
    }
    patient.case(
        "migration-without-script",
        |patient| fs::create_dir(patient.project.path("prisma/postgres/migrations/20270101000000_empty")).unwrap(),
        as_written,
    );
    patient.case(
        "config-fails",
        |patient| {
            patient.config_back();
            patient.edit(
                "prisma/postgres.config.ts",
                "export default",
                "throw new Error(\"not today\");\nexport default",
            );
        },
        |patient, row| {
            assert!(row.message.contains("not today"), "{row:?}");
            patient.config_back();
        },
    );
    fs::remove_file(patient.project.path("prisma/postgres.config.ts")).unwrap();
    if rustix::process::geteuid().is_root() {
        owners(&mut patient);
    }
    insta::assert_snapshot!(patient.said);
}

/// A disk of one megabyte stands where snapshots go.
#[test]
fn of_a_disk_without_room() {
    let patient = Patient::new("disk");
    let inner = patient.project.command(&["doctor", "--json"]);
    let mut command = std::process::Command::new("unshare");
    let mount = r#"mount -t tmpfs -o size=1m none "$0" && exec "$@""#;
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", mount]).arg(patient.project.path(".drill"));
    command.arg(inner.get_program()).args(inner.get_args()).current_dir(patient.project.path("")).env_clear();
    command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let json = crate::project::Project::answer(&mut command).expect(0).json();
    let warned: Vec<_> = json["checks"].as_array().unwrap().iter().filter(|row| row["status"] == "warn").collect();
    assert_eq!(warned.len(), 1, "{json:#}");
    assert_eq!(warned[0]["cause"], "disk-low");
    assert!(warned[0]["hint"].as_str().unwrap().starts_with("make room on the disk of `.drill`"), "{json:#}");
}

#[test]
fn of_this_machine() {
    let mut patient = Patient::new("machine");
    patient.case(
        "temporary-files",
        |patient| {
            patient.project.env.insert("TMPDIR".to_owned(), "/no/such/folder".to_owned());
        },
        |patient, row| {
            assert!(row.hint.contains("point TMPDIR elsewhere"), "{row:?}");
            patient.project.env.remove("TMPDIR");
        },
    );
    let run = fs::read_dir(patient.project.path("feedback/evidence")).unwrap().flatten().next().unwrap().path();
    let record = run.join("run.json");
    let whole = fs::read(&record).unwrap();
    patient.case(
        "evidence-altered",
        |_| fs::write(&record, [whole.as_slice(), b"\n"].concat()).unwrap(),
        |patient, row| {
            let verify = patient.project.run(&["evidence", "verify"]).expect(5);
            assert!(
                row.command.as_deref() == Some("cargo xtask evidence verify") && verify.stderr.contains("run.json")
            );
            fs::write(&record, &whole).unwrap();
        },
    );
    patient.case(
        "sandbox-postgres-missing",
        |patient| {
            let text = patient.project.read("drill.toml");
            patient.project.write("drill.toml", &format!("{text}\n[sandbox]\nbin_dir = \"nowhere\"\n"));
        },
        |patient, row| {
            assert!(row.hint.contains("pg_config --bindir"), "{row:?}");
            patient.edit("drill.toml", "\n[sandbox]\nbin_dir = \"nowhere\"\n", "");
        },
    );
    insta::assert_snapshot!(patient.said);
}

/// Files of another user, seen by who is not root.
fn owners(patient: &mut Patient) {
    fn give(path: &Path) {
        chown(path, Some(12_345), Some(12_345)).unwrap();
        for entry in fs::read_dir(path).unwrap().flatten() {
            if entry.file_type().unwrap().is_dir() {
                give(&entry.path())
            } else {
                chown(entry.path(), Some(12_345), None).unwrap()
            }
        }
    }
    // Inside the namespace it is the user 1000 who is we.
    let mends = |patient: &mut Patient, row: &super::patient::Row| {
        assert!(row.command.as_deref().is_some_and(|command| command.starts_with("sudo chown -R 1000 ")), "{row:?}");
        let row = super::patient::Row {
            command: row.command.as_deref().map(|it| it.replace("-R 1000", "-R 0")),
            ..row.clone()
        };
        as_written(patient, &row);
    };
    patient.as_user = true;
    patient.healthy();
    patient.case("client-not-writable", |patient| give(&patient.project.path("prisma/generated")), mends);
    patient.case("private-folder", |patient| give(&patient.project.path(".drill")), mends);
    patient.case("evidence-folder", |patient| give(&patient.project.path("feedback")), mends);
    patient.case(
        "packages-owner",
        |patient| {
            patient.packages_without(&[]);
            chown(patient.project.path("node_modules"), Some(12_345), None).unwrap();
        },
        mends,
    );
    patient.packages_back();
    patient.as_user = false;
}
