//! SIGKILL as each step of `reset` and `restore` begins, and at moments within those that keep a copy, in both ways that rows are kept; and the
//! one command that brings everything back.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};

use chores::reliability::Table;

use crate::killing::Staging;

/// A moment within a step.
#[derive(Clone, Copy)]
enum Moment {
    /// A session of ours is in the copy.
    Compared,
    /// Its manifest is there.
    Sealed,
}

/// By command and how rows are kept.
const WITHIN: [(&str, &str, Moment, &str); 4] = [
    ("reset", "files", Moment::Sealed, "the snapshot is sealed"),
    ("reset", "database", Moment::Compared, "the copy is compared"),
    ("reset", "database", Moment::Sealed, "the copy is sealed"),
    ("restore", "database", Moment::Compared, "the copy is compared"),
];

/// How many snapshots have a file of that name.
fn files(staging: &Staging, name: &str) -> usize {
    let snapshots = fs::read_dir(staging.project.path(".drill/snapshots/staging")).into_iter().flatten().flatten();
    snapshots.filter(|snapshot| snapshot.path().join(name).is_file()).count()
}

impl Moment {
    fn kill(self, staging: &Staging, command: &str) -> bool {
        let before = files(staging, "manifest.json");
        staging.kill_when(command, |server| match self {
            Moment::Compared => {
                let inside =
                    "select count(*) from pg_stat_activity where usename = $1 and datname like 'drill\\_copy%'";
                server.query_one(inside, &[&staging.database.user]).unwrap().get::<_, i64>(0) > 0
            }
            Moment::Sealed => files(staging, "manifest.json") > before,
        })
    }
}

const BACK: &str = "restore --confirm";

/// Whether everything is as it was: at once, or after one command, which asks for no other.
fn came_back(staging: &Staging) -> Result<(), String> {
    if staging.changes().is_empty() {
        return Ok(());
    }
    let typed = catch_unwind(AssertUnwindSafe(|| staging.came_back(BACK)));
    let typed = typed.map_err(|_| "the printed commands lead nowhere".to_owned())?;
    if typed == BACK { Ok(()) } else { Err(typed) }
}

/// A last step may be over before it is seen: then it is tried again.
fn killed(staging: &Staging, command: &str, kill: impl Fn() -> bool) -> Result<(), String> {
    for _ in 0..9 {
        if command == "restore" {
            staging.project.run(&["reset", "--confirm"]).expect(0);
        }
        let was_killed = kill();
        came_back(staging)?;
        if was_killed {
            return Ok(());
        }
    }
    Err("it was never killed there".to_owned())
}

#[test]
fn a_kill_as_any_step_of_a_reset_or_restore_begins_loses_nothing() {
    let about = "SIGKILL as soon as the record names a step, or at moments within one, then `restore --confirm`, which asks for no other command: rows by \
                 checksum, sequences, grants, owners, keys, triggers, views, policies and applied migrations are compared with before.";
    let test = "a_kill_as_any_step_of_a_reset_or_restore_begins_loses_nothing";
    let mut table = Table::new("reset", about, test, &["command", "rows kept as", "as soon as"]);
    for way in ["files", "database"] {
        let staging = Staging::new("boundaries").kept_as(way);
        let steps = [("reset", staging.steps_of("reset")), ("restore", staging.steps_of("restore"))];
        assert_eq!(staging.changes(), "");
        for (command, steps) in steps {
            for step in steps {
                let held = killed(&staging, command, || staging.kill_in_step(command, &step));
                table.row([command, way, &format!("`{step}` begins")], held);
            }
        }
        for (command, _, moment, so) in WITHIN.into_iter().filter(|it| it.1 == way) {
            table.row([command, way, so], killed(&staging, command, || moment.kill(&staging, command)));
        }
    }
    table.hold();
}
