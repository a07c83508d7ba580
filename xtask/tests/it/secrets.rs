//! No secret reaches a terminal, a log, the record or a feedback file, whatever a child prints; and a log stays readable.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::made_history::with_history;
use crate::project::{Answer, Project, program};
use crate::server;

/// What children do get: the application's own secret. With every kind of character that an encoding changes.
const APP_SECRET: &str = "shp/Se+cret&\"9!x=Zq7 Lm%2";

fn strings(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// `evidence redact` in a folder whose env file holds the case's secrets.
fn redact(secrets: &Value, chunks: &[String]) -> String {
    let root = tempfile::tempdir().unwrap();
    let lines =
        secrets.as_object().unwrap().iter().map(|(name, value)| format!("{name}={}\n", value.as_str().unwrap()));
    fs::write(root.path().join(".env.staging"), lines.collect::<String>()).unwrap();
    let mut command = Command::new(program());
    command.args(["evidence", "redact", "--root"]).arg(root.path()).env_clear();
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    for chunk in chunks {
        stdin.write_all(chunk.as_bytes()).unwrap();
        stdin.flush().unwrap();
    }
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What a case of the corpus gets wrong.
fn misses(case: &Value) -> Vec<String> {
    let data = |chunk: &Value| chunk.as_str().or_else(|| chunk["data"].as_str()).unwrap().to_owned();
    let chunks = match &case["chunks"] {
        Value::Array(chunks) => chunks.iter().map(data).collect(),
        _ => vec![data(&case["raw"])],
    };
    let output = redact(&case["secrets"], &chunks);
    let leaked = strings(&case["must_not_contain"]).into_iter().filter(|secret| output.contains(secret.as_str()));
    let lost = strings(&case["must_contain"]).into_iter().filter(|kept| !output.contains(kept.as_str()));
    let id = &case["id"];
    leaked
        .map(|secret| format!("{id} leaks {secret:?}: {output:?}"))
        .chain(lost.map(|kept| format!("{id} loses {kept:?}: {output:?}")))
        .collect()
}

/// Proves that the built binary's filter masks each form of a secret of the corpus, cut into chunks where the case says so.
#[test]
fn evidence_redact_passes_the_corpus() {
    let lines = include_str!("../../crates/redact/tests/redaction.jsonl").lines();
    let cases: Vec<Value> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(cases.len() > 50);
    let misses: Vec<String> = cases.iter().flat_map(misses).collect();
    assert!(misses.is_empty(), "{}", misses.join("\n"));
}

/// Proves that no fault of the settings turns the masking off: all of stdin comes out with what can be known masked, and then the fault is
/// told with its exit code.
#[test]
fn evidence_redact_masks_what_it_can_whatever_is_wrong_with_the_settings() {
    let pipe = |project: &Project, args: &[&str]| {
        let mut command = project.command(&[&["evidence", "redact"], args].concat());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"pw Hunter2-Z and open sesame-street end\n").unwrap();
        let output = child.wait_with_output().unwrap();
        let (stdout, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert!(!stdout.contains("Hunter2") && stdout.ends_with(" end\n"), "{stdout}\n{stderr}");
        (output.status.code().unwrap(), stdout, stderr)
    };
    let env_file = "DATABASE_URL=postgresql://u:Hunter2-Z@127.0.0.1:5432/x_test\n";
    let mut project = Project::new();
    project.drill_toml("[targets.staging]\nenv_file = \"secret/env\"\nalow_hosts = []\n");
    project.write("secret/env", env_file);
    let (code, stdout, stderr) = pipe(&project, &[]);
    assert_eq!((code, stdout.as_str()), (2, "pw [REDACTED_DATABASE_URL] and open sesame-street end\n"));
    assert!(stderr.contains("`drill.toml` cannot be read at line 3"), "{stderr}");
    // A target that is not there, too.
    let (code, _, stderr) = pipe(&project, &["--target", "nowhere", "--env-file", "secret/env"]);
    assert!(code == 2 && stderr.contains("drill.toml"), "{stderr}");
    // What is exported is known without any file.
    project.write("secret/env", "");
    project.env.insert("MY_PASSWORD".to_owned(), "Hunter2-Z".to_owned());
    assert_eq!(pipe(&project, &[]).0, 2);
    project.env.clear();
    // Of a file that no parser accepts, every value is a secret.
    project.drill_toml("");
    project.write(".env.staging", &format!("{env_file}GREETING=open sesame-street\n"));
    let (code, stdout, _) = pipe(&project, &[]);
    assert_eq!((code, stdout.as_str()), (0, "pw [REDACTED] and [REDACTED] end\n"));
    // A file that is named and cannot be read is told; what is in the environment is known all the same.
    project.env.insert("DATABASE_URL".to_owned(), "postgresql://u:Hunter2-Z@127.0.0.1:5432/x_test".to_owned());
    let (code, _, stderr) = pipe(&project, &["--env-file", "not-there"]);
    assert!(code == 4 && stderr.contains("`not-there` cannot be read"), "{code}: {stderr}");
}

/// Proves that GitHub's log is told what to mask before it gets anything else to read, on each stream, and that `--json` stays one object.
#[test]
fn in_github_actions_the_masks_come_first() {
    let mut project = Project::new();
    project.env.insert("GITHUB_ACTIONS".to_owned(), "true".to_owned());
    let url = format!("postgresql://u:{}@127.0.0.1:5432/masks_test", server::PASSWORD_IN_URL);
    project.write(".env.staging", &format!("DATABASE_URL={url}\n"));
    let password = format!("::add-mask::{}", server::PASSWORD.replace('%', "%25"));
    let begins_with_masks = |stream: &str| {
        let others = stream.lines().skip_while(|line| line.starts_with("::add-mask::"));
        assert!(others.clone().all(|line| !line.contains("add-mask")), "{stream}");
        assert!(stream.lines().any(|line| line == password), "{stream}");
        others.count()
    };
    let plain = project.run(&["env", "check"]).expect(0);
    assert_eq!(begins_with_masks(&plain.stdout), 0);
    assert!(begins_with_masks(&plain.stderr) > 0);
    let json = project.run(&["env", "check", "--json"]).expect(0);
    assert_eq!(json.json()["status"], "ok");
    begins_with_masks(&json.stderr);
    // Nobody masks what was redirected to a file, so there a mask would be the leak.
    let (stdout, stderr) = (project.path("out.txt"), project.path("err.txt"));
    let mut redirected = project.command(&["env", "check"]);
    redirected.stdout(fs::File::create(&stdout).unwrap()).stderr(fs::File::create(&stderr).unwrap());
    assert!(redirected.status().unwrap().success());
    assert!(project.read("err.txt").starts_with("ok: staging is "));
    project.assert_no_secret(&[]);
    // Elsewhere there is nobody to tell, and a mask would be a leak.
    project.env.clear();
    let elsewhere = project.run(&["env", "check"]).expect(0);
    project.assert_no_secret(&[&elsewhere]);
}

/// Fault injection: a program of the project that prints the one secret that it is given, in the forms in which tools print one, on both
/// streams, in the middle of a line and of a write, and then fails, so that its last lines become part of the error.
const LEAKER: &str = r#"
const secret = process.env.SHOPIFY_API_SECRET;
const bytes = Buffer.from(secret);
const forms = [
  secret, encodeURIComponent(secret), new URLSearchParams({ v: secret }).toString(), JSON.stringify(secret),
  JSON.stringify(JSON.stringify(secret)), bytes.toString('base64'), Buffer.from('x' + secret).toString('base64'),
  Buffer.from('xx' + secret).toString('base64url'), bytes.toString('hex'),
  secret.slice(0, 9) + '\x1b[31m' + secret.slice(9) + '\x1b[0m',
];
for (const form of forms) {
  for (const stream of [process.stdout, process.stderr]) {
    stream.write('before ' + form.slice(0, 7));
    await new Promise((resolve) => setImmediate(resolve));
    stream.write(form.slice(7) + ' after\n');
  }
}
console.log('a short key is abc, and abcdef stays readable');
for (const say of [console.log, console.error]) say('\x1b]0;owned\x07\x1b[8mthe last line');
process.exitCode = 1;
"#;

/// What may stand nowhere: the secret in each form that the leaker printed.
fn forms() -> Vec<String> {
    let percent: String = APP_SECRET
        .bytes()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect();
    let json = Value::from(APP_SECRET).to_string();
    let hex = APP_SECRET.bytes().map(|byte| format!("{byte:02x}")).collect();
    let base64 = |prefix: &str| {
        use base64::Engine;
        let text = base64::engine::general_purpose::STANDARD_NO_PAD.encode(format!("{prefix}{APP_SECRET}"));
        text[4..text.len() - 4].to_owned()
    };
    let inner = json[1..json.len() - 1].to_owned();
    vec![APP_SECRET.to_owned(), percent, inner, hex, base64(""), base64("x"), base64("xx"), APP_SECRET[9..].to_owned()]
}

fn assert_nowhere(project: &Project, answer: &Answer) {
    let mut texts = vec![("stdout".to_owned(), answer.stdout.clone()), ("stderr".to_owned(), answer.stderr.clone())];
    for path in project.files() {
        texts.push((
            path.display().to_string(),
            String::from_utf8_lossy(&fs::read(&path).unwrap_or_default()).into_owned(),
        ));
    }
    for (place, text) in texts {
        for form in forms() {
            assert!(!text.contains(&form), "{form} in {place}:\n{text}");
        }
    }
}

fn smoke_log(project: &Project, json: &Value) -> String {
    let log = json["stages"][0]["steps"].as_array().unwrap().last().unwrap()["log"].as_str().unwrap();
    project.read(&format!("{}/{log}", json["evidence"].as_str().unwrap()))
}

/// Proves that what a hostile child prints is masked on the terminal, in the log, in the record and in the feedback file: with the secrets
/// from an env file, and with them from the process environment, as in CI.
#[test]
fn a_child_that_prints_its_secret_in_every_form_leaks_none() {
    let (mut project, database) = Project::on_staging("leaker");
    project.write("prisma/smoke.mjs", LEAKER);
    for source in ["env file", "environment"] {
        if source == "env file" {
            let app = format!("SHOPIFY_API_SECRET='{APP_SECRET}'\nSHOPIFY_API_KEY=abc\n");
            project.write(".env.staging", &format!("DATABASE_URL={}\n{app}", database.url()));
        } else {
            fs::remove_file(project.path(".env.staging")).unwrap();
            project.env.insert("DATABASE_URL".to_owned(), database.url());
            project.env.insert("SHOPIFY_API_SECRET".to_owned(), APP_SECRET.to_owned());
        }
        let answer = project.run(&["forward", "--smoke", "--json"]).expect(1);
        assert_nowhere(&project, &answer);
        project.assert_no_secret(&[&answer]);
        // The last line is quoted in the error, without its power over a terminal.
        assert!(answer.stderr.contains("the last line") && !answer.stderr.contains('\x1b'), "{}", answer.stderr);
        let log = smoke_log(&project, &answer.json());
        // Of a failure that nobody knows the hint opens the log; without a terminal `less` is `cat`.
        let hint = answer.json()["hint_command"].as_str().unwrap().replace("less ", "cat ");
        let opened =
            std::process::Command::new("sh").args(["-c", &hint]).current_dir(project.path("")).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&opened.stdout), log, "{hint}");
        assert!(log.matches("before ").count() >= 18 && log.matches(" after").count() >= 18, "{source}:\n{log}");
        assert!(log.contains("[REDACTED_SHOPIFY_API_SECRET]"), "{source}:\n{log}");
        assert!(log.contains("abcdef stays readable"), "{source}:\n{log}");
    }
}

