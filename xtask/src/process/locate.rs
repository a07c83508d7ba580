//! Where the programs are that a run needs, and which versions: read from their own files, so that looking costs nothing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Failure, Result};
use crate::hint::Hint;
use crate::interrupt::Interrupt;
use crate::process::native_engine::{self, Platform};
use crate::process::release::{self, major};
use crate::process::{self, Exit, Invocation};
use crate::settings::Settings;

/// The oldest Node that Prisma 7 runs on.
const NODE_MAJOR: u32 = 20;
const ENGINE: &str = "prisma/engine/schema-engine.mjs";
const TWIN: &str = "@prisma/schema-engine-wasm";

#[derive(Debug, Clone)]
pub struct Toolbox {
    pub node: PathBuf,
    pub prisma: Package,
    pub engine: Engine,
}

/// A program that came as an npm package.
#[derive(Debug, Clone)]
pub struct Package {
    pub script: PathBuf,
    pub version: String,
}

/// What answers when Prisma's CLI asks its schema engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Engine {
    /// Prisma's own binary, downloaded when its package was installed, or named by the user.
    Native(PathBuf),
    /// The same engine as WebAssembly, run by our Node program.
    Wasm { program: PathBuf, version: String },
}

impl Engine {
    pub fn in_words(&self) -> String {
        match self {
            Engine::Native(path) => {
                format!("native ({})", path.file_name().unwrap_or_default().to_string_lossy())
            }
            Engine::Wasm { version, .. } => format!("wasm ({version})"),
        }
    }
}

impl Toolbox {
    /// # Errors
    /// `blocked`, naming the first tool that is missing and the command that brings it.
    pub fn find(settings: &Settings) -> Result<Toolbox> {
        let node = on_path(settings, "node")
            .ok_or_else(|| Failure::blocked("`node` is not on PATH").hint("install Node 20 or newer"))?;
        let prisma = prisma(settings)?;
        let engine = engine(settings, &prisma)?;
        Ok(Toolbox { node, prisma, engine })
    }

    /// Whether the library is there without which Prisma 6 starts no command.
    pub fn has_query_engine(&self) -> bool {
        let real = self.prisma.script.canonicalize().unwrap_or_default();
        let engines = real.ancestors().map(|folder| folder.join("node_modules/@prisma/engines"));
        let files = engines.filter_map(|engines| std::fs::read_dir(engines).ok()).flatten().filter_map(Result::ok);
        files.map(|file| file.file_name()).any(|name| name.to_string_lossy().starts_with("libquery_engine"))
    }

    /// Asks Node for its version; 40 ms, so callers do it beside something else.
    ///
    /// # Errors
    /// `blocked` when Node does not answer or is too old.
    pub fn node_version(&self, interrupt: &Interrupt) -> Result<String> {
        let invocation = Invocation::new(&self.node, Path::new("/")).arg("--version");
        let (exit, stdout) = process::capture(&invocation, Duration::from_secs(10), interrupt)?;
        let version = String::from_utf8_lossy(&stdout).trim().trim_start_matches('v').to_owned();
        match major(&version) {
            Some(major) if exit == Exit::Success && major >= NODE_MAJOR => Ok(version),
            Some(_) if exit == Exit::Success => Err(Failure::blocked(format!("Node {version} is too old"))
                .because(format!("`{}` is the first on PATH", self.node.display()))
                .hint(format!("install Node {NODE_MAJOR} or newer, and put it first on PATH"))),
            _ => Err(Failure::blocked(format!("`{} --version` {}", self.node.display(), exit.in_words()))
                .hint(format!("install Node {NODE_MAJOR} or newer"))),
        }
    }
}

pub fn on_path(settings: &Settings, name: &str) -> Option<PathBuf> {
    which::which_in(name, settings.variable("PATH"), &settings.root).ok()
}

/// Whether the project's packages were never installed although it has a lock file to install them from.
pub fn needs_install(settings: &Settings) -> bool {
    settings.root.join("package-lock.json").is_file() && !settings.root.join("node_modules").exists()
}

fn prisma(settings: &Settings) -> Result<Package> {
    let script = in_packages(settings, "prisma/build/index.js").or_else(|| {
        let found = on_path(settings, "prisma")?.canonicalize().ok()?;
        found.ends_with("build/index.js").then_some(found)
    });
    let script =
        script.ok_or_else(|| Failure::blocked("the Prisma CLI is not installed").hint(Hint::shell("npm ci")))?;
    let folder = script.ancestors().nth(2).unwrap_or(&script);
    let version = package_version(folder).ok_or_else(|| {
        Failure::blocked(format!("cannot tell the version of `{}`", script.display())).hint(Hint::shell("npm ci"))
    })?;
    release::check(&version)?;
    Ok(Package { script, version })
}

/// The user's own choice, else the binary beside the CLI, else our program around its WebAssembly twin.
fn engine(settings: &Settings, prisma: &Package) -> Result<Engine> {
    if let Some(path) = settings.variable("PRISMA_SCHEMA_ENGINE_BINARY") {
        let path = settings.root.join(path);
        return if path.is_file() {
            Ok(Engine::Native(path))
        } else {
            Err(Failure::blocked("PRISMA_SCHEMA_ENGINE_BINARY names a file that is not there")
                .hint("unset PRISMA_SCHEMA_ENGINE_BINARY, or correct it"))
        };
    }
    if let Some(path) = native_engine::of_cli(&prisma.script, &Platform::here()) {
        return Ok(Engine::Native(path));
    }
    // A project that does not carry our program uses the one of this workspace, with the packages beside it.
    let base = [&settings.root, &settings.home].into_iter().find(|base| base.join(ENGINE).is_file());
    let base = base.ok_or_else(|| no_engine().because(format!("`{ENGINE}` is missing too")))?;
    let version = twin(prisma, &base.join(ENGINE))?;
    Ok(Engine::Wasm { program: base.join(ENGINE), version })
}

