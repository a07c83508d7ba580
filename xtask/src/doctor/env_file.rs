//! The env file as a file: placeholders in it, who may read it, and whether git knows it.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use rustix::process::geteuid;

use crate::causes::env_file;
use crate::doctor::Patient;
use crate::doctor::check::Check;
use crate::hint::quoted;
use crate::process::{self, Exit, Invocation, locate};
use crate::settings::env_file as reading;
use crate::settings::{PrismaSettings, Settings};
use crate::words::counted;
use pin::file;

const FILE: &str = "env-file";
const ACCESS: &str = "env-file-access";
const GIT: &str = "git";

/// The file, where the target has one and it is there.
fn path(settings: &Settings) -> Option<&Path> {
    settings.target.env_file.as_deref().filter(|path| path.is_file())
}

pub fn look(patient: &Patient) -> Vec<Check> {
    let Some(path) = path(&patient.settings) else {
        return vec![Check::skipped(FILE, "this target has no env file here")];
    };
    let shown = patient.settings.shown(path);
    let mut rows = placeholders(patient, path, &shown);
    rows.extend(access(path, &shown));
    rows
}

/// In variables that are not the target's own: of those the guard says it.
fn placeholders(patient: &Patient, path: &Path, shown: &str) -> Vec<Check> {
    let settings = &patient.settings;
    let PrismaSettings { url_env, direct_url_env, shadow_url_env, .. } = &settings.prisma;
    let targets = [url_env, direct_url_env, shadow_url_env, &settings.supabase.url_env, &settings.supabase.key_env];

    let bytes = file::read(path, reading::LONGEST).unwrap_or_default();
    let Ok(variables) = reading::parse(&bytes) else {
        return vec![Check::skipped(FILE, "its form comes first: see the row of the target")];
    };
    let others = variables.iter().filter(|(name, _)| !targets.contains(&name));
    let held = others.filter(|(_, value)| reading::is_placeholder(value.expose()));
    let row = |(name, _): &(String, redact::Secret)| {
        let values = [("file", shown), ("variable", name.as_str())];
        Check::fail(
            FILE,
            format!("`{name}` of `{shown}` still holds a placeholder"),
            env_file::PLACEHOLDER.hint(&values),
        )
    };
    let rows: Vec<Check> = held.map(row).collect();
    match rows.is_empty() {
        true => vec![Check::ok(FILE, format!("{}, no placeholder", counted(variables.len(), "variable")))],
        false => rows,
    }
}

fn access(path: &Path, shown: &str) -> Vec<Check> {
    let Ok(meta) = std::fs::metadata(path) else { return Vec::new() };
    let user = geteuid();
    let mut rows = Vec::new();
    // Root may have any file.
    if meta.uid() != user.as_raw() && !(user.is_root() && meta.uid() == 0) {
        let hint = env_file::OWNER.hint(&[("user", &user.as_raw().to_string()), ("file", shown)]);
        rows.push(Check::warn(ACCESS, format!("`{shown}` belongs to the user {}", meta.uid()), hint));
    }
    let mode = meta.mode() & 0o777;
    if mode & 0o077 != 0 {
        let hint = env_file::READABLE_BY_OTHERS.hint(&[("file", shown)]);
        rows.push(Check::warn(ACCESS, format!("`{shown}` has the mode {mode:o}: other users can get at it"), hint));
    }
    match rows.is_empty() {
        true => vec![Check::ok(ACCESS, format!("mode {mode:o}, its owner's alone"))],
        false => rows,
    }
}

pub fn look_at_git(patient: &Patient) -> Vec<Check> {
    let settings = &patient.settings;
    let Some(path) = path(settings) else { return vec![Check::skipped(GIT, "no env file to look for")] };
    let shown = settings.shown(path);
    let git = |words: &[&str]| ask(patient, words);
    match git(&["rev-parse", "--is-inside-work-tree"]) {
        Some((Exit::Success, _)) => {}
        Some(_) => return vec![Check::skipped(GIT, "this is no git repository")],
        None => return vec![Check::skipped(GIT, "git is not on PATH")],
    }
    let known = git(&["log", "--branches", "--tags", "--remotes", "--oneline", "--max-count=1", "--", &shown]);
    if known.is_some_and(|(_, said)| !said.is_empty()) {
        let hint = env_file::COMMITTED.hint(&[("file", &quoted(&shown))]);
        return vec![Check::fail(GIT, format!("`{shown}` is in a commit"), hint)];
    }
    if let Some((Exit::Success, _)) = git(&["ls-files", "--error-unmatch", "--", &shown]) {
        let hint = env_file::STAGED.hint(&[("file", &shown)]);
        return vec![Check::fail(GIT, format!("`{shown}` is in git's index, so the next commit has it"), hint)];
    }
    match git(&["check-ignore", "--quiet", "--", &shown]) {
        Some((Exit::Code(1), _)) => {
            let hint = env_file::NOT_IGNORED.hint(&[("file", &shown)]);
            vec![Check::warn(GIT, format!("git does not ignore `{shown}`"), hint)]
        }
        _ => vec![Check::ok(GIT, format!("`{shown}` is ignored, and in no commit"))],
    }
}

/// None without git.
fn ask(patient: &Patient, words: &[&str]) -> Option<(Exit, String)> {
    let settings = &patient.settings;
    let program = locate::on_path(settings, "git")?;
    let inherited = ["PATH", "HOME"].map(|name| (name, settings.variable(name).unwrap_or_default()));
    let invocation = Invocation::new(&program, &settings.root).args(words).envs(inherited);
    let (exit, said) = process::capture(&invocation, Duration::from_secs(4), &patient.interrupt).ok()?;
    Some((exit, String::from_utf8_lossy(&said).trim().to_owned()))
}
