//! A project on a database of which `doctor` has nothing to say, and what is done to it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock};

use crate::project::{Answer, Project, copy_tree, program};
use crate::server::{self, Database, workspace};

/// A database that is migrated and mirrored, to be copied, and what the program knows of it.
struct Model {
    database: Database,
    known: PathBuf,
}

fn model() -> &'static Model {
    static MODEL: OnceLock<Model> = OnceLock::new();
    MODEL.get_or_init(|| {
        let (project, database) = Project::on_staging("model");
        fs::copy(workspace().join(MIRROR), project.path(MIRROR)).unwrap();
        // Whether they are on the server is a part of what a replay is known by, and other tests make them.
        database.grant_supabase_roles();
        project.run(&["forward"]).expect(0);
        project.run(&["mirror"]).expect(0);
        let known = Path::new(env!("CARGO_TARGET_TMPDIR")).join("healthy");
        let _ = fs::remove_dir_all(&known);
        ["catalogs", "schemas"]
            .iter()
            .for_each(|folder| copy_tree(&project.path(&format!(".drill/{folder}")), &known.join(folder)));
        Model { database, known }
    })
}

pub struct Patient {
    pub project: Project,
    pub database: Database,
    /// What was named so far, each with its message and its fix.
    pub said: String,
    /// Of a namespace in which we are not root.
    pub as_user: bool,
}

/// A row that is not well.
#[derive(Debug, Clone)]
pub struct Row {
    pub name: String,
    pub status: String,
    pub message: String,
    pub hint: String,
    pub command: Option<String>,
    pub cause: String,
}

impl Patient {
    pub fn new(name: &str) -> Patient {
        let model = model();
        let database = copied(&model.database, name);
        database.grant_supabase_roles();
        let project = Project::new();
        fs::copy(workspace().join(MIRROR), project.path(MIRROR)).unwrap();
        // It costs Node's start each time; who needs it puts it back.
        fs::remove_file(project.path(CONFIG)).unwrap();
        copy_tree(&model.known, &project.path(".drill"));
        let patient = Patient { project, database, said: String::new(), as_user: false };
        patient.env_file(&patient.url());
        patient.project.run(&["claim", "--confirm", &patient.database.name]).expect(0);
        patient.healthy();
        patient
    }

    pub fn url(&self) -> String {
        self.database.url()
    }

    /// Writes it with this URL alone.
    pub fn env_file(&self, url: &str) {
        self.write_env_file(&format!("DATABASE_URL={url}\n"));
    }

    pub fn write_env_file(&self, text: &str) {
        self.project.write(".env.staging", text);
        fs::set_permissions(self.project.path(".env.staging"), fs::Permissions::from_mode(0o600)).unwrap();
    }

    pub fn config_back(&self) {
        fs::copy(workspace().join(CONFIG), self.project.path(CONFIG)).unwrap();
    }

    /// Edits a file of the project.
    pub fn edit(&self, file: &str, from: &str, to: &str) {
        let text = self.project.read(file);
        assert!(text.contains(from), "{file}: {text}");
        self.project.write(file, &text.replace(from, to));
    }

