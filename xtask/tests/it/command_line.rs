//! What is typed and what comes back, without a target: completions, the manual, the version, colours, arguments that cannot be read.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::project::{Project, program};

#[path = "../../build.rs"]
#[allow(dead_code, reason = "a build script has a main")]
mod build;

fn said(words: &[&str]) -> String {
    let output = Command::new(program()).args(words).current_dir("/").env("COLUMNS", "100").output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// bash itself, with what it would have typed so far; `_init_completion` is not needed.
fn completed(line: &str) -> String {
    let words: Vec<String> = line.split(' ').map(|word| format!("'{word}'")).collect();
    let script = format!(
        "source /dev/stdin && COMP_WORDS=({}) COMP_CWORD={} && _xtask xtask {} {} && echo \"${{COMPREPLY[*]}}\"",
        words.join(" "),
        words.len() - 1,
        words[words.len() - 1],
        words[words.len() - 2],
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("completions");
    fs::write(&file, said(&["completions", "bash"])).unwrap();
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-euc", &script]).stdin(fs::File::open(&file).unwrap());
    let output = bash.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn bash_completes_commands_and_flags_and_every_shell_has_its_script() {
    assert_eq!(completed("xtask dr"), "drill");
    assert_eq!(completed("xtask evidence ver"), "verify");
    assert_eq!(completed("xtask backward --acc"), "--accept-data-loss");
    assert_eq!(completed("xtask forward --color "), "auto always never");
    for shell in ["elvish", "fish", "powershell", "zsh"] {
        assert!(said(&["completions", shell]).contains("production-sizes"), "{shell}");
    }
}

#[test]
fn the_manual_has_every_command() {
    let page = said(&["man"]);
    assert!(page.contains(".TH xtask 1"), "{page}");
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("man 1");
    assert_eq!(said(&["man", "--dir", dir.to_str().unwrap()]).trim_end(), dir.to_str().unwrap());
    for command in &super::docs::COMMANDS[1..] {
        if let [command] = command {
            assert!(page.contains(&format!("xtask\\-{}(1)", command.replace('-', "\\-"))), "{command} in {page}");
        }
        let page = dir.join(format!("xtask-{}.1", command.join("-")));
        let page = fs::read_to_string(&page).unwrap_or_else(|error| panic!("{}: {error}", page.display()));
        assert!(page.contains("Examples:"), "{page}");
    }
}

#[test]
fn the_version_names_the_commit_of_the_sources() {
    let version = said(&["--version"]);
    let form = regex::Regex::new(r"^cargo xtask \d+\.\d+\.\d+( \([0-9a-f]{12}(, with changes)?\))?\n$").unwrap();
    assert!(form.is_match(&version), "{version}");
}

pub fn git(folder: &Path, words: &[&str]) {
    let mut git = Command::new("git");
    git.current_dir(folder).args(["-c", "user.name=t", "-c", "user.email=t@t"]).args(words);
    assert!(git.output().unwrap().status.success(), "{words:?}");
}

#[test]
fn a_commit_is_known_in_our_own_repository_alone() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("ours");
    fs::create_dir_all(root.join("xtask/src")).unwrap();
    fs::write(root.join("xtask/src/main.rs"), "fn main() {}").unwrap();
    assert_eq!(build::commit(&root), None, "an archive");
    git(folder.path(), &["init", "-q"]);
    git(folder.path(), &["add", "."]);
    git(folder.path(), &["commit", "-qm", "theirs"]);
    assert_eq!(build::commit(&root), None, "an archive in a repository of others");
    git(&root, &["init", "-q"]);
    git(&root, &["add", "."]);
    git(&root, &["commit", "-qm", "ours"]);
    let first = build::commit(&root).unwrap();
    assert_eq!(first.len(), 12);
    fs::write(root.join("README.md"), "read me").unwrap();
    assert_eq!(build::commit(&root).as_deref(), Some(first.as_str()), "no source was changed");
    git(&root, &["add", "."]);
    git(&root, &["commit", "-qm", "prose"]);
    assert_eq!(build::commit(&root).as_deref(), Some(first.as_str()), "no source is in that commit");
    fs::write(root.join("xtask/src/main.rs"), "fn main() { }").unwrap();
    assert_eq!(build::commit(&root), Some(format!("{first}, with changes")));
    git(&root, &["commit", "-qam", "source"]);
    let second = build::commit(&root).unwrap();
    assert!(second.len() == 12 && second != first, "{second}");
}

#[test]
fn every_crate_that_the_program_is_made_of_counts_for_its_commit() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let manifest: toml::Table = toml::from_str(&fs::read_to_string(manifest).unwrap()).unwrap();
    let dependencies = manifest["dependencies"].as_table().unwrap().values();
    let ours: Vec<String> =
        dependencies.filter_map(|of| Some(format!("xtask/{}", of.get("path")?.as_str()?))).collect();
    assert!(ours.len() > 2, "{ours:?}");
    let forgotten: Vec<&String> = ours.iter().filter(|name| !build::SOURCES.contains(&name.as_str())).collect();
    assert!(forgotten.is_empty(), "SOURCES of xtask/build.rs lacks {forgotten:?}");
}

#[test]
fn with_json_arguments_that_cannot_be_read_are_one_object_and_no_run() {
    let project = Project::empty();
    for words in [&["--json", "forwrd"][..], &["forward", "--nonsense", "--json"], &["--json"]] {
        let answer = project.run(words).expect(2);
        let json = answer.json();
        assert_eq!((&json["status"], &json["exit_code"]), (&json!("usage"), &json!(2)), "{json}");
        assert!(json["error"]["message"].is_string() && json["hint_command"].is_string(), "{json}");
        assert!(!answer.stderr.is_empty());
    }
    let plain = project.run(&["forward", "--nonsense"]).expect(2);
    assert_eq!(plain.stdout, "");
    assert_eq!(project.run(&["forward", "--", "--json"]).expect(2).stdout, "");
    let secret = project.run(&["forward", "--json", "postgresql://u:Sup3r-S3cret-Pw@h/d"]).expect(2);
    assert!(!format!("{}{}", secret.stdout, secret.stderr).contains("S3cret"), "{}", secret.stdout);
    assert!(!project.path("feedback").exists() && !project.path(".drill").exists());
}

#[test]
fn a_step_in_github_has_outputs() {
    let mut project = Project::empty();
    project.env.insert("GITHUB_OUTPUT".to_owned(), project.path("outputs").display().to_string());
    project.write("outputs", "before=1\n");
    project.run(&["env", "check"]).expect(4);
    assert_eq!(project.read("outputs"), "before=1\ncommand=env check\nstatus=blocked\nexit_code=4\n");
}

#[test]
fn colours_are_as_the_flag_and_the_environment_say() {
    let mut project = Project::empty();
    let painted = |project: &Project, words: &[&str]| {
        let answer = project.run(&[&["doctor"], words].concat());
        (answer.stdout.contains("\u{1b}[3"), answer.stderr.contains("\u{1b}[1;31merror:"))
    };
    assert_eq!(painted(&project, &[]), (false, false));
    assert_eq!(painted(&project, &["--color", "always"]), (true, true));
    project.env.insert("CLICOLOR_FORCE".to_owned(), "1".to_owned());
    assert_eq!(painted(&project, &[]), (true, true));
    assert_eq!(painted(&project, &["--plain"]), (false, false));
    project.env.insert("NO_COLOR".to_owned(), "1".to_owned());
    assert_eq!(painted(&project, &[]), (false, false));
    let json = project.run(&["doctor", "--json", "--color", "always"]);
    assert!(!json.stdout.contains('\u{1b}') && json.json()["checks"].is_array());
}
