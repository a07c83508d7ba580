//! Prisma's own engine: which file of its package `@prisma/engines` runs on this machine.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::interrupt::Interrupt;
use crate::process::{self, Exit, Invocation};

/// Where Prisma looks for the OpenSSL that decides which of its engines fits, by family of Linux.
const LIBRARIES: [&str; 4] = ["/usr/lib/ARCH-linux-gnu", "/lib/ARCH-linux-gnu", "/lib64", "/usr/lib64"];
const LIBRARIES_OF_MUSL: [&str; 2] = ["/lib", "/usr/lib"];
/// Of engines for other versions of OpenSSL, the newest first.
const OPENSSL: [&str; 3] = ["3.0.x", "1.1.x", "1.0.x"];

/// An engine that is a program of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NativeEngine {
    pub path: PathBuf,
    /// What it says of itself; None where it says nothing that can be one.
    pub commit: Option<String>,
    /// The commit that the CLI goes with, where it says so and the engine is of another.
    pub instead_of: Option<String>,
}

impl NativeEngine {
    /// `wanted` is the version that the CLI names, whose end is the commit.
    pub fn ask(path: PathBuf, wanted: Option<&str>, search: Option<&str>) -> NativeEngine {
        let commit = said(&path, search);
        let wanted = wanted.map(|version| version.rsplit(['.', '-']).next().unwrap_or(version));
        let instead_of = wanted.filter(|wanted| commit.as_deref().is_some_and(|commit| commit != *wanted));
        NativeEngine { path, instead_of: instead_of.map(str::to_owned), commit }
    }

    pub fn in_words(&self) -> String {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        match (&self.commit, &self.instead_of) {
            (None, _) => format!("native ({name}, which does not say its commit)"),
            (Some(commit), None) => format!("native ({name}, {commit})"),
            (Some(commit), Some(wanted)) => format!("native ({name}, {commit}, where the CLI goes with {wanted})"),
        }
    }
}

/// `schema-engine-cli 0edf323e…` is how Prisma's engines answer, and what `prisma --version` reads.
fn said(path: &Path, search: Option<&str>) -> Option<String> {
    let folder = path.parent()?;
    let question = Invocation::new(path, folder).arg("--version").envs(search.map(|search| ("PATH", search)));
    let (exit, said) = process::capture(&question, Duration::from_secs(10), &Interrupt::default()).ok()?;
    let said = String::from_utf8_lossy(&said);
    let commit = said.split_whitespace().last().filter(|_| exit == Exit::Success)?;
    (commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| commit.to_owned())
}

/// What Prisma's names of its engines tell apart.
#[derive(Debug, Clone)]
pub struct Platform {
    os: &'static str,
    arch: &'static str,
    /// `debian`, `rhel`, `musl` or `nixos`: Prisma builds for no other Linux, and takes `debian` for an unknown one.
    family: &'static str,
    /// As Prisma writes it: `3.0.x`.
    openssl: Option<String>,
}

impl Platform {
    pub fn here() -> Platform {
        let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
        let family = family(&std::fs::read_to_string("/etc/os-release").unwrap_or_default());
        let folders = if family == "musl" { LIBRARIES_OF_MUSL.as_slice() } else { LIBRARIES.as_slice() };
        let openssl = folders.iter().find_map(|folder| openssl_in(Path::new(&folder.replace("ARCH", arch))));
        Platform { os, arch, family, openssl }
    }