    /// Puts a program of this name first on PATH, which stands in for the real one.
    pub fn fake(&mut self, name: &str, script: &str) {
        let path = self.project.path(&format!("bin/{name}"));
        self.project.write(&format!("bin/{name}"), &format!("#!/bin/sh\n{script}\n"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let path = format!("{}:{}", self.project.path("bin").display(), std::env::var("PATH").unwrap());
        self.project.env.insert("PATH".to_owned(), path);
    }

    pub fn sql(&self, statement: &str) {
        server::shared().superuser(&self.database.name).batch_execute(statement).unwrap();
    }

    fn doctor(&self) -> Answer {
        let command = self.project.command(&["doctor", "--json"]);
        let mut command = if self.as_user { as_nobody(&command) } else { command };
        let answer = Project::answer(&mut command);
        self.project.assert_no_secret(&[&answer]);
        answer
    }

    /// What is not well, and whether the exit code says so.
    #[track_caller]
    pub fn ails(&self) -> Vec<Row> {
        let answer = self.doctor();
        let json = answer.json();
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let checks = json["checks"].as_array().unwrap_or_else(|| panic!("{json:#}"));
        let rows: Vec<Row> = checks
            .iter()
            .map(|row| Row {
                name: text(&row["name"]),
                status: text(&row["status"]),
                message: text(&row["message"]),
                hint: text(&row["hint"]),
                command: row["hint_command"].as_str().map(str::to_owned),
                cause: text(&row["cause"]),
            })
            .filter(|row| row.status == "warn" || row.status == "fail")
            .collect();
        assert_eq!(answer.code != 0, rows.iter().any(|row| row.status == "fail"), "{rows:#?}");
        rows
    }

    #[track_caller]
    pub fn healthy(&self) {
        let rows = self.ails();
        assert!(rows.is_empty(), "{rows:#?}");
    }

    /// Makes `cause`, sees that it is named and nothing else, mends it, and sees that nothing is left.
    #[track_caller]
    pub fn case(&mut self, cause: &str, breaks: impl FnOnce(&mut Patient), mends: impl FnOnce(&mut Patient, &Row)) {
        breaks(self);
        let rows = self.ails();
        let named: Vec<&str> = rows.iter().map(|row| row.cause.as_str()).collect();
        assert_eq!(named, [cause], "{rows:#?}");
        let row = rows[0].clone();
        assert!(row.hint.ends_with(&format!("see docs/failures/{cause}")), "{row:?}");
        let text = format!("{} {}: {}\n  {}\n", row.status, row.name, row.message, row.hint);
        self.said += &(self.without_names(&text) + "\n");
        mends(self, &row);
        let left = self.ails();
        assert!(left.is_empty(), "{cause} is not mended: {left:#?}");
    }

    /// With what differs from run to run left out.
    pub fn without_names(&self, text: &str) -> String {
        let said = Answer { code: 0, stdout: String::new(), stderr: text.to_owned() }.said();
        let port = self.database.port.to_string();
        let mut said =
            said.replace(&self.database.user, "OWNER").replace(&self.database.name, "NAME").replace(&port, "PORT");
        for (pattern, name) in [
            (r"\d+\.\d MB", "SIZE"),
            (r"backend pid \d+|backend \d+", "backend PID"),
            (r"pg_terminate_backend\(\d+\)", "pg_terminate_backend(PID)"),
            (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(Z|\+00)", "MOMENT"),
            (r"\d+\.\d+\.\d+, `[^`]*node`", "VERSION, `NODE`"),
            (r"port \d+", "port PORT"),
            (r"[(]\d+ connections", "(N connections"),
            (r"from `/[^`]*`", "from `PATH`"),
            (r"staging-drill\.run-\w+", "staging-drill.run-X"),
        ] {
            said = regex::Regex::new(pattern).unwrap().replace_all(&said, name).into_owned();
        }
        said
    }
}

const CONFIG: &str = "prisma/postgres.config.ts";
const MIRROR: &str = "supabase/sql/analytics_facts_table.sql";

/// The fix as it is written: a command in the project's folder, or a statement for who may run it.
#[track_caller]
pub fn as_written(patient: &mut Patient, row: &Row) {
    match &row.command {
        Some(command) => {
            let command = command.replace("cargo xtask", &format!("'{}'", program().display())).replace("sudo ", "");
            let shell = patient.project.command(&[]);
            let mut run = Command::new("sh");
            run.args(["-ec", &command]).current_dir(patient.project.path("")).env_clear();
            run.envs(shell.get_envs().filter_map(|(name, value)| Some((name, value?))));
            let output = run.output().unwrap();
            assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        }
        None => {
            let statement = row.hint.split("; -- see ").next().unwrap();
            assert_ne!(statement, row.hint, "neither a command nor a statement: {row:?}");
            patient.sql(statement);
        }
    }
}

/// A copy of `model` with an owner of its own.
pub fn copied(model: &Database, name: &str) -> Database {
    let database = server::shared().role_for(name);
    let mut superuser = server::shared().superuser("postgres");
    let create = format!("create database {} template {} owner {}", database.name, model.name, database.user);
    superuser.batch_execute(&create).unwrap();
    // Two at a time would change the same rows of the server's own tables.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _one = ONE_AT_A_TIME.lock().unwrap();
    let owners = format!("reassign owned by {} to {}", model.user, database.user);
    server::shared().superuser(&database.name).batch_execute(&owners).unwrap();
    // What is of the whole server went with it.
    superuser.batch_execute(&format!("alter database {} owner to {}", model.name, model.user)).unwrap();
    database
}

/// In a user namespace where we are nobody in particular, and files of other users are theirs.
fn as_nobody(inner: &Command) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-user=1000", "--map-group=1000"]).arg(inner.get_program()).args(inner.get_args());
    command.current_dir(inner.get_current_dir().unwrap()).env_clear();
    command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command
}
