//! The whole environment of a child, built from an allow-list: what is not named here never reaches one.
//!
//! `facts.md`-style measurements behind it: PG*, NODE_OPTIONS, BUN_OPTIONS, DEBUG and resolver settings can each move a child
//! or make it print its password, so nothing is inherited by default. Agent markers are passed on, because clearing them
//! would switch off the gates that Prisma and Supabase put before destructive commands.

use std::collections::BTreeMap;
use std::path::Path;

use crate::guard;
use crate::settings::{Settings, network};

const INHERITED: &[&str] = &["PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "CI", "GITHUB_ACTIONS"];

const FIXED: &[(&str, &str)] = &[
    ("NO_COLOR", "1"),
    // The only switch that stops Prisma's update check, which starts a detached process.
    ("CHECKPOINT_DISABLE", "1"),
    ("PRISMA_HIDE_UPDATE_MESSAGE", "1"),
    ("SUPABASE_TELEMETRY_DISABLED", "1"),
    ("SUPABASE_NO_UPDATE_NOTIFIER", "1"),
];

/// What a child needs that may download something, beside what all get: `generate` alone.
pub fn of_downloads(settings: &Settings) -> impl Iterator<Item = (&'static str, &str)> {
    network::OF_DOWNLOADS.iter().filter_map(|&name| Some((name, settings.variable(name)?)))
}

/// `home` is an empty folder of this run, so that no `.pgpass`, `.npmrc` or saved login is found.
pub fn child(settings: &Settings, home: &Path) -> BTreeMap<String, String> {
    let inherited = INHERITED.iter().chain(guard::forwarded_markers());
    let mut environment: BTreeMap<String, String> =
        inherited.filter_map(|&name| Some((name.to_owned(), settings.environment.get(name)?.clone()))).collect();
    environment.extend(FIXED.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())));
    environment.insert("HOME".to_owned(), home.display().to_string());
    // Node 22 and newer keep compiled code here: a quarter off each start of Prisma's CLI.
    if !settings.reads_only {
        let cache = settings.private_dir().join("node-compile-cache");
        environment.insert("NODE_COMPILE_CACHE".to_owned(), cache.display().to_string());
    }
    environment
}