/// Fault injection: a program of the project that leaves a report of its own where the drill's will be.
const FORGER: &str = r#"
import fs from 'node:fs';
const base = 'feedback/evidence';
fs.writeFileSync(`${base}/${fs.readdirSync(base).sort().at(-1)}/report.html`, 'all is well');
"#;

/// Proves that a forged view fails the run: nobody should take it for the drill's.
#[test]
fn a_report_that_a_child_wrote_fails_the_run() {
    let (project, _) = Project::on_staging("forger");
    project.write("prisma/smoke.mjs", FORGER);
    let json = project.run(&["forward", "--smoke", "--json"]).expect(1).json();
    let folder = json["evidence"].as_str().unwrap();
    let record: Value = serde_json::from_str(&project.read(&format!("{folder}/run.json"))).unwrap();
    assert_eq!((&record["status"], &record["exit_code"]), (&Value::from("failed"), &Value::from(1)));
    assert!(record["error"]["message"].as_str().unwrap().contains("report.html"), "{}", record["error"]);
    assert_eq!(record["stages"][0]["status"], "ok");
}

/// Fault injection: a program of the project that writes past the masking, straight into the newest evidence folder.
const WRITER: &str = r#"
import fs from 'node:fs';
const base = 'feedback/evidence';
const folder = `${base}/${fs.readdirSync(base).sort().at(-1)}`;
fs.writeFileSync(`${folder}/planted.txt`, `token ${process.env.SHOPIFY_API_SECRET}\n`);
fs.mkdirSync(`${folder}/deep/er`, { recursive: true });
fs.writeFileSync(`${folder}/deep/er/planted.txt`, encodeURIComponent(process.env.SHOPIFY_API_SECRET));
fs.writeFileSync(`${folder}/deep/harmless.txt`, 'nothing\n');
fs.symlinkSync(`${process.cwd()}/.env.staging`, `${folder}/link.txt`);
fs.closeSync(fs.openSync(`${folder}/endless.bin`, 'w'));
fs.truncateSync(`${folder}/endless.bin`, 20 * 2 ** 30);
"#;

