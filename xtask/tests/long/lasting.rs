//! What a run without a terminal says while its steps last: a line every ten seconds for each.

use crate::project::Project;

#[test]
fn every_step_that_lasts_says_how_far_it_is() {
    let (project, _database) = Project::on_staging("lasting");
    project.migration("20260101000000_slow", "select pg_sleep(11);\ncreate table slow (id int);\n");
    let answer = project.run(&["forward"]).expect(0);
    let lines: Vec<&str> = answer.stderr.lines().filter(|line| line.starts_with("  … ")).collect();
    insta::assert_snapshot!(lines.join("\n"), @"
    … replay 5/5 20260101000000_slow (10 s)
    … impact 5/5 20260101000000_slow (10 s)
    … migrate deploy: 10 s
    ");
    let quiet = project.run(&["backward", "--plan", "-q"]).expect(3);
    assert!(!quiet.stderr.contains("…"), "{}", quiet.stderr);
}
