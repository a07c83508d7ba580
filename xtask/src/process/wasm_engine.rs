//! Prisma's schema engine as WebAssembly: its two halves, and where each is had from. The CLI carries the one that does the work; the
//! JavaScript around it is in a package of the same commit, which the drill brings into its own cache where the project has none.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::causes::engine::NO_ENGINE;
use crate::error::{Failure, Result};
use crate::process::npm_cache::NpmCache;
use crate::process::package_manager::PackageManager;
use crate::process::packages;
use crate::process::release;

const PACKAGE: &str = "@prisma/schema-engine-wasm";
const GLUE: &str = "schema_engine_bg.js";
const WASM: &str = "schema_engine_bg.wasm";

/// What our engine program is told of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WasmEngine {
    pub commit: String,
    /// The JavaScript half.
    glue: PathBuf,
    wasm: PathBuf,
    /// The CLI's own copy of the WebAssembly half, which has to be the same bytes.
    twin: PathBuf,
    /// Opens the archive in which the CLI lies, under Plug'n'Play.
    pub hook: Option<PathBuf>,
    /// The package's version, where it is of another commit than the CLI's own half.
    pub glue_of: Option<String>,
    pub version: String,
}

/// What is asked for: the CLI, the engine that it wants, and where this project is.
pub struct Wanted<'a> {
    pub root: &'a Path,
    pub cli: &'a Path,
    pub release: &'a str,
    /// None where the CLI does not say.
    pub version: Option<&'a str>,
    pub hook: Option<&'a Path>,
    /// Our own engine program, beside whose real place packages may lie.
    pub program: &'a Path,
    /// The drill's own engines.
    pub cache: PathBuf,
    pub npm: Option<PathBuf>,
    pub quiet: bool,
}

impl Wanted<'_> {
    /// # Errors
    /// `blocked` where there is none, with the command that brings it.
    pub fn find(&self) -> Result<WasmEngine> {
        let Some(version) = self.version else {
            let (version, folder) = self.installed(|_| true).ok_or_else(|| no_engine(self.root))?;
            return Ok(self.engine(&version, &folder));
        };
        let wanted = release::glue(self.release).map_or(version, |(glue, _)| glue);
        let folder = match self.installed(|found| commit(found) == commit(wanted)) {
            Some((_, folder)) => folder,
            None => self.brought(wanted)?,
        };
        if commit(wanted) == commit(version) {
            return Ok(self.engine(version, &folder));
        }
        // The CLI's own half then, with the nearest other one: whether the two fit is seen when they are put together.
        let own = self.own_half();
        if self.hook.is_none() && !own.is_file() {
            return Err(no_engine(self.root).because(format!("the CLI's own `{WASM}` is missing, too")));
        }
        let engine = self.engine(version, &folder);
        Ok(WasmEngine { wasm: own, glue_of: Some(wanted.to_owned()), ..engine })
    }

    /// Version and folder of the package, from the CLI's place, from our program's, or from our cache.
    fn installed(&self, fits: impl Fn(&str) -> bool) -> Option<(String, PathBuf)> {
        let beside = |path: &Path| packages::find_beside(path, PACKAGE);
        let of_engines = || beside(&packages::find_beside(self.cli, "@prisma/engines")?);
        let cached = || {
            let kept = std::fs::read_dir(&self.cache).ok()?.filter_map(Result::ok);
            let whole = kept.filter(|entry| !entry.file_name().to_string_lossy().starts_with('.'));
            let mut folders = whole.map(|entry| entry.path().join("node_modules").join(PACKAGE));
            folders.find(|folder| version_of(folder).is_some_and(|found| fits(&found)))
        };
        let places = [beside(self.cli), of_engines(), beside(self.program), cached()];
        let found = places.into_iter().flatten().filter_map(|folder| Some((version_of(&folder)?, folder)));
        found.into_iter().find(|(version, _)| fits(version))
    }

    fn engine(&self, version: &str, folder: &Path) -> WasmEngine {
        WasmEngine {
            commit: commit(version).to_owned(),
            glue: folder.join(GLUE),
            wasm: folder.join(WASM),
            twin: self.own_half(),
            hook: self.hook.map(Path::to_owned),
            glue_of: None,
            version: version.to_owned(),
        }
    }

    fn own_half(&self) -> PathBuf {
        self.cli.with_file_name(WASM)
    }

    /// Into a folder of our own.
    fn brought(&self, version: &str) -> Result<PathBuf> {
        let cache = NpmCache { root: self.root, folder: self.cache.clone(), npm: self.npm.clone(), quiet: self.quiet };
        let brought = cache.bring(version, &format!("{PACKAGE}@{version}"), |_| Ok(()))?;
        let folder = brought.map_err(|why| self.not_brought(version, &why))?;
        Ok(folder.join("node_modules").join(PACKAGE))
    }

    fn not_brought(&self, version: &str, why: &str) -> Failure {
        let (release, manager) = (self.release, PackageManager::of(self.root));
        let failure = no_engine(self.root).because(why);
        let Some((_, nearest)) = release::glue(release) else {
            return failure.hint(manager.add(&format!("{PACKAGE}@{version}")).see(NO_ENGINE.name));
        };
        let nearest_one =
            format!("npm has no `{PACKAGE}` for Prisma {release}; the nearest release with one is {nearest}");
        failure.because(nearest_one).hint(manager.add(&format!("prisma@{nearest}")).see(NO_ENGINE.name))
    }
}

