//! Each just recipe does what it says.

use std::process::Command;

use chores::{setup, told_by_cargo};

use crate::project::Project;
use crate::server::workspace;

fn just(project: &Project, args: &[&str]) -> std::process::Output {
    let mut just = Command::new(&setup::programs().just);
    told_by_cargo().for_each(|name| {
        just.env_remove(name);
    });
    just.arg("--justfile")
        .arg(workspace().join("justfile"))
        .arg("--working-directory")
        .arg(workspace())
        .args(args)
        .arg("--root")
        .arg(project.path(""))
        .output()
        .unwrap()
}

fn succeeds(project: &Project, args: &[&str]) -> String {
    let output = just(project, args);
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{args:?}: {text}");
    text
}

/// A first build takes minutes, and says so from its first second on.
#[test]
fn no_way_to_start_the_drill_keeps_cargo_quiet() {
    for file in [".cargo/config.toml", "justfile", "package.json"] {
        let text = std::fs::read_to_string(workspace().join(file)).unwrap();
        let starts = text.lines().filter(|line| line.contains("cargo xtask") || line.starts_with("xtask = "));
        let starts: Vec<&str> = starts.filter(|line| !line.starts_with('#')).collect();
        let quiet = |line: &&&str| ["--quiet", "run -q", "cargo -q", "2>"].iter().any(|word| line.contains(word));
        assert_eq!((starts.is_empty(), starts.iter().find(quiet)), (false, None), "{file}");
    }
}

#[test]
fn the_recipes_that_act_on_a_target_pass_their_arguments_through() {
    let (project, database) = Project::on_staging("recipes");
    succeeds(&project, &["check-staging"]);
    assert!(succeeds(&project, &["migrate-staging", "--plan"]).contains("Nothing was changed."));
    succeeds(&project, &["migrate-staging"]);
    assert!(succeeds(&project, &["restore-staging", "--list"]).contains("no snapshots"));
    assert!(!just(&project, &["reset-staging", "--plan"]).status.success(), "it is not claimed");
    assert_eq!(database.one::<i64>("select count(*) from _prisma_migrations"), 4);
    project.run(&["claim", "--confirm", &database.name]).expect(0);
    assert!(succeeds(&project, &["rollback-staging", "--plan"]).contains("Nothing was changed."));
    let script = "supabase/sql/analytics_facts_table.sql";
    project.write(script, &std::fs::read_to_string(workspace().join(script)).unwrap());
    assert!(succeeds(&project, &["mirror-staging", "--plan"]).contains("Nothing was changed."));
    assert!(succeeds(&project, &["parity-staging", "--plan"]).contains("Nothing was changed."));
    assert!(succeeds(&project, &["drill-staging", "--plan"]).contains("Nothing was changed."));
    let sandbox = Project::new();
    assert!(!just(&sandbox, &["drill-sandbox", "--plan"]).status.success(), "it has no mirror");
    assert!(succeeds(&sandbox, &["drill-sandbox", "--no-mirror", "--plan"]).contains("Nothing was changed."));
    assert!(succeeds(&sandbox, &["migrate-sandbox"]).contains("evidence: .drill/evidence/"));
}

/// `test` and `ci` would run this very test again, so what they call is read instead.
#[test]
fn every_recipe_is_one_line_and_known_to_a_test() {
    let text = std::fs::read_to_string(workspace().join("justfile")).unwrap();
    let mut recipes = Vec::new();
    for (line, next) in text.lines().zip(text.lines().skip(1)) {
        let recipe = !line.starts_with([' ', '#', '[']) && line.contains(':') && !line.contains(":=");
        if recipe {
            recipes.push((line.split([' ', ':']).next().unwrap(), next.trim()));
        }
    }
    let expected = [
        ("default", "@just --list --unsorted"),
        ("migrate-staging", "cargo xtask forward \"$@\""),
        ("migrate-sandbox", "cargo xtask forward --sandbox \"$@\""),
        ("rollback-staging", "cargo xtask backward \"$@\""),
        ("drill-staging", "cargo xtask drill \"$@\""),
        ("drill-pr", "cargo xtask drill --branch \"$@\""),
        ("drill-sandbox", "cargo xtask drill --sandbox \"$@\""),
        ("reset-staging", "cargo xtask reset \"$@\""),
        ("restore-staging", "cargo xtask restore \"$@\""),
        ("mirror-staging", "cargo xtask mirror \"$@\""),
        ("parity-staging", "cargo xtask parity \"$@\""),
        ("doctor", "cargo xtask doctor \"$@\""),
        ("status", "cargo xtask status \"$@\""),
        ("check-staging", "cargo xtask env check \"$@\""),
        ("test", "cargo test \"$@\""),
        ("ci", ".ci/run"),
        ("ci-long", "cargo chore ci-long"),
    ];
    assert_eq!(recipes, expected);
}

/// What follows `just ` in a line that is a command of CI.
fn recipe_calls(text: &str) -> Vec<&str> {
    let commands = text.lines().map(|line| line.trim().trim_start_matches("- ").trim_start_matches("run: "));
    commands.filter_map(|command| command.strip_prefix("just ")?.split_whitespace().next()).collect()
}

#[test]
fn ci_calls_recipes_that_are_there_and_gives_secrets_to_one_step() {
    let justfile = std::fs::read_to_string(workspace().join("justfile")).unwrap();
    let workflow = std::fs::read_to_string(workspace().join(".github/workflows/staging-drill.yml")).unwrap();
    let gitlab = std::fs::read_to_string(workspace().join("docs/ci.md")).unwrap();
    let calls = [recipe_calls(&workflow), recipe_calls(&gitlab)].concat();
    assert_eq!(calls.len(), 3, "{calls:?}");
    for recipe in calls {
        assert!(justfile.contains(&format!("\n{recipe} *args:\n")), "there is no recipe `{recipe}`");
    }
    let (_, staging) = workflow.split_once("\n  staging:\n").unwrap();
    let (before, drill) = staging.split_once("- name: drill\n").unwrap();
    assert!(!before.contains("secrets."), "only the drill itself gets them");
    assert_eq!(workflow.matches("secrets.").count(), drill.matches("secrets.").count());
    // A script gets what others wrote as a variable, never as text of its own.
    for script in workflow.split("run: |").skip(1) {
        let script: String = script.lines().skip(1).take_while(|line| line.starts_with("          ")).collect();
        assert!(!script.contains("${{"), "{script}");
    }
}
