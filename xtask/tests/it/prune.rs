//! Old runs go, and the chain stays whole: what was pruned is accounted for, and what was taken away by hand is found as before.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::evidence::{found, refused, steady};
use crate::project::{Answer, Project};

fn five(project: &Project) -> Vec<String> {
    (0..5).map(|_| refused(project)).collect()
}

fn is_there(project: &Project, run: &str) -> bool {
    project.run_folder(run).exists()
}

/// The anchor's name.
fn anchor_of(answer: &Answer) -> String {
    answer.stderr.lines().last().unwrap().rsplit('/').next().unwrap().to_owned()
}

fn said(answer: &Answer, runs: &[&str]) -> String {
    let sizes = regex::Regex::new("[0-9]+ KB").unwrap();
    sizes.replace_all(&steady(&answer.stdout, runs), "SIZE").into_owned()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[test]
fn what_was_pruned_is_accounted_for_and_what_goes_by_hand_is_missed_as_before() {
    let project = Project::new();
    let runs = five(&project);
    let names: Vec<&str> = runs.iter().map(String::as_str).collect();
    let shown = project.run(&["evidence", "prune", "--keep", "2"]).expect(0);
    insta::assert_snapshot!(said(&shown, &names), @"
    3 runs in `feedback/evidence` would go, SIZE:
       id   started   command  status   size
       <1> <time> forward  refused  SIZE
       <2> <time> forward  refused  SIZE
       <3> <time> forward  refused  SIZE
    to do it: cargo xtask evidence prune --keep 2 --confirm
    ");
    assert!(runs.iter().all(|run| is_there(&project, run)), "it was only shown");

    let pruned = project.run(&["evidence", "prune", "--keep", "2", "--confirm"]).expect(0);
    let anchor = anchor_of(&pruned);
    let names = [&names[..], &[&anchor]].concat();
    insta::assert_snapshot!(said(&pruned, &names), @"
    3 runs removed from `feedback/evidence`, SIZE:
       id   started   command  status   size
       <1> <time> forward  refused  SIZE
       <2> <time> forward  refused  SIZE
       <3> <time> forward  refused  SIZE
    ");
    assert_eq!(runs.iter().map(|run| is_there(&project, run)).collect::<Vec<_>>(), [false, false, false, true, true]);
    let listed: Vec<_> =
        project.record(&anchor)["pruned"].as_array().unwrap().iter().map(|one| one["run"].clone()).collect();
    assert_eq!(listed.len(), 3);
    insta::assert_snapshot!(steady(&project.verify(0).stdout, &names), @"
    3 runs in `feedback/evidence`: every file is as its record says, and every record is as the run after it says
    `<6>`: its record is as `feedback/deployment.md` says
    note: the chain begins after 3 runs that were pruned at <time>: `<6>` names each with its digest; nobody vouches for the words of their entries any more
    ");
    let feedback = project.read("feedback/deployment.md");
    assert!(feedback.contains("— prune ok") && feedback.contains("- pruned: 3 in all"), "{feedback}");
    let asked = project.run(&["evidence", "show", &runs[0]]).expect(2);
    insta::assert_snapshot!(steady(&asked.stderr, &names), @"
    error: the run `<1>` was pruned
    note: `<6>` names it, with how it ended and the digest of its record
    hint: cargo xtask evidence show <6>
    ");
    // It is nobody's last run.
    let newest = project.run(&["evidence", "show", "--json"]).expect(0).json();
    assert_eq!(newest["run"]["run"], json!(runs[4]));

    let next = refused(&project);
    assert_eq!(project.record(&next)["previous"]["run"], json!(anchor));
    fs::rename(project.run_folder(&runs[3]), project.path("away")).unwrap();
    assert_eq!(project.findings(), [found("removed", &runs[3], "")]);
    fs::rename(project.path("away"), project.run_folder(&runs[3])).unwrap();

    // Whoever takes the anchor away has to account for all that it had accounted for.
    fs::rename(project.run_folder(&anchor), project.path("away")).unwrap();
    let gone = project.findings();
    assert!(
        gone.contains(&found("removed", &anchor, "")) && gone.contains(&found("removed", &runs[0], "")),
        "{gone:?}"
    );
    fs::rename(project.path("away"), project.run_folder(&anchor)).unwrap();
    project.verify(0);

    // And whoever has it say that another run went, which the entry of the real one knows.
    let path = project.run_folder(&anchor).join("run.json");
    let record = fs::read_to_string(&path).unwrap();
    let first = project.record(&anchor)["pruned"][0].clone();
    let [run, digest] = ["run", "sha256"].map(|key| first[key].as_str().unwrap());
    fs::write(&path, record.replace(digest, &"0".repeat(64))).unwrap();
    let changed = project.findings();
    assert!(
        changed.contains(&found("changed", &anchor, "run.json")) && changed.contains(&found("changed", run, "")),
        "{changed:?}"
    );
    let refused_to = project.run(&["evidence", "prune", "--keep", "1", "--confirm"]).expect(5);
    assert!(refused_to.stderr.contains("nothing is removed before that is settled"), "{refused_to:?}");
    assert!(is_there(&project, &runs[4]));
    fs::write(&path, record).unwrap();
    project.verify(0);
}

/// A prune that is ended between two steps leaves a run that its anchor names, or one that has its other name already.
#[test]
fn a_prune_that_was_ended_half_way_is_explained_and_the_next_one_finishes() {
    let project = Project::new();
    let runs = five(&project);
    copy(&project.run_folder(&runs[0]), &project.path("first"));
    project.run(&["evidence", "prune", "--keep", "3", "--confirm"]).expect(0);
    fs::rename(project.path("first"), project.run_folder(&runs[0])).unwrap();
    project.write(&format!("feedback/evidence/.pruned-{}/run.json", runs[1]), "{");
    let explained = project.verify(0).stdout;
    let left = "note: 2 runs are still there that were to be pruned; another `evidence prune` removes what is left";
    assert!(explained.contains(left), "{explained}");
    // Whatever it keeps: what was decided then is done.
    let json = project.run(&["evidence", "prune", "--keep", "9", "--confirm", "--json"]).expect(0).json();
    assert_eq!(json["prune"], json!({"confirmed": true, "runs": [], "bytes": 0, "unfinished": 2, "kept": []}));
    assert!(!is_there(&project, &runs[0]) && !project.path(&format!("feedback/evidence/.pruned-{}", runs[1])).exists());
    let whole = project.verify(0).stdout;
    assert!(!whole.contains("still there"), "{whole}");

    // One anchor is enough: the next one names what this one has named, and this one.
    let before = refused(&project);
    let pruned = project.run(&["evidence", "prune", "--keep", "1", "--confirm"]).expect(0);
    let names: Vec<String> = fs::read_dir(project.path("feedback/evidence"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let anchor = anchor_of(&pruned);
    assert!(names.len() == 2 && names.contains(&anchor) && names.contains(&before), "{names:?}");
    assert_eq!(project.record(&anchor)["pruned"].as_array().unwrap().len(), 6, "five runs and an anchor");
    project.verify(0);
}

#[test]
fn what_people_name_stays_and_a_rule_that_keeps_nothing_is_refused() {
    let project = Project::new();
    let runs = five(&project);
    let names: Vec<&str> = runs.iter().map(String::as_str).collect();
    let file = project.read("feedback/deployment.md");
    project.write("feedback/deployment.md", &format!("{file}\nWhat we learned from {}: ask first.\n", runs[1]));
    let shown = project.run(&["evidence", "prune", "--keep", "3"]).expect(0);
    insta::assert_snapshot!(said(&shown, &names), @"
    1 run in `feedback/evidence` would go, SIZE:
       id   started   command  status   size
       <1> <time> forward  refused  SIZE
    `<2>` stays: a feedback file names it in words of its own
    to do it: cargo xtask evidence prune --keep 3 --confirm
    ");
    // The one after it goes, which had vouched for it; the anchor does so now, and is the only end of the chain.
    let pruned = project.run(&["evidence", "prune", "--keep", "2", "--confirm"]).expect(0);
    let anchor = project.record(&anchor_of(&pruned));
    assert_eq!(anchor["merged"][0]["run"], json!(runs[1]), "{anchor:#}");
    let verified = project.verify(0).stdout;
    assert!(!verified.contains("the chain has"), "{verified}");
    let kept = project.run(&["evidence", "prune", "--older-than", "1h", "--confirm"]).expect(0);
    assert_eq!(kept.stdout, "no run in `feedback/evidence` has to go\n");
    let wrong: [&[&str]; 4] = [&["--keep", "0"], &["--keep", "2", "--older-than", "1d"], &[], &["--older-than", "30"]];
    let told = wrong.map(|words| {
        let answer = project.run(&[&["evidence", "prune", "--confirm"], words].concat()).expect(2);
        answer.stderr.lines().next().unwrap_or_default().to_owned()
    });
    insta::assert_snapshot!(told.join("\n"), @"
    error: invalid value '0' for '--keep <N>': the newest run always stays: a number from 1 is needed, as in `--keep 1`
    error: the argument '--keep <N>' cannot be used with '--older-than <AGE>'
    error: the following required arguments were not provided:
    error: invalid value '30' for '--older-than <AGE>': a time with its unit is needed, as in `--older-than 30d`
    ");
    assert_eq!(runs.iter().map(|run| is_there(&project, run)).collect::<Vec<_>>(), [false, true, false, true, true]);
}
