//! Our program around Prisma's engine: the project's own, that of this workspace, or the one that is inside this binary, written to
//! `.drill/programs` with the one package that it needs.

use std::fs;
use std::path::{Path, PathBuf};

use crate::digest::sha256;
use crate::error::{Failure, Result};
use crate::hint::Hint;
use crate::process::npm_cache::NpmCache;
use crate::process::packages;
use crate::settings::Settings;

const PROGRAM: &str = "prisma/engine/schema-engine.mjs";

/// The client for Postgres that it is written for: that of this workspace's package.json.
const CLIENT: &str = "pg";
const CLIENT_VERSION: &str = "8.23.1";

macro_rules! inside {
    ($($name:literal),*) => {
        [$(($name, include_str!(concat!("../../../prisma/engine/", $name)))),*]
    };
}

const FILES: [(&str, &str); 17] = inside![
    "adapter.mjs",
    "admin.mjs",
    "arguments.mjs",
    "columns.mjs",
    "connection.mjs",
    "datasource.mjs",
    "engine.mjs",
    "errors.mjs",
    "log.mjs",
    "prisma.mjs",
    "rpc.mjs",
    "schema-engine.mjs",
    "schema.mjs",
    "shadow.mjs",
    "statements.mjs",
    "version.mjs",
    "wasm.mjs"
];

/// # Errors
/// `blocked` where it is nowhere, and cannot be brought.
pub fn find(settings: &Settings, cache: &NpmCache<'_>) -> Result<PathBuf> {
    let places = [&settings.root, &settings.home].map(|base| base.join(PROGRAM));
    let works = |program: &Path| program.is_file() && packages::find_beside(program, CLIENT).is_some();
    match places.into_iter().find(|program| works(program)) {
        Some(program) => Ok(program),
        None => of_binary(cache),
    }
}

fn of_binary(cache: &NpmCache<'_>) -> Result<PathBuf> {
    let package = format!("{CLIENT}@{CLIENT_VERSION}");
    let text: String = FILES.iter().map(|(name, text)| format!("{name}\n{text}\n")).collect();
    let name = sha256(format!("{package}\n{text}"));
    let brought = cache.bring(&name, &package, |folder| {
        FILES.iter().try_for_each(|(name, text)| fs::write(folder.join(name), text))
    })?;
    let folder = brought.map_err(|why| {
        Failure::blocked("the program around Prisma's engine cannot be made here")
            .because(why)
            .hint(Hint::shell("npm install --save-dev").arg(&package))
    })?;
    Ok(folder.join("schema-engine.mjs"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_binary_holds_every_file_and_names_the_client_of_this_workspace() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let files = fs::read_dir(here.join("prisma/engine")).unwrap().map(|entry| entry.unwrap().file_name());
        let mut files: Vec<String> = files.map(|name| name.into_string().unwrap()).collect();
        files.retain(|name| name.ends_with(".mjs"));
        files.sort();
        assert_eq!(files, FILES.map(|(name, _)| name));
        let package: serde_json::Value =
            serde_json::from_str(&fs::read_to_string(here.join("package.json")).unwrap()).unwrap();
        assert_eq!(package["devDependencies"][CLIENT], CLIENT_VERSION);
    }

    /// The npm here stands in for the registry.
    #[test]
    fn it_is_written_once_and_whole() {
        let machine = tempfile::tempdir().unwrap();
        let npm = machine.path().join("npm");
        let script = |text: &str| {
            fs::write(&npm, format!("#!/bin/sh\n{text}\n")).unwrap();
            fs::set_permissions(&npm, fs::Permissions::from_mode(0o755)).unwrap();
        };
        let folder = machine.path().join("programs");
        let cache = NpmCache { root: machine.path(), folder: folder.clone(), npm: Some(npm.clone()), quiet: true };
        let find = || of_binary(&cache);
        script("exit 1");
        assert_eq!(find().unwrap_err().causes().next().unwrap(), "`npm install pg@8.23.1` exited with code 1");
        script("mkdir -p node_modules/pg");
        let program = find().unwrap();
        assert!(program.is_file() && program.with_file_name("node_modules/pg").is_dir());
        script("exit 1");
        assert_eq!(find().unwrap(), program);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "what was half brought is gone");
    }
}
