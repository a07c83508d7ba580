//! The guard through the built binary: what it answers, and that a refusal touched nothing.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;
use serde_json::Value;

use crate::project::{DRILL_TOML, Project, program};
use crate::server::Server;

const POLICY: &str = r#"
[targets.staging]
allow_hosts = ["*.staging.hotdash.app", "localhost", "127.0.0.1", "::1"]
allow_projects = ["stagingrefabcdefghij"]
[prisma]
schema = "prisma/schema.prisma"
"#;

/// One line of the corpus of measured targets.
#[derive(Deserialize)]
struct Case {
    id: String,
    expect: String,
    exported: BTreeMap<String, String>,
    env_file: Option<String>,
    #[serde(default)]
    project_files: BTreeMap<String, String>,
    #[serde(default)]
    acceptable_if_scrubbed: Vec<String>,
}

impl Case {
    /// The exit codes that are right: what moves only a client may also be left behind instead of refused.
    fn codes(&self) -> &'static [i32] {
        match self.expect.as_str() {
            "allow" => &[0],
            // Nobody named a target: that is no dangerous one, but a missing one.
            _ if self.id == "env-missing" => &[4],
            _ if self.acceptable_if_scrubbed.is_empty() => &[3],
            _ => &[0, 3],
        }
    }

    fn lay_out(&self, root: &Path) {
        let env_file = self.env_file.iter().map(|text| (".env.staging", text.as_str()));
        let files = self.project_files.iter().map(|(name, text)| (name.as_str(), text.as_str()));
        for (name, text) in env_file.chain(files).chain([("drill.toml", POLICY)]) {
            fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
            fs::write(root.join(name), text).unwrap();
        }
    }

    /// Passwords of URLs and keys, of which no message may hold one; those that are words of prose are left out.
    fn secrets(&self) -> Vec<String> {
        let values = self.exported.values().chain(&self.env_file).chain(self.project_files.values());
        let text = values.cloned().collect::<Vec<_>>().join("\n");
        let passwords = regex::Regex::new(r"://[^:/@\s]*:([^\s@]+)@").unwrap();
        let keys = regex::Regex::new(r"eyJ[A-Za-z0-9_.-]+|sb[a-z]*_[A-Za-z0-9_]{20,}|api_key=\S+").unwrap();
        let passwords = passwords.captures_iter(&text).map(|found| found[1].to_owned());
        let mut secrets: Vec<String> =
            passwords.chain(keys.find_iter(&text).map(|key| key.as_str().to_owned())).collect();
        secrets.extend(["s3cret", "prodpw", "pa#ss"].map(String::from));
        secrets.retain(|secret| secret.len() > 3 && secret != "postgres" && !secret.contains("hotdash.app"));
        secrets
    }
}

/// Programs of the names that a run calls; each leaves a file when it runs.
struct Trap {
    folder: tempfile::TempDir,
}

