//! What `sandbox prune` may not touch. What it takes away is a test of `cargo chore ci-long`.

use crate::project::Project;

/// Staging's evidence and snapshots are not the sandbox's to prune.
#[test]
fn it_leaves_another_targets_runs_alone() {
    let project = Project::new();
    let runs: Vec<String> = (0..3).map(|_| crate::evidence::refused(&project)).collect();
    project.write(".drill/snapshots/staging/20260101T000000Z-abcdef/manifest.json", "{}");
    let done = project.run(&["sandbox", "prune", "--keep", "1", "--confirm"]).expect(0);
    assert_eq!(done.stdout, "nothing of the sandbox has to go\n");
    assert!(runs.iter().all(|run| project.run_folder(run).exists()));
    assert!(project.path(".drill/snapshots/staging/20260101T000000Z-abcdef/manifest.json").exists());
    assert!(!project.path(".drill/sandbox/state.json").exists(), "and it makes no sandbox for that");
}
