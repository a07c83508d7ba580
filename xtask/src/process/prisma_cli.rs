//! Where Prisma's CLI is, as a command of the project's own would find it: every package manager and every layout has its place for it.

use std::path::{Path, PathBuf};

use crate::causes::packages as causes;
use crate::error::{Failure, Result};
use crate::process::package_manager::PackageManager;
use crate::process::packages;
use crate::process::pnp;
use crate::process::release::major;

/// Prisma's CLI as it was installed.
#[derive(Debug, Clone, Default)]
pub struct Package {
    pub script: PathBuf,
    pub version: String,
    /// What Node is started with so that programs find their packages; nothing but under Plug'n'Play.
    pub node_arguments: Vec<String>,
    /// The folder of `@prisma/engines`.
    pub engines: Option<PathBuf>,
    /// The version of the engine that this CLI wants.
    pub wanted: Option<String>,
    /// Yarn's Plug'n'Play.
    pub hook: Option<PathBuf>,
}

/// For whom the CLI is looked for.
pub struct Project<'a> {
    pub root: &'a Path,
    pub schema: &'a Path,
    pub node: &'a Path,
}

impl Project<'_> {
    /// As a command in the folder of the schema finds it, which in a monorepo need not be the project's own. None where there is none.
    ///
    /// # Errors
    /// `blocked` where it is installed in part, or twice, or does not go with its client.
    pub fn prisma(&self) -> Result<Option<Package>> {
        let near_schema = place(self.schema.parent().unwrap_or(self.root));
        let near_root = place(self.root).filter(|place| Some(place) != near_schema.as_ref());
        let packages = [near_schema, near_root].map(|place| place.map(|place| self.installed(&place)));
        match packages.map(|package| package.transpose().map(Option::flatten)) {
            [Ok(Some(one)), Ok(Some(other))] if one.version != other.version => Err(self.two_versions(&one, &other)),
            [near_schema, near_root] => Ok(near_schema?.or(near_root?)),
        }
    }

    fn installed(&self, place: &Path) -> Result<Option<Package>> {
        if place.ends_with(pnp::HOOK) { self.of_pnp(place) } else { self.of_node_modules(place).map(Some) }
    }

    fn of_node_modules(&self, cli: &Path) -> Result<Package> {
        let script = cli.join("build/index.js");
        let Some(version) = packages::version(cli).filter(|_| script.is_file()) else {
            return Err(self.in_part().because("its program is missing"));
        };
        if let Some(missing) = packages::missing_of_cli(cli) {
            let lack = format!("`{missing}`, which it needs, is missing");
            return Err(self.in_part().because(lack));
        }
        let client = packages::find(cli, "@prisma/client").and_then(|client| packages::version(&client));
        self.goes_with(&version, client.as_deref())?;
        Ok(with_engines(script, version))
    }

    fn of_pnp(&self, hook: &Path) -> Result<Option<Package>> {
        let found = pnp::prisma(self.node, hook, self.schema)?;
        let (Some(cli), Some(version)) = (found.cli, found.version) else { return Ok(None) };
        self.goes_with(&version, found.client.as_deref())?;
        Ok(Some(Package {
            script: cli.join("build/index.js"),
            version,
            node_arguments: pnp::node_arguments(self.root, hook),
            engines: found.engines,
            wanted: found.wanted,
            hook: Some(hook.to_owned()),
        }))
    }

    /// Prisma's client and its CLI are of one release; only the CLI may be ahead by a patch.
    fn goes_with(&self, cli: &str, client: Option<&str>) -> Result<()> {
        let Some(client) = client.filter(|client| major(client) != major(cli)) else { return Ok(()) };
        let fix = format!("@prisma/client@{}", major(cli).unwrap_or_default());
        Err(Failure::blocked(format!("`prisma` is {cli} and `@prisma/client` is {client}: two majors in one project"))
            .hint(PackageManager::of(self.root).add(&fix).see(causes::TWO_VERSIONS.name)))
    }

    fn two_versions(&self, one: &Package, other: &Package) -> Failure {
        let shown = |package: &Package| {
            let folder = package.script.ancestors().nth(2).unwrap_or(&package.script);
            format!("{} in `{}`", package.version, folder.strip_prefix(self.root).unwrap_or(folder).display())
        };
        Failure::blocked("two versions of Prisma are installed, and it is not said which one is meant")
            .because(format!("the schema's folder finds {}, and the project's {}", shown(one), shown(other)))
            .hint(PackageManager::of(self.root).add(&format!("prisma@{}", one.version)).see(causes::TWO_VERSIONS.name))
    }

    fn in_part(&self) -> Failure {
        Failure::blocked("the Prisma CLI is installed in part")
            .hint(PackageManager::of(self.root).install().see(causes::HALF_INSTALLED.name))
    }
}

