//! The interposer as a process of its own, with the real Prisma CLI before it.
//!
//! This test binary plays the interposer: a script starts it again on the one test below that becomes it.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::{Expected, interposer};

const PINNED: &str = "postgresql://app:t0ken@127.0.0.1:40001/shop_staging?schema=public";
const STRAY: &str = "postgresql://app:s3cret@db.example.com:5432/shop";

fn expected() -> Expected {
    Expected {
        host: "127.0.0.1".into(),
        port: 40_001,
        user: "app".into(),
        database: "shop_staging".into(),
        schema: "public".into(),
        shadow: None,
    }
}

/// Not a test of its own: it ends the process where the script below started it, and does nothing else.
#[test]
fn becomes_the_interposer() {
    let Ok(engine) = std::env::var("PIN_TEST_ENGINE") else { return };
    let arguments: Vec<String> = std::env::var("PIN_TEST_ARGUMENTS").unwrap().lines().map(str::to_owned).collect();
    let code = interposer::exit_code(&arguments, &expected(), Path::new(&engine), None, |_| false);
    std::process::exit(code.into());
}

/// A folder with the interposer's script, and `engine` as the program behind it.
struct Room(PathBuf);

impl Room {
    fn new(name: &str, engine: &str) -> Room {
        let dir = std::env::temp_dir().join(format!("pin-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let room = Room(dir);
        room.script("engine", engine);
        let this = std::env::current_exe().unwrap();
        let test = "tests::interposer::becomes_the_interposer";
        room.script(
            "interposer",
            &format!(
                "export PIN_TEST_ENGINE='{}' PIN_TEST_ARGUMENTS=\"$(printf '%s\\n' \"$@\")\"\n\
                 exec '{}' --exact {test} --nocapture",
                room.0.join("engine").display(),
                this.display()
            ),
        );
        room
    }

    fn script(&self, name: &str, text: &str) {
        let path = self.0.join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn start(&self, arguments: &[&str]) -> Child {
        let mut command = Command::new(self.0.join("interposer"));
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// The exit code and the JSON lines of stdout after `input`; other lines are the test harness's.
    fn run(&self, arguments: &[&str], input: &str) -> (Option<i32>, Vec<String>, String) {
        let mut child = self.start(arguments);
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        let lines = stdout.lines().filter(|line| line.starts_with('{')).map(str::to_owned).collect();
        (output.status.code(), lines, String::from_utf8(output.stderr).unwrap())
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn what_is_pinned_reaches_the_engine_as_it_is() {
    let room = Room::new("passes", "cat; echo \"{arguments: $*}\"; exit 7");
    let request = format!("{{\"id\":1,  \"params\":{{\"url\":\"{PINNED}\"}}}}");
    let datasource = format!("{{\"url\":\"{PINNED}\"}}");
    let (code, lines, _) = room.run(&["--datasource", &datasource], &format!("{request}\n"));
    assert_eq!(lines, [request, format!("{{arguments: --datasource {datasource}}}")]);
    assert_eq!(code, Some(7));
}

#[test]
fn a_stray_request_is_answered_and_neither_it_nor_what_follows_reaches_the_engine() {
    let room = Room::new("stray", "cat");
    let requests = format!("{{\"id\":1}}\n{{\"id\":2,\"params\":{{\"url\":\"{STRAY}\"}}}}\n{{\"id\":3}}\n");
    let (code, lines, _) = room.run(&[], &requests);
    assert_eq!(code, Some(1));
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert_eq!(lines[0], "{\"id\":1}", "the engine finished what it had");
    for (line, id) in lines[1..].iter().zip([2, 3]) {
        let answer: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(answer["id"], id);
        assert_eq!(answer["error"]["data"]["error_code"], "PINNED");
        assert!(!line.contains("s3cret"));
    }
}

#[test]
fn stray_arguments_start_no_engine() {
    let room = Room::new("arguments", "echo '{\"engine\": \"ran\"}'");
    let (code, lines, stderr) = room.run(&["cli", "--datasource", STRAY, "can-connect-to-database"], "");
    assert_eq!((code, lines), (Some(1), vec![]));
    assert!(stderr.contains("\"error_code\":\"PINNED\"") && !stderr.contains("s3cret"), "{stderr}");
}

#[test]
fn an_engine_that_cannot_run_is_an_error_that_the_cli_can_print() {
    let room = Room::new("missing", "");
    std::fs::remove_file(room.0.join("engine")).unwrap();
    let (code, _, stderr) = room.run(&[], "");
    assert_eq!(code, Some(1));
    assert!(stderr.contains("cannot be run") && stderr.contains("\"level\":\"ERROR\""), "{stderr}");
}

#[test]
fn signals_reach_the_engine_and_its_end_is_passed_on() {
    use std::io::{BufRead, BufReader};
    for (handler, code) in [("process.on('SIGTERM', () => process.exit(9));", 9), ("", 143)] {
        let engine = format!("exec node -e \"{handler} process.stdin.resume(); console.log('{{}}')\"");
        let room = Room::new(&format!("signal-{code}"), &engine);
        let mut child = room.start(&[]);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        while !lines.next().unwrap().unwrap().starts_with('{') {}
        let stdin = child.stdin.take();
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(code));
        drop(stdin);
    }
}

#[test]
fn a_config_file_with_a_hard_coded_url_is_refused_by_the_real_cli() {
    let room = Room::new("prisma", "echo '{\"engine\": \"ran\"}'; echo ran >&2");
    let modules = chores::setup::packages().join("node_modules").canonicalize().unwrap();
    std::os::unix::fs::symlink(&modules, room.0.join("node_modules")).unwrap();
    let write = |name: &str, text: &str| std::fs::write(room.0.join(name), text).unwrap();
    write("schema.prisma", "datasource db {\n  provider = \"postgresql\"\n}\nmodel A {\n  id Int @id\n}\n");
    write("script.sql", "DROP TABLE \"A\";\n");
    write(
        "prisma.config.ts",
        &format!(
            "import {{ defineConfig }} from 'prisma/config'\n\
             export default defineConfig({{ schema: 'schema.prisma', datasource: {{ url: '{STRAY}' }} }})\n"
        ),
    );
    // One command asks the engine by a subcommand first, the other by JSON-RPC at once.
    for command in [&["migrate", "deploy"][..], &["db", "execute", "--file", "script.sql"]] {
        let mut prisma = Command::new("node");
        prisma.arg(modules.join("prisma/build/index.js")).args(command).current_dir(&room.0).stdin(Stdio::null());
        prisma.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", &room.0);
        prisma.env("CHECKPOINT_DISABLE", "1").env("DATABASE_URL", PINNED).env("NO_COLOR", "1");
        prisma.env("PRISMA_SCHEMA_ENGINE_BINARY", room.0.join("interposer"));
        let output = prisma.output().unwrap();
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(
            text.contains("leads to `db.example.com:5432/shop` instead of `127.0.0.1:40001/shop_staging`"),
            "{text}"
        );
        assert!(!text.contains("s3cret") && !text.contains("ran"), "{text}");
    }
}