/// The version of the engine's WebAssembly package, found as our program finds it: from the CLI, else beside that program.
/// An engine of another commit may write other migrations.
fn twin(prisma: &Package, program: &Path) -> Result<String> {
    let wanted = near(&prisma.script, "@prisma/engines-version");
    let found = near(&prisma.script, TWIN).or_else(|| near(program, TWIN));
    match (found, wanted) {
        (Some(found), Some(wanted)) if commit(&found) == commit(&wanted) => Ok(found),
        (Some(found), None) => Ok(found),
        (found, wanted) => Err(no_twin(prisma, found, wanted)),
    }
}

fn no_twin(prisma: &Package, found: Option<String>, wanted: Option<String>) -> Failure {
    let release = &prisma.version;
    if let Some(nearest) = release::nearest_with_twin(release) {
        return no_engine()
            .because(format!("npm has no `{TWIN}` for Prisma {release}; the nearest release with one is {nearest}"))
            .hint(Hint::shell("npm install --save-dev").arg(format!("prisma@{nearest}")));
    }
    let lack = match &found {
        Some(found) => format!("the package `{TWIN}` is {found}, of another commit than Prisma {release} wants"),
        None => format!("the package `{TWIN}` is missing too"),
    };
    match wanted {
        Some(wanted) => no_engine()
            .because(lack)
            .hint(Hint::shell("npm install --save-dev --save-exact").arg(format!("{TWIN}@{wanted}"))),
        None => no_engine().because(lack),
    }
}

/// `7.10.0-4.0edf323e…` ends with the commit.
fn commit(version: &str) -> &str {
    version.rsplit('.').next().unwrap_or(version)
}

/// The version of the package that Node would load from `file`'s real place, which under pnpm is not where the project sees it.
fn near(file: &Path, package: &str) -> Option<String> {
    let real = file.canonicalize().ok()?;
    let version =
        |from: &Path| from.ancestors().find_map(|folder| package_version(&folder.join("node_modules").join(package)));
    // Under pnpm the engines lie beside the CLI, and what they need beside the engines.
    version(&real).or_else(|| {
        let engines = real.ancestors().find_map(|it| it.join("node_modules/@prisma/engines").canonicalize().ok())?;
        version(&engines)
    })
}

fn no_engine() -> Failure {
    Failure::blocked("Prisma's schema engine is not here")
        .because("its download was blocked or skipped when the package was installed")
        .hint(Hint::shell("npm ci"))
}

/// The Supabase CLI's binary and version: from the project's packages (past its shim, which starts Node first), else on PATH.
pub fn supabase(settings: &Settings) -> Option<(PathBuf, String)> {
    if let Some(folder) = in_packages(settings, "supabase") {
        let version = package_version(&folder)?;
        let binary = in_packages(settings, &format!("@supabase/cli-{}/bin/supabase", platform()));
        return Some((binary.or_else(|| in_packages(settings, ".bin/supabase"))?, version));
    }
    let program = on_path(settings, "supabase")?;
    let folder = program.canonicalize().ok()?;
    let version = folder.ancestors().skip(1).take(3).find_map(package_version)?;
    Some((program, version))
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

/// The folder with `bin/postgres` for this platform.
///
/// # Errors
/// `blocked` when the package is missing, or its libraries were never linked and cannot be.
pub fn embedded_postgres(settings: &Settings, interrupt: &Interrupt) -> Result<PathBuf> {
    let package = format!("@embedded-postgres/{}", platform());
    let folder = in_packages(settings, &package).ok_or_else(|| {
        Failure::blocked(format!("the embedded Postgres (`{package}`) is not installed")).hint(Hint::shell("npm ci"))
    })?;
    let native = folder.join("native");
    let links = native.join("pg-symlinks.json");
    if links.is_file() && unlinked(&native, &links) {
        link_libraries(settings, &folder, interrupt)?;
    }
    Ok(native)
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
    let node = on_path(settings, "node")
        .ok_or_else(|| Failure::blocked("`node` is not on PATH").hint("install Node 20 or newer"))?;
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
    Some(settings.root.join("node_modules").join(path)).filter(|path| path.exists())
}

fn package_version(folder: &Path) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Manifest {
        version: String,
    }
    let text = std::fs::read(folder.join("package.json")).ok()?;
    serde_json::from_slice::<Manifest>(&text).ok().map(|manifest| manifest.version)
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
        let prisma = Package { script: PathBuf::new(), version: String::new() };
        let toolbox = Toolbox { node, prisma, engine: Engine::Native(PathBuf::new()) };
        let interrupt = Interrupt::default();
        interrupt.pretend(signal_hook::consts::SIGINT);
        let failure = toolbox.node_version(&interrupt).unwrap_err();
        assert_eq!((failure.status, failure.hint), (Status::Interrupted, None));
    }
}