fn version_of(folder: &Path) -> Option<String> {
    packages::version(folder).filter(|_| folder.join(GLUE).is_file())
}

/// `7.10.0-4.0edf323e…` ends with the commit.
fn commit(version: &str) -> &str {
    version.rsplit('.').next().unwrap_or(version)
}

fn no_engine(root: &Path) -> Failure {
    Failure::blocked("Prisma's schema engine is not here")
        .because("its download was blocked or skipped when the package was installed")
        .hint(PackageManager::of(root).install().see(NO_ENGINE.name))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use tempfile::TempDir;

    use super::*;
    use crate::hint::Aim;

    const WANTED: &str = "7.10.0-4.abc";
    const GLUE_OF_7_10_1: &str = "7.10.0-4.0edf323efd1d98336f3f0a68684b56f689b900d3";

    /// A project with a CLI, our engine program, and an npm that stands in for the registry: it is told what to bring.
    struct Machine(TempDir);

    impl Machine {
        fn new() -> Machine {
            let machine = Machine(tempfile::tempdir().unwrap());
            machine.write("node_modules/prisma/build/index.js", "");
            machine.write("node_modules/prisma/build/schema_engine_bg.wasm", "");
            machine.write("home/schema-engine.mjs", "");
            machine
        }

        fn path(&self, path: &str) -> PathBuf {
            self.0.path().join(path)
        }

        fn write(&self, path: &str, text: &str) {
            fs::create_dir_all(self.path(path).parent().unwrap()).unwrap();
            fs::write(self.path(path), text).unwrap();
        }

        fn package(&self, folder: &str, version: &str) {
            self.write(
                &format!("{folder}/node_modules/{PACKAGE}/package.json"),
                &format!("{{\"version\":\"{version}\"}}"),
            );
            self.write(&format!("{folder}/node_modules/{PACKAGE}/{GLUE}"), "");
        }

        /// Its last argument is what was asked for.
        fn npm(&self, script: &str) {
            self.write("npm", &format!("#!/bin/sh\nfor package; do :; done\n{script}\n"));
            fs::set_permissions(self.path("npm"), fs::Permissions::from_mode(0o755)).unwrap();
        }

        fn find(&self, release: &str, version: &str) -> Result<WasmEngine> {
            let (cli, program) = (self.path("node_modules/prisma/build/index.js"), self.path("home/schema-engine.mjs"));
            let wanted = Wanted {
                root: self.0.path(),
                cli: &cli,
                release,
                version: Some(version),
                hook: None,
                program: &program,
                cache: self.path(".drill/engines"),
                npm: Some(self.path("npm")).filter(|npm| npm.is_file()),
                quiet: true,
            };
            wanted.find()
        }

        fn found(&self, release: &str, version: &str) -> String {
            let engine = self.find(release, version).unwrap();
            engine.glue.strip_prefix(self.0.path()).unwrap().display().to_string()
        }

        fn refused(&self, release: &str, version: &str) -> String {
            let failure = self.find(release, version).unwrap_err();
            let hint = failure.hint.as_ref().map(|hint| hint.line(&Aim::default())).unwrap_or_default();
            let causes: Vec<String> = failure.causes().skip(1).collect();
            format!("{}\n{hint}", causes.join("\n"))
        }
    }

    const BRINGS: &str = r#"to=node_modules/@prisma/schema-engine-wasm; mkdir -p $to; touch $to/schema_engine_bg.js
        echo "{\"version\":\"${package##*@}\"}" > $to/package.json; cat .npmrc >> ../../asked 2>/dev/null; echo "$package" >> ../../asked"#;

    #[test]
    fn the_package_of_the_same_commit_is_taken_from_whichever_place_has_it() {
        let machine = Machine::new();
        machine.package("home", "7.9.0-1.old");
        machine.package("home/node_modules/x", WANTED);
        machine.package(".drill/engines/7.10.0-4.abc", WANTED);
        let name = format!("node_modules/{PACKAGE}/{GLUE}");
        assert_eq!(machine.found("7.10.0", WANTED), format!(".drill/engines/7.10.0-4.abc/{name}"));
        machine.package("home", WANTED);
        assert_eq!(machine.found("7.10.0", WANTED), format!("home/{name}"));
        machine.package(".", WANTED);
        assert_eq!(machine.found("7.10.0", WANTED), name);
    }

    #[test]
    fn what_no_place_has_is_brought_once_with_the_projects_own_settings() {
        let machine = Machine::new();
        machine.write(".npmrc", "registry=http://127.0.0.1:1/\n");
        machine.package(".drill/engines/.new-killed", WANTED);
        machine.npm(BRINGS);
        let name = format!("node_modules/{PACKAGE}/{GLUE}");
        assert_eq!(machine.found("7.10.0", WANTED), format!(".drill/engines/7.10.0-4.abc/{name}"));
        assert_eq!(machine.found("7.10.0", WANTED), format!(".drill/engines/7.10.0-4.abc/{name}"));
        let asked = fs::read_to_string(machine.path(".drill/asked")).unwrap();
        assert_eq!(asked, format!("registry=http://127.0.0.1:1/\n{PACKAGE}@{WANTED}\n"));
    }

    #[test]
    fn what_cannot_be_brought_leaves_nothing_and_says_what_would_bring_it() {
        let machine = Machine::new();
        machine.npm("mkdir node_modules; exit 1");
        machine.write("yarn.lock", "");
        let said = [machine.refused("7.10.0", WANTED), machine.refused("7.10.1", "8.1.0-1.d1b")];
        insta::assert_snapshot!(said.join("\n"), @"
        `npm install @prisma/schema-engine-wasm@7.10.0-4.abc` exited with code 1
        yarn add --dev --exact @prisma/schema-engine-wasm@7.10.0-4.abc  # see docs/failures/engine-missing
        `npm install @prisma/schema-engine-wasm@7.10.0-4.0edf323efd1d98336f3f0a68684b56f689b900d3` exited with code 1
        npm has no `@prisma/schema-engine-wasm` for Prisma 7.10.1; the nearest release with one is 7.10.0
        yarn add --dev --exact prisma@7.10.0  # see docs/failures/engine-missing
        ");
        assert_eq!(fs::read_dir(machine.path(".drill/engines")).unwrap().count(), 0);
    }

    #[test]
    fn a_cli_whose_commit_npm_lacks_runs_its_own_half() {
        let machine = Machine::new();
        machine.package("home", GLUE_OF_7_10_1);
        let engine = machine.find("7.10.1", "8.1.0-1.d1b").unwrap();
        assert_eq!(engine.wasm, machine.path("node_modules/prisma/build/schema_engine_bg.wasm"));
        assert_eq!((engine.commit.as_str(), engine.glue_of.as_deref()), ("d1b", Some(GLUE_OF_7_10_1)));
        fs::remove_file(engine.wasm).unwrap();
        insta::assert_snapshot!(machine.refused("7.10.1", "8.1.0-1.d1b"), @"
        the CLI's own `schema_engine_bg.wasm` is missing, too
        npm ci  # see docs/failures/engine-missing
        ");
    }
}