    /// The names that Prisma gives to engines that may run here: its own choice first, then the same for other versions of
    /// OpenSSL and other kinds of Linux. Never those of another system, processor or C library.
    fn targets(&self) -> Vec<String> {
        let others = OPENSSL.iter().map(|version| (*version).to_owned());
        let versions = self.openssl.iter().cloned().chain(others);
        match (self.os, self.arch, self.family) {
            ("macos", "aarch64", _) => vec!["darwin-arm64".to_owned()],
            ("macos", ..) => vec!["darwin".to_owned()],
            (_, _, "nixos") => vec!["linux-nixos".to_owned()],
            (_, "aarch64", "musl") => versions.map(|version| format!("linux-musl-arm64-openssl-{version}")).collect(),
            (_, "aarch64", _) => versions.map(|version| format!("linux-arm64-openssl-{version}")).collect(),
            (_, _, "musl") => versions.map(|version| musl(&version)).collect(),
            (_, _, family) => {
                let families = [family, if family == "rhel" { "debian" } else { "rhel" }];
                versions.flat_map(|version| families.map(|family| format!("{family}-openssl-{version}"))).collect()
            }
        }
    }
}

fn musl(openssl: &str) -> String {
    if openssl.starts_with("1.") { "linux-musl".to_owned() } else { format!("linux-musl-openssl-{openssl}") }
}

fn family(os_release: &str) -> &'static str {
    let value = |key: &str| {
        let line = os_release.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.unwrap_or_default().trim_matches('"').to_lowercase()
    };
    let (id, like) = (value("ID"), value("ID_LIKE"));
    match id.as_str() {
        "alpine" => "musl",
        "nixos" => "nixos",
        "debian" | "ubuntu" | "arch" => "debian",
        "rhel" | "centos" | "fedora" => "rhel",
        _ if ["debian", "ubuntu", "arch"].iter().any(|name| like.contains(name)) => "debian",
        _ if ["centos", "fedora", "rhel", "suse"].iter().any(|name| like.contains(name)) => "rhel",
        _ => "debian",
    }
}

/// `3.0.x` of `libssl.so.3`, `1.1.x` of `libssl.so.1.1`; the newest that is there.
fn openssl_in(folder: &Path) -> Option<String> {
    let names = std::fs::read_dir(folder).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let version = |name: String| {
        let version = name.strip_prefix("libssl.so.")?.to_owned();
        OPENSSL.iter().find(|known| version.starts_with(known.trim_end_matches(".x").trim_end_matches(".0")))
    };
    names.filter_map(version).max().map(|version| (*version).to_owned())
}

/// The engine that was downloaded for the CLI whose package is the folder `cli`, into that of `@prisma/engines` or, as bundlers leave
/// it, into its own.
pub fn of_cli(cli: &Path, engines: Option<&Path>, platform: &Platform) -> Option<PathBuf> {
    let own = [cli.to_owned(), cli.join("build")];
    let folders: Vec<PathBuf> = engines.map(Path::to_owned).into_iter().chain(own).collect();
    let names = platform.targets().into_iter().map(|target| format!("schema-engine-{target}"));
    names.flat_map(|name| folders.iter().map(move |folder| folder.join(&name))).find(|file| is_program(file))
}

