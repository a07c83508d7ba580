//! SIGKILL as each step of `reset` and `restore` begins, in both ways that rows are kept, and the commands that each run then prints.

use std::panic::{AssertUnwindSafe, catch_unwind};

use chores::reliability::Table;

use crate::killing::Staging;

/// Whether everything is as it was: at once, or after the commands that are printed.
fn came_back(staging: &Staging) -> Result<(), String> {
    if staging.changes().is_empty() {
        return Ok(());
    }
    let typed = catch_unwind(AssertUnwindSafe(|| staging.came_back("restore --confirm")));
    let typed = typed.map_err(|_| "the printed commands lead nowhere".to_owned())?;
    if staging.changes().is_empty() { Ok(()) } else { Err(typed) }
}

/// A last step may be over before it is seen: then it is tried again.
fn killed(staging: &Staging, command: &str, step: &str) -> Result<(), String> {
    for _ in 0..9 {
        if command == "restore" {
            staging.project.run(&["reset", "--confirm"]).expect(0);
        }
        let was_killed = staging.kill_in_step(command, step);
        came_back(staging)?;
        if was_killed {
            return Ok(());
        }
    }
    Err("it was never killed there".to_owned())
}

#[test]
fn a_kill_as_any_step_of_a_reset_or_restore_begins_loses_nothing() {
    let about = "SIGKILL as soon as the record names a step, then the commands that each run prints, beginning with `restore --confirm`: rows by \
                 checksum, sequences, grants, owners, keys, triggers, views, policies and applied migrations are compared with before.";
    let test = "a_kill_as_any_step_of_a_reset_or_restore_begins_loses_nothing";
    let mut table = Table::new("reset", about, test, &["command", "rows kept as", "step that begins"]);
    for way in ["files", "database"] {
        let staging = Staging::new("boundaries").kept_as(way);
        let steps = [("reset", staging.steps_of("reset")), ("restore", staging.steps_of("restore"))];
        assert_eq!(staging.changes(), "");
        for (command, steps) in steps {
            for step in steps {
                table.row([command, way, &step], killed(&staging, command, &step));
            }
        }
    }
    table.hold();
}