/// Proves that the evidence is searched once more at the end: what holds a secret is removed, the run fails, and the rest stays.
#[test]
fn a_secret_found_in_the_evidence_afterwards_is_removed_and_fails_the_run() {
    let (project, database) = Project::on_staging("writer");
    let env_file = format!("DATABASE_URL={}\nSHOPIFY_API_SECRET=shpss_0f1e2d3c4b5a6978\n", database.url());
    project.write(".env.staging", &env_file);
    project.write("prisma/smoke.mjs", WRITER);
    let answer = project.run(&["forward", "--smoke", "--json"]).expect(1);
    for name in ["planted.txt", "deep/er/planted.txt", "link.txt", "endless.bin"] {
        assert!(answer.stderr.contains(name), "{name} is missing in:\n{}", answer.stderr);
    }
    let json = answer.json();
    let folder = json["evidence"].as_str().unwrap();
    for name in ["planted.txt", "deep/er/planted.txt", "link.txt", "endless.bin"] {
        assert!(project.path(&format!("{folder}/{name}")).symlink_metadata().is_err(), "{name} is still there");
    }
    assert_eq!(project.read(&format!("{folder}/deep/harmless.txt")), "nothing\n");
    assert_eq!(project.read(".env.staging"), env_file, "the link was removed, not what it leads to");
    let record: Value = serde_json::from_str(&project.read(&format!("{folder}/run.json"))).unwrap();
    assert_eq!(record["status"], "failed");
    assert!(
        record["files"]["deep/harmless.txt"].is_string() && record["files"]["planted.txt"].is_null(),
        "{}",
        record["files"]
    );
    for path in project.files() {
        let text = fs::read(&path).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&text).contains("shpss_0f1e2d3c4b5a6978"), "{}", path.display());
    }
}