/// The folder of the CLI in a `node_modules`, or the file of Plug'n'Play: whichever is nearer.
fn place(folder: &Path) -> Option<PathBuf> {
    let places = |folder: &Path| [folder.join("node_modules/prisma"), folder.join(pnp::HOOK)];
    folder.ancestors().find_map(|folder| places(folder).into_iter().find(|place| place.exists()))
}

/// Of a program on PATH.
pub fn of_path(program: &Path) -> Option<Package> {
    let script = program.canonicalize().ok().filter(|found| found.ends_with("build/index.js"))?;
    let version = packages::version(script.ancestors().nth(2)?)?;
    Some(with_engines(script, version))
}

fn with_engines(script: PathBuf, version: String) -> Package {
    let engines = packages::find_beside(&script, "@prisma/engines");
    let beside = |path: &Path| packages::version(&packages::find_beside(path, "@prisma/engines-version")?);
    let wanted = beside(&script).or_else(|| beside(engines.as_deref()?));
    Package { script, version, engines, wanted, ..Package::default() }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;
    use crate::hint::Aim;

    const WANTED: &str = "7.10.0-4.abc";

    /// Whole as far as anybody looks, in a folder `node_modules`.
    fn install(modules: &Path, version: &str) {
        let packages = [
            ("prisma", version, r#""@prisma/config":"","@prisma/engines":"""#),
            ("@prisma/config", version, ""),
            ("@prisma/engines", version, r#""@prisma/engines-version":"""#),
            ("@prisma/engines-version", WANTED, ""),
        ];
        for (name, version, needs) in packages {
            package(&modules.join(name), version, needs);
        }
        fs::create_dir_all(modules.join("prisma/build")).unwrap();
        fs::write(modules.join("prisma/build/index.js"), "").unwrap();
    }

    fn package(folder: &Path, version: &str, needs: &str) {
        fs::create_dir_all(folder).unwrap();
        let manifest = format!("{{\"version\":\"{version}\",\"dependencies\":{{{needs}}}}}");
        fs::write(folder.join("package.json"), manifest).unwrap();
    }

    /// What pnpm makes of it in `project`: links to a store in which nothing is hoisted.
    fn install_as_pnpm(store: &Path, project: &Path, version: &str) {
        for (name, beside) in [("prisma", vec!["config", "engines"]), ("engines", vec!["engines-version"])] {
            let own = store.join(name).join("node_modules");
            install(&own, version);
            for needed in ["config", "engines", "engines-version"] {
                if name != needed {
                    fs::remove_dir_all(own.join("@prisma").join(needed)).unwrap();
                }
            }
            for needed in beside {
                let (place, link) =
                    (store.join(needed).join("node_modules/@prisma").join(needed), own.join("@prisma").join(needed));
                symlink(place, link).unwrap();
            }
        }
        package(&store.join("config/node_modules/@prisma/config"), version, "");
        package(&store.join("engines-version/node_modules/@prisma/engines-version"), WANTED, "");
        fs::create_dir_all(project.join("node_modules")).unwrap();
        symlink(store.join("prisma/node_modules/prisma"), project.join("node_modules/prisma")).unwrap();
    }

    fn folder() -> TempDir {
        tempfile::tempdir().unwrap()
    }

    fn look(root: &Path, schema: &str) -> Result<Option<Package>> {
        let (schema, node) = (root.join(schema), which::which("node").unwrap());
        Project { root, schema: &schema, node: &node }.prisma()
    }

    /// Where the CLI was found, and which engine it wants.
    fn found(root: &Path, schema: &str) -> String {
        let package = look(root, schema).unwrap().unwrap();
        let above = root.parent().unwrap();
        let script = package.script.strip_prefix(above).unwrap().display().to_string();
        format!("{script} {} {}", package.version, package.wanted.unwrap_or_default())
    }

    fn refused(root: &Path, schema: &str) -> String {
        let failure = look(root, schema).unwrap_err();
        let hint = failure.hint.as_ref().map(|hint| hint.line(&Aim::default())).unwrap_or_default();
        let causes: Vec<String> = failure.causes().collect();
        format!("{}\n{}\n{hint}", failure.message, causes.join("; "))
    }

    #[test]
    fn the_cli_is_found_in_every_layout() {
        let top = folder();
        let root = top.path().join("root");
        let package = root.join("packages/db");
        fs::create_dir_all(package.join("prisma")).unwrap();
        let schema = "packages/db/prisma/schema.prisma";
        assert!(look(&root, schema).unwrap().is_none());

        // A root that is itself a package of a monorepo; then npm, yarn and bun, which hoist.
        install(&top.path().join("node_modules"), "7.0.0");
        assert_eq!(found(&root, schema), format!("node_modules/prisma/build/index.js 7.0.0 {WANTED}"));
        install(&root.join("node_modules"), "7.1.0");
        assert_eq!(found(&root, schema), format!("root/node_modules/prisma/build/index.js 7.1.0 {WANTED}"));
        assert_eq!(look(&package, "prisma/schema.prisma").unwrap().unwrap().version, "7.1.0");

        // pnpm, which does not.
        fs::remove_dir_all(root.join("node_modules")).unwrap();
        fs::remove_dir_all(top.path().join("node_modules")).unwrap();
        install_as_pnpm(&root.join("node_modules/.pnpm"), &package, "7.2.0");
        let place = "root/packages/db/node_modules/prisma/build/index.js";
        assert_eq!(found(&root, schema), format!("{place} 7.2.0 {WANTED}"));
        let engines = look(&root, schema).unwrap().unwrap().engines.unwrap();
        assert!(engines.ends_with("prisma/node_modules/@prisma/engines"), "{}", engines.display());
    }

    #[test]
    fn two_versions_in_one_tree_are_told_apart_before_anything_runs() {
        let top = folder();
        let package = top.path().join("packages/db");
        fs::create_dir_all(package.join("prisma")).unwrap();
        fs::write(top.path().join("pnpm-lock.yaml"), "").unwrap();
        install(&top.path().join("node_modules"), "7.10.0");
        install(&package.join("node_modules"), "6.19.3");
        insta::assert_snapshot!(refused(top.path(), "packages/db/prisma/schema.prisma"), @"
        two versions of Prisma are installed, and it is not said which one is meant
        the schema's folder finds 6.19.3 in `packages/db/node_modules/prisma`, and the project's 7.10.0 in `node_modules/prisma`
        pnpm add --save-dev --save-exact prisma@6.19.3  # see docs/failures/two-prismas
        ");
        // Asked for in its own folder, the package has one.
        assert_eq!(look(&package, "prisma/schema.prisma").unwrap().unwrap().version, "6.19.3");
        self::package(&package.join("node_modules/@prisma/client"), "7.10.0", "");
        insta::assert_snapshot!(refused(&package, "prisma/schema.prisma"), @"
        `prisma` is 6.19.3 and `@prisma/client` is 7.10.0: two majors in one project

        pnpm add --save-dev --save-exact @prisma/client@6  # see docs/failures/two-prismas
        ");
    }

    #[test]
    fn half_an_install_is_none() {
        let top = folder();
        fs::write(top.path().join("bun.lock"), "").unwrap();
        let modules = top.path().join("node_modules");
        install(&modules, "7.10.0");
        fs::remove_dir_all(modules.join("@prisma/engines-version")).unwrap();
        let first = refused(top.path(), "schema.prisma");
        fs::remove_file(modules.join("prisma/build/index.js")).unwrap();
        insta::assert_snapshot!(format!("{first}\n{}", refused(top.path(), "schema.prisma")), @"
        the Prisma CLI is installed in part
        `@prisma/engines-version`, which it needs, is missing
        bun install --frozen-lockfile  # see docs/failures/packages-in-part
        the Prisma CLI is installed in part
        its program is missing
        bun install --frozen-lockfile  # see docs/failures/packages-in-part
        ");
    }
}
