//! A copy of this repo's database assets in a folder of its own, and the built binary run in it with a sealed environment.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::record_schema;
use crate::server::{self, Database, PASSWORD, PASSWORD_IN_URL, install_packages, workspace};

/// Removed with the test; its path has spaces in it.
pub struct Project {
    folder: TempDir,
    pub env: BTreeMap<String, String>,
}

#[derive(Debug)]
pub struct Answer {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// The built binary where no `cargo build` replaces it: the recipes' tests run cargo beside all others.
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("under-test");
        fs::create_dir_all(&folder).unwrap();
        let kept = folder.join("xtask");
        let _ = fs::remove_file(&kept);
        fs::hard_link(env!("CARGO_BIN_EXE_xtask"), &kept).unwrap();
        kept
    })
}

/// The client of this repo's schema, as the first project of a test run has Prisma generate it, and what the program knows of it: no other
/// project waits for the same.
fn generated_client() -> &'static Path {
    static KEPT: OnceLock<PathBuf> = OnceLock::new();
    KEPT.get_or_init(|| {
        let (project, _database) = Project::on_staging_without_client("client");
        project.run(&["forward"]).expect(0);
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("client");
        let _ = fs::remove_dir_all(&kept);
        GENERATED.iter().for_each(|folder| copy_tree(&project.path(folder), &kept.join(folder)));
        kept
    })
}

/// What `generate` writes, and what is kept of it and of the schema.
const GENERATED: [&str; 3] = ["prisma/generated", ".drill/clients", ".drill/schemas"];

impl Project {
    /// A folder for a repo of another kind, with room for its packages.
    pub fn empty() -> Project {
        install_packages();
        let folder = tempfile::Builder::new().prefix("drill project with spaces ").tempdir().unwrap();
        fs::create_dir(folder.path().join("node_modules")).unwrap();
        Project { folder, env: BTreeMap::new() }
    }

    pub fn new() -> Project {
        let project = Project::without_client();
        GENERATED.iter().for_each(|folder| copy_tree(&generated_client().join(folder), &project.path(folder)));
        project
    }

    /// As a bare clone is.
    pub fn without_client() -> Project {
        install_packages();
        let folder = tempfile::Builder::new().prefix("drill project with spaces ").tempdir().unwrap();
        let project = Project { folder, env: BTreeMap::new() };
        copy_tree(&workspace().join("prisma"), &project.path("prisma"));
        fs::create_dir_all(project.path("supabase/sql")).unwrap();
        for file in ["package.json", "package-lock.json", ".gitignore", "supabase/sql/feed_facts.sql"] {
            fs::copy(workspace().join(file), project.path(file)).unwrap();
        }
        symlink(workspace().join("node_modules"), project.path("node_modules")).unwrap();
        project.drill_toml(DRILL_TOML);
        project
    }

    /// Writes drill.toml: `text`, and what this repo's own names of its files and pairs.
    pub fn drill_toml(&self, text: &str) {
        let with_keys = |text: String, section: &str| {
            let is_missing = |line: &&str| !text.contains(&format!("\n{} = ", line.split(' ').next().unwrap()));
            let missing: String = ours(section).filter(is_missing).map(|line| format!("{line}\n")).collect();
            match text.split_once(&format!("[{section}]\n")) {
                Some((before, after)) => format!("{before}[{section}]\n{missing}{after}"),
                None => format!("{text}\n[{section}]\n{missing}"),
            }
        };
        let pairs = if text.contains("pairs") { "" } else { our_pairs() };
        self.write(
            "drill.toml",
            &format!("{}{pairs}", ["prisma", "supabase"].into_iter().fold(text.to_owned(), with_keys)),
        );
    }

    /// A project whose staging target is a new database on the shared server.
    pub fn on_staging(name: &str) -> (Project, Database) {
        Project::new().with_database(name)
    }

    /// As `on_staging`, where no client was generated yet.
    pub fn on_staging_without_client(name: &str) -> (Project, Database) {
        Project::without_client().with_database(name)
    }