/// A migration and a table that are called as a secret of the target is, and a table whose row count reads like one.
const NAMESAKES: (&str, &str, &str) = (
    "20260101000000_orders",
    r#"create table orders (id int primary key); create table "ApiKey" (id int primary key);
       insert into "ApiKey" select generate_series(1, 65650)"#,
    r#"drop table orders; drop table "ApiKey""#,
);

/// Proves that a name stays a name: runs end well, their records hold what is true, and `evidence verify` believes them.
#[test]
fn a_name_that_reads_like_a_secret_ends_no_run_and_stays_in_the_record() {
    let (project, database) = with_history("namesakes", &[NAMESAKES]);
    project.write(".env.staging", &format!("DATABASE_URL={}\nSHOPIFY_API_SECRET=orders\n", database.url()));
    let back = project.run(&["backward", "--accept-data-loss", "--json"]).expect(0).json();
    assert_eq!(back["counts"]["before"]["public.ApiKey"], 65650);
    assert_eq!(back["migrations"]["rolled_back"], serde_json::json!(["20260101000000_orders"]));
    let folder = back["evidence"].as_str().unwrap();
    let record: Value = serde_json::from_str(&project.read(&format!("{folder}/run.json"))).unwrap();
    assert!(record["files"]["down/20260101000000_orders.sql"].is_string(), "{}", record["files"]);
    let again = project.run(&["forward", "--json"]).expect(0).json();
    assert_eq!(again["counts"]["after"]["public.orders"], 0);
    let page = project.read(&format!("{folder}/report.html"));
    assert!(page.contains("public.orders") && page.contains("65,650"), "{page}");
    project.run(&["evidence", "verify"]).expect(0);
}