impl Trap {
    fn set() -> Trap {
        let trap = Trap { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(trap.path()).unwrap();
        for name in ["node", "npm", "npx", "git", "psql", "supabase", "prisma", "sh"] {
            let program = trap.path().join(name);
            fs::write(&program, format!("#!/bin/sh\n: > '{}'\n", trap.folder.path().join("sprung").display())).unwrap();
            fs::set_permissions(program, fs::Permissions::from_mode(0o755)).unwrap();
        }
        trap
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("bin")
    }

    fn sprung(&self) -> bool {
        self.folder.path().join("sprung").exists()
    }
}

fn env_check(case: &Case, trap: &Trap) -> Result<(), String> {
    let root = tempfile::tempdir().unwrap();
    case.lay_out(root.path());
    let mut command = Command::new(program());
    command.args(["env", "check", "--root"]).arg(root.path()).env_clear().envs(&case.exported).env("PATH", trap.path());
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let code = output.status.code().unwrap_or(-1);
    if !case.codes().contains(&code) {
        return Err(format!("{} ended with {code}, not {:?}:\n{text}", case.id, case.codes()));
    }
    match case.secrets().into_iter().find(|secret| text.contains(secret.as_str())) {
        Some(secret) => Err(format!("{} shows {secret}:\n{text}", case.id)),
        None => Ok(()),
    }
}

/// Proves that the built binary answers each measured target as it should, shows no secret of it, and starts no program for it.
#[test]
fn every_target_of_the_corpus_gets_its_exit_code_and_nothing_is_spawned() {
    let lines = include_str!("../corpus/targets.jsonl").lines();
    let cases: Vec<Case> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(cases.len() > 200);
    let trap = Trap::set();
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let workers: Vec<_> = cases
            .chunks(cases.len().div_ceil(4))
            .map(|cases| {
                scope.spawn(|| cases.iter().filter_map(|case| env_check(case, &trap).err()).collect::<Vec<_>>())
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(!trap.sprung());
}

/// Proves that a good target is only read, not dialled: nobody knocks at the port that it names.
#[test]
fn env_check_leaves_the_network_alone() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let mut project = Project::new();
    let trap = Trap::set();
    project.env.insert("PATH".to_owned(), trap.path().display().to_string());
    let port = listener.local_addr().unwrap().port();
    project.write(".env.staging", &format!("DATABASE_URL=postgresql://u:pw-of-nobody@127.0.0.1:{port}/quiet_test\n"));
    project.run(&["env", "check"]).expect(0);
    assert!(listener.accept().is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock));
    // Any other command does knock: the port is the right one.
    project.drill_toml(&format!("{DRILL_TOML}\n[timeouts]\nconnect = 1\n"));
    project.run(&["forward"]).expect(4);
    listener.accept().unwrap();
    assert!(!trap.sprung());
}

#[test]
fn all_refusals_come_at_once_and_as_json() {
    let mut project = Project::new();
    project.drill_toml(POLICY);
    let lines = "DATABASE_URL=postgresql://u:Sup3r-S3cret-Pw@prod.example.com/hotdash\nDIRECT_URL=\nSUPABASE_URL=https://api.hotdash.app\n";
    project.write(".env.staging", lines);
    project.env.insert("RES_OPTIONS".to_owned(), "ndots:10".to_owned());
    let answer = project.run(&["env", "check", "--json"]).expect(3);
    let json = answer.json();
    let refusals = json["refusals"].as_array().unwrap();
    let checks: Vec<&str> = refusals.iter().map(|refusal| refusal["check"].as_str().unwrap()).collect();
    for check in ["host", "database", "source", "supabase-url", "resolver"] {
        assert!(checks.contains(&check), "{check} is not in {checks:?}");
    }
    assert!(refusals.iter().all(|refusal| !refusal["hint"].as_str().unwrap().is_empty()));
    assert_eq!((&json["status"], &json["exit_code"]), (&Value::from("refused"), &Value::from(3)));
    assert!(!format!("{}{}", answer.stdout, answer.stderr).contains("Sup3r-S3cret-Pw"));
}

/// Each makes an otherwise good target one that is not provably staging.
fn spoil(project: &mut Project, url: &str, how: &str) {
    let env_file = format!("DATABASE_URL={url}\n");
    match how {
        "another database's pattern" => {
            project.drill_toml("[targets.staging]\nallow_hosts = [\"127.0.0.1\"]\nallow_databases = [\"*_staging\"]\n")
        }
        "another host" => project.drill_toml(
            "[targets.staging]\nallow_hosts = [\"*.staging.hotdash.app\"]\nallow_databases = [\"*_test\"]\n",
        ),
        "a second address in a parameter" => {
            project.write(".env.staging", &format!("DATABASE_URL={url}?host=127.0.0.1\n"))
        }
        "a duplicate key" => project.write(".env.staging", &env_file.repeat(2)),
        "the same target in production's file" => project.write(".env.production", &env_file),
        "an exported URL that differs" => {
            drop(project.env.insert("DATABASE_URL".to_owned(), format!("{url}?schema=public")))
        }
        "an exported DIRECT_URL" => drop(project.env.insert("DIRECT_URL".to_owned(), url.to_owned())),
        "a DIRECT_URL that Prisma would find" => project.write("prisma/.env", &format!("DIRECT_URL={url}\n")),
        "a config with a URL written out" => {
            let config = "export default { datasource: { url: 'postgresql://u:p@prod.example.com/hotdash' } }";
            project.write("prisma/postgres.config.ts", config);
        }
        "a config in which .env wins" => {
            let config = "import { config } from 'dotenv';\nconfig({ override: true });\nexport default {}";
            project.write("prisma/postgres.config.ts", config);
        }
        "a schema that lists what is not ours" => {
            let schema = project.read("prisma/schema.postgres.prisma");
            let listed = schema.replacen("\"postgresql\"", "\"postgresql\"\n  schemas = [\"public\", \"auth\"]", 1);
            project.write("prisma/schema.postgres.prisma", &listed);
        }
        "a foreign schema behind a block comment" => {
            let schema = project.read("prisma/schema.postgres.prisma");
            let hidden = "\"postgresql\"\n  /* schemas = [\"public\"] */ schemas = [\"public\", \"audit\"]";
            project.write("prisma/schema.postgres.prisma", &schema.replacen("\"postgresql\"", hidden, 1));
        }
        "a schema folder that lists what is not ours" => {
            let schema = project.read("prisma/schema.postgres.prisma");
            let listed = schema.replacen("\"postgresql\"", "\"postgresql\"\n  schemas = [\"public\", \"audit\"]", 1);
            project.write("prisma/whole/deep/main.prisma", &listed);
            project.drill_toml(&format!("{DRILL_TOML}[prisma]\nschema = \"prisma/whole\"\n"));
        }
        "a schema folder with a file that cannot be read" => {
            project.write("prisma/whole/main.prisma", &project.read("prisma/schema.postgres.prisma"));
            std::os::unix::fs::symlink("nowhere", project.path("prisma/whole/models.prisma")).unwrap();
            project.drill_toml(&format!("{DRILL_TOML}[prisma]\nschema = \"prisma/whole\"\n"));
        }
        "one file of a schema folder" => {
            project.write("prisma/whole/main.prisma", "datasource db {\n  provider = \"postgresql\"\n}\n");
            project.write("prisma/whole/models/shelf.prisma", "model Shelf {\n  id Int @id\n}\n");
            project.drill_toml(&format!("{DRILL_TOML}[prisma]\nschema = \"prisma/whole/main.prisma\"\n"));
        }
        "another schema than the folder that the config names" => {
            project.write("prisma/whole/main.prisma", &project.read("prisma/schema.postgres.prisma"));
            let config = project.read("prisma/postgres.config.ts").replace("schema.postgres.prisma", "whole");
            project.write("prisma/postgres.config.ts", &config);
        }
        "a schema of another ending" => {
            project.write("prisma/schema.txt", &project.read("prisma/schema.postgres.prisma"));
            project.drill_toml(&format!("{DRILL_TOML}[prisma]\nschema = \"prisma/schema.txt\"\n"));
        }
        "a schema that Prisma could not read" => {
            let schema = project.read("prisma/schema.postgres.prisma");
            project.write("prisma/schema.postgres.prisma", &format!("{schema}/* schemas = ["));
        }
        "an env file of a name that is a folder" => {
            fs::create_dir_all(project.path(".env.production")).unwrap();
        }
        name => drop(project.env.insert(name.to_owned(), "evil.example.com".to_owned())),
    }
}

/// Proves by the server's own log that no refused target is dialled, and by traps on PATH that nothing is spawned for it.
#[test]
fn a_refused_target_is_never_reached_and_starts_nothing() {
    let server = Server::start();
    let database = server.database("refused");
    let trap = Trap::set();
    let before = server.connections();
    for how in [
        "another database's pattern",
        "another host",
        "a second address in a parameter",
        "a duplicate key",
        "the same target in production's file",
        "an exported URL that differs",
        "an exported DIRECT_URL",
        "a DIRECT_URL that Prisma would find",
        "a config with a URL written out",
        "a config in which .env wins",
        "a schema that lists what is not ours",
        "a foreign schema behind a block comment",
        "a schema folder that lists what is not ours",
        "a schema folder with a file that cannot be read",
        "one file of a schema folder",
        "another schema than the folder that the config names",
        "a schema of another ending",
        "a schema that Prisma could not read",
        "an env file of a name that is a folder",
        "RES_OPTIONS",
        "LOCALDOMAIN",
        "HOSTALIASES",
    ] {
        let mut project = Project::new();
        project.write(".env.staging", &format!("DATABASE_URL={}\n", database.url()));
        spoil(&mut project, &database.url(), how);
        project.env.insert("PATH".to_owned(), trap.path().display().to_string());
        for command in [&["forward"][..], &["claim", "--confirm", &database.name]] {
            let answer = project.run(command);
            assert_eq!(answer.code, 3, "{how}: {command:?}\n{}", answer.stderr);
            assert!(answer.stderr.contains("Nothing was spawned, and nothing was changed."), "{how}");
            project.assert_no_secret_but_in(&[&answer], &[".env.production", "prisma/.env"]);
        }
    }
    assert_eq!(server.connections(), before, "{}", server.log());
    assert!(!trap.sprung());
    // The same target without any of it is reached: the log would have shown it.
    let project = Project::new();
    project.write(".env.staging", &format!("DATABASE_URL={}\n", database.url()));
    project.run(&["claim", "--plan"]).expect(0);
    assert!(server.connections() > before);
}