    fn with_database(self, name: &str) -> (Project, Database) {
        let database = server::shared().database(name);
        self.write(".env.staging", &format!("DATABASE_URL={}\n", database.url()));
        (self, database)
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    pub fn write(&self, path: &str, text: &str) {
        fs::create_dir_all(self.path(path).parent().unwrap()).unwrap();
        fs::write(self.path(path), text).unwrap();
    }

    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    pub fn migration(&self, name: &str, sql: &str) {
        self.write(&format!("prisma/postgres/migrations/{name}/migration.sql"), sql);
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.args(args).current_dir(self.folder.path());
        // A sealed room: nothing of the developer's environment gets in but the way to Node.
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", self.path("home"));
        command.envs(&self.env).stdin(Stdio::null());
        command
    }

    /// As `command`, in a shell script that calls it as `"$@"`.
    pub fn shell(&self, script: &str, args: &[&str]) -> Command {
        let inner = self.command(args);
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script, "sh"]).arg(inner.get_program()).args(inner.get_args());
        command.env_clear().envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.current_dir(self.path("")).stdin(Stdio::null());
        command
    }

    pub fn run(&self, args: &[&str]) -> Answer {
        Self::answer(&mut self.command(args))
    }

    pub fn answer(command: &mut Command) -> Answer {
        Self::answer_of(command.output().unwrap())
    }

    /// Of what `start` began.
    pub fn answered(child: Child) -> Answer {
        Self::answer_of(child.wait_with_output().unwrap())
    }

    fn answer_of(output: std::process::Output) -> Answer {
        Answer {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    pub fn start(&self, args: &[&str]) -> Child {
        self.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Waits until the record of a running drill says that its second forward waits for Prisma, which needs most of a second to begin with
    /// anything.
    pub fn await_second_forward(&self) {
        let begun = Instant::now();
        let is_there = || -> Option<bool> {
            let folder = fs::read_dir(self.path("feedback/evidence")).ok()?.flatten();
            let run = folder.map(|entry| entry.path()).find(|path| path.to_string_lossy().contains("-drill-"))?;
            let record: Value = serde_json::from_str(&fs::read_to_string(run.join("run.json")).ok()?).ok()?;
            Some(record["stages"][2]["steps"].as_array()?.iter().any(|step| step["name"] == "migrate deploy"))
        };
        while is_there() != Some(true) {
            assert!(begun.elapsed() < Duration::from_secs(120), "the second forward never began");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The command lines of the programs that stand in the project's folder.
    pub fn programs(&self) -> Vec<String> {
        let processes = std::fs::read_dir("/proc").unwrap().filter_map(|entry| Some(entry.ok()?.path()));
        let here = processes
            .filter(|process| std::fs::read_link(process.join("cwd")).is_ok_and(|folder| folder == self.folder.path()));
        let lines = here.filter_map(|process| std::fs::read_to_string(process.join("cmdline")).ok());
        lines.map(|line| line.replace('\0', " ")).filter(|line| !line.is_empty()).collect()
    }

    /// Every file that commands wrote or found, but for the env file, which holds the secret by right.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        collect(self.folder.path(), &mut files);
        files.retain(|path| !path.ends_with(".env.staging"));
        files
    }

    /// Panics when a form of the fixture's password lies anywhere in the project or in an answer.
    pub fn assert_no_secret(&self, answers: &[&Answer]) {
        self.assert_no_secret_but_in(answers, &[]);
    }

    /// As `assert_no_secret`; `fixtures` are files in which the test itself put it.
    pub fn assert_no_secret_but_in(&self, answers: &[&Answer], fixtures: &[&str]) {
        let secrets = [PASSWORD, PASSWORD_IN_URL];
        for path in self.files().into_iter().filter(|path| !fixtures.iter().any(|fixture| path.ends_with(fixture))) {
            let bytes = fs::read(&path).unwrap_or_default();
            let text = String::from_utf8_lossy(&bytes);
            assert!(!secrets.iter().any(|secret| text.contains(secret)), "secret in {}", path.display());
        }
        for answer in answers {
            let text = format!("{}{}", answer.stdout, answer.stderr);
            assert!(!secrets.iter().any(|secret| text.contains(secret)), "secret in output:\n{text}");
        }
    }
}

impl Drop for Project {
    /// A sandbox that a test started must not outlive it, and every record that it left must follow the schema.
    fn drop(&mut self) {
        if self.path(".drill/sandbox/state.json").is_file() {
            let _ = self.command(&["sandbox", "down", "-q"]).output();
        }
        // A test that fails says why itself, and a second panic would hide it.
        if !std::thread::panicking() {
            for evidence in ["feedback/evidence", ".drill/evidence"] {
                record_schema::assert_followed(&self.path(evidence));
            }
        }
    }
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}\n{}\n{}", self.stdout, self.stderr))
    }

    /// stderr without its last two lines, whose folder has another name each time, and without what a slow machine adds.
    pub fn prose(&self) -> String {
        let varies = |line: &&str| {
            line.starts_with("evidence: ") || line.contains(" evidence open 2") || line.starts_with("  … ")
        };
        let lines: Vec<&str> = self.stderr.lines().filter(|line| !varies(line)).collect();
        lines.join("\n")
    }

    /// `prose` with what differs between two runs of a test left out: ports, times, names that are made up.
    pub fn said(&self) -> String {
        const VARYING: [(&str, &str); 9] = [
            // A step says how long it took from a millisecond on.
            (r"(?m)  [(]\d+([.]\d+)? m?s[)]$", ""),
            (r"\d{8}T\d{6}Z(-[a-z-]+)?-[0-9a-f]{6}", "RUN"),
            (r"_\d+_test", "_N_test"),
            (r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
            (r"[(]\d+([.]\d+)? m?s[)]", "(TIME)"),
            (r"/[^ \n`]*/drill project with spaces [A-Za-z0-9]+", "PROJECT"),
            (r"\d{4}-\d\d-\d\dT[0-9:.]+Z", "MOMENT"),
            (r"port \d+, pid \d+", "port PORT, pid PID"),
            (r"system: \d+", "system: SYSTEM"),
        ];
        VARYING.iter().fold(self.prose(), |text, (pattern, name)| {
            regex::Regex::new(pattern).unwrap().replace_all(&text, *name).into_owned()
        })
    }

    /// Of `said`, why it failed: steps that run side by side end in any order.
    pub fn failure(&self) -> String {
        let said = self.said();
        said.find("error: ").map_or(String::new(), |at| said[at..].to_owned())
    }

    #[track_caller]
    pub fn expect(self, code: i32) -> Answer {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}

pub const DRILL_TOML: &str = r#"
[targets.staging]
allow_hosts = ["127.0.0.1"]
app_variables = ["SHOPIFY_API_KEY", "SHOPIFY_API_SECRET", "SHOPIFY_APP_URL"]
allow_databases = ["*_test"]
"#;

const OURS: &str = include_str!("../../../drill.toml");

/// The keys that this repo's own drill.toml has in a section, a line each.
fn ours(section: &str) -> impl Iterator<Item = &'static str> {
    let (_, rest) = OURS.split_once(&format!("\n[{section}]\n")).unwrap();
    rest.split("\n\n").next().unwrap().lines()
}

/// What this repo compares.
fn our_pairs() -> &'static str {
    OURS[OURS.find("[[parity.pairs]]").unwrap()..].split("\n[evidence]").next().unwrap()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() && entry.file_name() != "cluster" {
            collect(&entry.path(), files);
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
}

pub fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            if entry.file_name() != "generated" {
                copy_tree(&entry.path(), &target);
            }
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

pub fn claim(project: &Project, database: &Database) {
    project.run(&["claim", "--confirm", &database.name]).expect(0);
}

pub fn stop(child: Child, signal: Signal) -> Answer {
    kill_process(Pid::from_child(&child), signal).unwrap();
    let output = child.wait_with_output().unwrap();
    Answer {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}
