//! A copy of the binary alone, in another project, on a machine where this workspace is not: hidden by a mount that only the test's own
//! processes see. It needs npm's registry, and leave to mount: root, or user namespaces for everybody.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use crate::project::{Answer, Project, program};
use crate::server::workspace;
use crate::stranger::{CONFIG, HEAD};

/// What comes before the program: empty folders in the place of what is hidden, seen to be empty.
const HIDE: &str = r#"IFS=:; for hidden in $HIDDEN; do mount -t tmpfs none "$hidden" && test -z "$(ls -A "$hidden")" || exit 99; done; unset IFS"#;
const AS_ROOT: &str = r#"exec "$0" "$@""#;
const AS_ANYONE: &str = r#"exec unshare --user --map-user="$USER_ID" --map-group="$GROUP_ID" "$0" "$@""#;

/// How this machine lets somebody mount: words before the script, and the script.
fn way() -> ([&'static str; 3], &'static str) {
    static WAY: OnceLock<([&str; 3], &str)> = OnceLock::new();
    *WAY.get_or_init(|| {
        let ways = [(["--mount", "--", "sh"], AS_ROOT), (["--map-root-user", "--mount", "sh"], AS_ANYONE)];
        let works = |words: &[&str]| {
            let tried = Command::new("unshare").args(words).args(["-c", "mount -t tmpfs none /mnt"]).output();
            tried.is_ok_and(|tried| tried.status.success())
        };
        ways.into_iter().find(|(words, _)| works(words)).expect(
            "this test hides the workspace by a mount: run it as root, or let users have namespaces \
             (`sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0` on Ubuntu 24.04)",
        )
    })
}

fn id(flag: &str) -> String {
    String::from_utf8(Command::new("id").arg(flag).output().unwrap().stdout).unwrap().trim().to_owned()
}

/// This workspace, and packages that Node would find above the project.
fn hidden(project: &Project) -> String {
    let root = project.path("");
    let above = root.ancestors().skip(1).map(|folder| folder.join("node_modules")).filter(|folder| folder.is_dir());
    let folders: Vec<_> = above.chain([workspace().to_owned()]).map(|folder| folder.display().to_string()).collect();
    folders.join(":")
}

/// The copy, where the workspace is not.
fn run(project: &Project, words: &[&str]) -> Answer {
    let (before, script) = way();
    let sealed = project.command(&[]);
    let mut command = Command::new("unshare");
    command.args(before).args(["-c", &format!("{HIDE}; {script}")]).arg(project.path("bin/xtask")).args(words);
    command.env_clear().envs(sealed.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("HIDDEN", hidden(project)).env("USER_ID", id("-u")).env("GROUP_ID", id("-g"));
    Project::answer(command.current_dir(project.path("")))
}

#[test]
fn a_copy_of_the_binary_does_everything_where_this_workspace_is_not() {
    let project = Project::empty();
    fs::create_dir(project.path("bin")).unwrap();
    fs::copy(program(), project.path("bin/xtask")).unwrap();
    project.write("package.json", "{ \"name\": \"stranger\", \"private\": true }\n");
    project.write("prisma.config.ts", CONFIG);
    project.write("prisma/schema.prisma", &format!("{HEAD}model Shop {{\n  id   Int    @id\n  city String?\n}}\n"));
    project.write("prisma/migrations/migration_lock.toml", "provider = \"postgresql\"\n");
    project.write("prisma/migrations/1_shop/migration.sql", r#"create table "Shop" ("id" integer primary key);"#);
    project.write("prisma/migrations/2_city/migration.sql", r#"alter table "Shop" add column "city" text;"#);
    let words = ["install", "--save-dev", "--ignore-scripts", "--no-audit", "--no-fund", "prisma@7.10.0"];
    assert!(Command::new("npm").args(words).current_dir(project.path("")).status().unwrap().success());

    run(&project, &["init", "--confirm", "-q"]).expect(0);
    let drill = run(&project, &["drill", "--sandbox", "--no-mirror", "--json"]).expect(0);
    assert_eq!(drill.json()["status"], "ok");
    let each = run(&project, &["drill", "--each", "--sandbox", "--json"]).expect(0).json();
    let verdicts: Vec<_> = each["rehearsal"].as_array().unwrap().iter().map(|one| &one["verdict"]).collect();
    assert_eq!(verdicts, ["reversible", "reversible"]);
    run(&project, &["reset", "--sandbox", "--confirm", "-q"]).expect(0);
    run(&project, &["restore", "--sandbox", "--confirm", "-q"]).expect(0);
    // What it had to bring, since neither the project nor the machine has it.
    let brought = ["engines", "postgres", "programs"].map(|kind| {
        let folder = fs::read_dir(project.path(".drill").join(kind)).ok();
        (kind, folder.map_or(0, Iterator::count))
    });
    assert_eq!(brought, [("engines", 1), ("postgres", 1), ("programs", 1)]);
}

/// What is committed, as somebody else gets it. Built without optimising, which takes minutes.
#[test]
fn cargo_installs_it_from_a_clean_clone() {
    let folder = tempfile::tempdir().unwrap();
    let [clone, root] = ["clone", "root"].map(|name| folder.path().join(name));
    let done = |command: &mut Command| assert!(command.status().unwrap().success(), "{command:?}");
    done(Command::new("git").args(["clone", "-q"]).arg(workspace()).arg(&clone));
    let url = format!("file://{}", clone.display());
    let mut install = Command::new(env!("CARGO"));
    install.args(["install", "--quiet", "--debug", "--locked", "--git", &url, env!("CARGO_PKG_NAME"), "--root"]);
    install.arg(&root).current_dir(folder.path());
    done(install.env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("install")));
    let mut installed = Command::new(root.join("bin/xtask"));
    let output = installed.arg("--version").output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    // With the commit that it was built from.
    let begins = format!("cargo xtask {} (", env!("CARGO_PKG_VERSION"));
    assert!(said.starts_with(&begins) && said.ends_with(")\n"), "{said}");
}