/// A download that was broken off is not executable yet.
fn is_program(file: &Path) -> bool {
    file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;
    use crate::process::packages;

    const CLI: &str = "prisma/build/index.js";

    fn linux(arch: &'static str, family: &'static str, openssl: Option<&str>) -> Platform {
        Platform { os: "linux", arch, family, openssl: openssl.map(str::to_owned) }
    }

    fn write(path: &Path, mode: u32) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// A project as npm lays it out, with these files in `@prisma/engines`.
    fn npm(engines: &[&str]) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("node_modules").join(CLI), 0o644);
        engines.iter().for_each(|name| write(&folder.path().join("node_modules/@prisma/engines").join(name), 0o755));
        folder
    }

    fn found(project: &TempDir, platform: &Platform) -> Option<String> {
        let cli = project.path().join("node_modules/prisma").canonicalize().unwrap();
        let engines = packages::find_beside(&cli, "@prisma/engines");
        let file = of_cli(&cli, engines.as_deref(), platform)?;
        Some(file.file_name().unwrap().to_str().unwrap().to_owned())
    }

    #[test]
    fn of_several_engines_the_one_of_this_platform_is_taken() {
        let project = npm(&[
            "schema-engine-darwin",
            "schema-engine-darwin-arm64",
            "schema-engine-debian-openssl-1.1.x",
            "schema-engine-debian-openssl-3.0.x",
            "schema-engine-linux-arm64-openssl-3.0.x",
            "schema-engine-linux-musl",
            "schema-engine-linux-musl-arm64-openssl-3.0.x",
            "schema-engine-linux-musl-openssl-3.0.x",
            "schema-engine-linux-nixos",
            "schema-engine-rhel-openssl-3.0.x",
            "schema-engine-windows.exe",
        ]);
        let mac = |arch| Platform { os: "macos", arch, family: "debian", openssl: None };
        let platforms = [
            linux("x86_64", "debian", Some("3.0.x")),
            linux("x86_64", "debian", Some("1.1.x")),
            linux("x86_64", "rhel", Some("3.0.x")),
            linux("x86_64", "debian", None),
            linux("x86_64", "musl", Some("3.0.x")),
            linux("x86_64", "musl", Some("1.1.x")),
            linux("x86_64", "nixos", None),
            linux("aarch64", "debian", Some("3.0.x")),
            linux("aarch64", "musl", Some("3.0.x")),
            mac("aarch64"),
            mac("x86_64"),
        ];
        assert_eq!(
            platforms.map(|platform| found(&project, &platform).unwrap().split_off("schema-engine-".len())),
            [
                "debian-openssl-3.0.x",
                "debian-openssl-1.1.x",
                "rhel-openssl-3.0.x",
                "debian-openssl-3.0.x",
                "linux-musl-openssl-3.0.x",
                "linux-musl",
                "linux-nixos",
                "linux-arm64-openssl-3.0.x",
                "linux-musl-arm64-openssl-3.0.x",
                "darwin-arm64",
                "darwin",
            ]
        );
    }

    #[test]
    fn another_openssl_is_better_than_none_and_another_system_is_not() {
        let here = linux("x86_64", "rhel", Some("3.0.x"));
        let only = |name: &str| found(&npm(&[name]), &here);
        assert_eq!(only("schema-engine-debian-openssl-1.1.x").as_deref(), Some("schema-engine-debian-openssl-1.1.x"));
        assert_eq!(only("schema-engine-darwin-arm64"), None);
        assert_eq!(only("schema-engine-linux-musl-openssl-3.0.x"), None);
        assert_eq!(only("schema-engine-linux-arm64-openssl-3.0.x"), None);
    }

    #[test]
    fn what_lies_beside_an_engine_is_none() {
        let here = linux("x86_64", "debian", Some("3.0.x"));
        let name = "schema-engine-debian-openssl-3.0.x";
        let project = npm(&[&format!("{name}.sha256"), &format!("{name}.gz"), &format!("{name}.exe")]);
        assert_eq!(found(&project, &here), None);
        let file = project.path().join("node_modules/@prisma/engines").join(name);
        write(&file, 0o644);
        assert_eq!(found(&project, &here), None, "a download that was broken off");
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        assert_eq!(found(&project, &here), None, "a folder");
    }

    #[test]
    fn the_engine_is_found_where_pnpm_puts_it() {
        let project = tempfile::tempdir().unwrap();
        let store = project.path().join("node_modules/.pnpm");
        let cli = store.join("prisma@7.10.0_typescript@5.9.3/node_modules");
        let engines = store.join("@prisma+engines@7.10.0/node_modules/@prisma/engines");
        write(&cli.join(CLI), 0o644);
        write(&engines.join("schema-engine-debian-openssl-3.0.x"), 0o755);
        fs::create_dir(cli.join("@prisma")).unwrap();
        symlink(&engines, cli.join("@prisma/engines")).unwrap();
        symlink(cli.join("prisma"), project.path().join("node_modules/prisma")).unwrap();
        let here = linux("x86_64", "debian", Some("3.0.x"));
        assert_eq!(found(&project, &here).as_deref(), Some("schema-engine-debian-openssl-3.0.x"));
    }

    #[test]
    fn an_engine_beside_the_cli_itself_is_found_too() {
        let here = linux("x86_64", "debian", Some("3.0.x"));
        let project = npm(&[]);
        write(&project.path().join("node_modules/prisma/schema-engine-debian-openssl-3.0.x"), 0o755);
        assert_eq!(found(&project, &here).as_deref(), Some("schema-engine-debian-openssl-3.0.x"));
    }

    /// No native engine can be had where this was written: the programs here answer `--version` as Prisma's do, and in other ways.
    #[test]
    fn an_engine_is_named_with_the_commit_that_it_says_itself() {
        let commit = "0edf323efd1d98336f3f0a68684b56f689b900d3";
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("schema-engine-debian-openssl-3.0.x");
        let words = |script: &str, wanted: Option<&str>| {
            fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            NativeEngine::ask(path.clone(), wanted, Some("/usr/bin:/bin")).in_words()
        };
        let answers = format!("[ \"$*\" = --version ] && echo schema-engine-cli {commit}");
        let of_the_cli = format!("7.10.0-4.{commit}");
        let of_a_branch = format!("6.20.0-16.next-{commit}");
        let said = [
            words(&answers, Some(&of_the_cli)),
            words(&answers, Some(&of_a_branch)),
            words(&answers, None),
            words(&answers, Some("7.4.0-20.ab56fe763f921d033a6c195e7ddeb3e255bdbb57")),
            words("exit 0", Some(&of_the_cli)),
            words(&format!("echo schema-engine-cli {commit}; exit 1"), None),
            words("echo postgresql://u:secret@h/d", None),
        ];
        insta::assert_snapshot!(said.join("\n"), @r"
        native (schema-engine-debian-openssl-3.0.x, 0edf323efd1d98336f3f0a68684b56f689b900d3)
        native (schema-engine-debian-openssl-3.0.x, 0edf323efd1d98336f3f0a68684b56f689b900d3)
        native (schema-engine-debian-openssl-3.0.x, 0edf323efd1d98336f3f0a68684b56f689b900d3)
        native (schema-engine-debian-openssl-3.0.x, 0edf323efd1d98336f3f0a68684b56f689b900d3, where the CLI goes with ab56fe763f921d033a6c195e7ddeb3e255bdbb57)
        native (schema-engine-debian-openssl-3.0.x, which does not say its commit)
        native (schema-engine-debian-openssl-3.0.x, which does not say its commit)
        native (schema-engine-debian-openssl-3.0.x, which does not say its commit)
        ");
    }

    #[test]
    fn a_linux_is_of_the_family_that_prisma_says() {
        let releases = [
            "ID=alpine\n",
            "NAME=\"x\"\nID=ubuntu\nID_LIKE=debian\n",
            "ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n",
            "ID=arch\n",
            "ID=nixos\n",
            "ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n",
            "",
        ];
        assert_eq!(releases.map(family), ["musl", "debian", "rhel", "debian", "nixos", "debian", "debian"]);
    }

    #[test]
    fn the_version_of_openssl_is_read_off_its_files() {
        let folder = |files: &[&str]| {
            let folder = tempfile::tempdir().unwrap();
            files.iter().for_each(|file| write(&folder.path().join(file), 0o644));
            openssl_in(folder.path())
        };
        assert_eq!(folder(&["libssl.so", "libssl.so.3", "libssl.a"]).as_deref(), Some("3.0.x"));
        assert_eq!(folder(&["libssl.so.1.1", "libssl.so.1.0.0"]).as_deref(), Some("1.1.x"));
        assert_eq!(folder(&["libssl.so.1.0.2"]).as_deref(), Some("1.0.x"));
        assert_eq!(folder(&["libssl.so.0.9.8", "libcrypto.so.3"]), None);
    }
}
