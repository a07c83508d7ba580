//! A folder among the migrations that holds no script: Prisma refuses the whole history then (P3015). What would make the script is named.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use crate::causes::engine;
use crate::error::Failure;
use crate::hint::Hint;
use crate::process::package_manager::PackageManager;
use crate::words::listed;

pub const SCRIPT: &str = "migration.sql";

/// How a program in the folder is run, by the ending of its name.
const PROGRAMS: [(&str, &str); 9] = [
    ("ts", "npx tsx"),
    ("mts", "npx tsx"),
    ("cts", "npx tsx"),
    ("js", "node"),
    ("mjs", "node"),
    ("cjs", "node"),
    ("sh", "sh"),
    ("py", "python3"),
    ("rb", "ruby"),
];

/// For the folders `names` in `dir`, which is not empty.
pub fn failure(root: &Path, dir: &Path, names: &[String]) -> Failure {
    let what = match names {
        [one] => format!("the migration `{one}` has no {SCRIPT} (P3015)"),
        several => format!("{} migrations have no {SCRIPT} (P3015): {}", several.len(), listed(several)),
    };
    let failure = Failure::blocked(what);
    match names.first().and_then(|name| generator(root, &dir.join(name))) {
        Some(command) => failure
            .note(format!("what seems to make {SCRIPT} there was not run"))
            .hint(command.see(engine::NO_SCRIPT.name)),
        None => failure.known(&engine::NO_SCRIPT, &[]),
    }
}

/// A project that only pushes its schema has no history to rehearse. Prisma's guide to baselining has the way to a first one.
pub fn no_history(root: &Path, dir: &Path) -> Failure {
    let shown = dir.strip_prefix(root).unwrap_or(dir).display();
    Failure::blocked(format!("there are no migrations in `{shown}`, so there is nothing to rehearse"))
        .note("`prisma db push` leaves none")
        .known(&engine::NO_MIGRATIONS, &[])
}

/// What likely makes the script in `folder`, or takes the folder away where it is a leftover.
fn generator(root: &Path, folder: &Path) -> Option<Hint> {
    let files: Vec<String> =
        std::fs::read_dir(folder).ok()?.filter_map(|file| file.ok()?.file_name().into_string().ok()).collect();
    let shown = |path: &Path| path.strip_prefix(root).unwrap_or(path).display().to_string();
    let mut programs = files.iter().filter_map(|file| {
        let extension = Path::new(file).extension()?.to_str()?;
        let (_, run) = PROGRAMS.iter().find(|(known, _)| *known == extension)?;
        Some(Hint::shell(*run).arg(shown(&folder.join(file))))
    });
    let leftover = files.is_empty().then(|| Hint::shell("rmdir").arg(shown(folder)));
    script_of_package(root, folder).or_else(|| programs.next()).or(leftover)
}

/// The package's own command that writes scripts of migrations, by what it says.
fn script_of_package(root: &Path, folder: &Path) -> Option<Hint> {
    #[derive(Deserialize)]
    struct Manifest {
        #[serde(default)]
        scripts: BTreeMap<String, String>,
    }
    let manifest = std::fs::read(root.join("package.json")).ok()?;
    let scripts = serde_json::from_slice::<Manifest>(&manifest).ok()?.scripts;
    let name = folder.file_name()?.to_str()?;
    let script = scripts.iter().find(|(_, text)| text.contains(SCRIPT) || text.contains(name))?.0;
    Some(PackageManager::of(root).run(script))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hint::Aim;

    #[test]
    fn a_folder_without_a_script_is_named_with_what_likely_makes_it() {
        let root = tempfile::tempdir().unwrap();
        let (root, dir) = (root.path(), root.path().join("prisma/migrations"));
        let said = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
            let failure = failure(root, &dir, &names);
            format!("{}\n{}", failure.message, failure.hint.unwrap().line(&Aim::default()))
        };
        for (folder, file) in
            [("1_empty", None), ("2_made", Some("make it.ts")), ("3_notes", Some("up.md")), ("4_built", None)]
        {
            std::fs::create_dir_all(dir.join(folder)).unwrap();
            file.into_iter().for_each(|file| std::fs::write(dir.join(folder).join(file), "").unwrap());
        }
        let scripts = r#"{"scripts":{"dev":"next","db:views":"node views.js > prisma/migrations/4_built/$SQL"}}"#;
        std::fs::write(root.join("package.json"), scripts).unwrap();
        std::fs::write(root.join("pnpm-lock.yaml"), "").unwrap();
        let all = [said(&["1_empty"]), said(&["2_made", "3_notes"]), said(&["3_notes"]), said(&["4_built"])];
        insta::assert_snapshot!(all.join("\n"), @"
        the migration `1_empty` has no migration.sql (P3015)
        rmdir prisma/migrations/1_empty  # see docs/failures/migration-without-script
        2 migrations have no migration.sql (P3015): `2_made`, `3_notes`
        npx tsx 'prisma/migrations/2_made/make it.ts'  # see docs/failures/migration-without-script
        the migration `3_notes` has no migration.sql (P3015)
        restore the file from git, or remove the folder if it was never applied; see docs/failures/migration-without-script
        the migration `4_built` has no migration.sql (P3015)
        pnpm run db:views  # see docs/failures/migration-without-script
        ");
    }
}
