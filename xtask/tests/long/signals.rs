//! Every signal, to ours and to the program that it runs, at every step and at moments spread over the run, in each command that changes something.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use chores::reliability::Table;
use rustix::process::{Pid, Signal, kill_process};

use crate::aftermath::{Held, Stand, is};
use crate::project::Answer;
use crate::server;

/// What is tried, how its state is made before each run, and what is typed after a kill.
struct Tried {
    command: &'static str,
    args: &'static [&'static str],
    prepare: &'static str,
    again: &'static str,
}

const COMMANDS: [Tried; 6] = [
    Tried {
        command: "forward",
        args: &["forward", "--json"],
        prepare: r#"alter table "Session" drop column collaborator, drop column "emailVerified";
                    delete from _prisma_migrations where migration_name like '%add_session_collaborator'"#,
        again: "forward",
    },
    Tried { command: "backward", args: &["backward", "--accept-data-loss", "--json"], prepare: "", again: "forward" },
    Tried { command: "reset", args: &["reset", "--confirm", "--json"], prepare: "", again: "restore --confirm" },
    Tried {
        command: "restore",
        args: &["restore", "--confirm", "--json"],
        prepare: r#"delete from "Session" where id::int > 7; delete from "DecisionLog""#,
        again: "restore --confirm",
    },
    Tried {
        command: "mirror",
        args: &["mirror", "--json"],
        prepare: "drop table if exists facts cascade",
        again: "mirror",
    },
    Tried {
        command: "drill",
        args: &["drill", "--accept-data-loss", "--json"],
        prepare: "",
        again: "drill --resume --accept-data-loss",
    },
];

const SIGNALS: [(Signal, &str); 4] =
    [(Signal::INT, "SIGINT"), (Signal::TERM, "SIGTERM"), (Signal::HUP, "SIGHUP"), (Signal::KILL, "SIGKILL")];

/// Spread over a run.
const MOMENTS: usize = 20;

#[derive(Clone, Copy)]
enum When {
    /// So much of the time that a whole run takes has passed.
    Share(f64),
    /// Its record has so many steps.
    Step(usize),
    /// The so-manieth program that it started, from 0, is there for so many milliseconds.
    Program(usize, u64),
}

struct Case {
    who: &'static str,
    signal: usize,
    when: When,
    twice: bool,
}

const OURS: &str = "the drill";
const TWICE: &str = "the drill, twice";
const CHILD: &str = "Prisma's or Supabase's program";

#[test]
fn a_signal_in_a_forward_leaves_nothing_behind() {
    hold("signals-forward", "a_signal_in_a_forward_leaves_nothing_behind", &COMMANDS[0]);
}

#[test]
fn a_signal_in_a_backward_leaves_nothing_behind() {
    hold("signals-backward", "a_signal_in_a_backward_leaves_nothing_behind", &COMMANDS[1]);
}

#[test]
fn a_signal_in_a_reset_leaves_nothing_behind() {
    hold("signals-reset", "a_signal_in_a_reset_leaves_nothing_behind", &COMMANDS[2]);
}

#[test]
fn a_signal_in_a_restore_leaves_nothing_behind() {
    hold("signals-restore", "a_signal_in_a_restore_leaves_nothing_behind", &COMMANDS[3]);
}

#[test]
fn a_signal_in_a_mirror_leaves_nothing_behind() {
    hold("signals-mirror", "a_signal_in_a_mirror_leaves_nothing_behind", &COMMANDS[4]);
}

#[test]
fn a_signal_in_a_drill_leaves_nothing_behind() {
    hold("signals-drill", "a_signal_in_a_drill_leaves_nothing_behind", &COMMANDS[5]);
}

const ABOUT: &str = "Each signal comes as each step of the run begins, at twenty moments spread over the run, and to each program as it starts and \
    250 ms later. After each no process and no session of ours is left, and so no lock; no temporary folder; the record is closed and says how the run ended, or the next run \
    tells that it was killed; what it says of the ledger is so. Then what the run asks for is typed, or what stands below after a kill, and whatever that \
    asks for, until nothing is: `forward` finds ledger and catalog to be what the migrations make, every row is as it was, and `evidence verify` ends with 0.";

fn hold(page: &'static str, test: &'static str, tried: &Tried) {
    let said = tried.all();
    let mut table = Table::new(page, ABOUT, test, &["who gets it", "signal", "ends with", "typed then"]);
    for (who, signal, code) in rows() {
        let of: Vec<_> = said.iter().filter(|(case, _)| case.who == who && SIGNALS[case.signal].1 == signal).collect();
        let failures = of.iter().filter_map(|(case, held)| Some(format!("{}: {}", case.place(), held.as_ref().err()?)));
        let failures: Vec<String> = failures.collect();
        let again = format!("`{}`", tried.again);
        let then = if signal == "SIGKILL" && who == OURS { &again } else { "its hint" };
        if !of.is_empty() {
            table.rows_of([who, signal, code, then], of.len(), failures);
        }
    }
    table.hold();
}

fn rows() -> Vec<(&'static str, &'static str, &'static str)> {
    let ours = [
        ("SIGINT", "130, 0 where its work was done"),
        ("SIGTERM", "143, 0 where its work was done"),
        ("SIGHUP", "143, 0 where its work was done"),
        ("SIGKILL", "the kill"),
    ];
    let twice = (TWICE, "SIGINT", "130, 0 where its work was done");
    let child = SIGNALS.map(|(_, name)| (CHILD, name, "1, or 0 where its work was done"));
    ours.map(|(name, code)| (OURS, name, code)).into_iter().chain([twice]).chain(child).collect()
}

impl Case {
    fn place(&self) -> String {
        match self.when {
            When::Share(share) => format!("at {:.0} %", share * 100.0),
            When::Step(step) => format!("in step {step}"),
            When::Program(program, ms) => format!("{ms} ms into its program {program}"),
        }
    }
}

impl Tried {
    fn all(&self) -> Vec<(Case, Held)> {
        let mut stand = self.stand();
        let (duration, steps, programs) = self.whole(&stand);
        let mut said = Vec::new();
        for case in self.cases(steps, programs) {
            let held = self.one(&stand, &case, duration);
            if held.is_err() {
                // What is wrong now is this one's, and not the next one's.
                stand = self.stand();
                self.whole(&stand);
            }
            said.push((case, held));
        }
        stand.project.run(&["evidence", "verify"]).expect(0);
        said
    }

    fn stand(&self) -> Stand {
        let stand = Stand::new(&format!("signals_{}", self.command));
        if self.command == "restore" {
            // The snapshot that is put back again and again.
            stand.project.run(&["reset", "--confirm"]).expect(0);
            stand.project.run(&["restore", "--confirm"]).expect(0);
        }
        stand
    }

    /// An undisturbed run: how long it takes, how many steps its record has, and how many programs it starts.
    fn whole(&self, stand: &Stand) -> (Duration, usize, usize) {
        self.prepare(stand);
        let seen = stand.runs();
        let begun = Instant::now();
        let answer = stand.project.run(self.args).expect(0);
        let duration = begun.elapsed();
        let run = stand.runs().into_iter().find(|run| !seen.contains(run)).unwrap();
        let record = stand.record(&run).unwrap();
        let logs = std::fs::read_dir(&run).unwrap().flatten();
        let programs = logs
            .filter(|log| {
                log.path().extension().is_some_and(|extension| extension == "log") && log.file_name() != "debug.log"
            })
            .count();
        self.settle(stand, &answer).unwrap();
        (duration, steps(&record), programs)
    }

    fn cases(&self, steps: usize, programs: usize) -> Vec<Case> {
        let every = |who, when| (0..SIGNALS.len()).map(move |signal| Case { who, signal, when, twice: false });
        let moments = (0..MOMENTS).map(|at| When::Share((at as f64 + 0.5) / MOMENTS as f64));
        let mut cases: Vec<Case> = moments.flat_map(|when| every(OURS, when)).collect();
        cases.extend((0..=steps).flat_map(|step| every(OURS, When::Step(step))));
        let starts = (0..programs).flat_map(|program| [0, 250].map(|ms| When::Program(program, ms)));
        cases.extend(starts.flat_map(|when| every(CHILD, when)));
        cases.extend([0.3, 0.5, 0.7].map(|share| Case {
            who: TWICE,
            signal: 0,
            when: When::Share(share),
            twice: true,
        }));
        cases
    }

    fn prepare(&self, stand: &Stand) {
        server::shared().superuser(&stand.database.name).batch_execute(self.prepare).unwrap();
    }

    fn one(&self, stand: &Stand, case: &Case, duration: Duration) -> Held {
        self.prepare(stand);
        let seen = stand.runs();
        let mut child = stand.start(self.args);
        let (begun, signal, ours) = (Instant::now(), SIGNALS[case.signal].0, Pid::from_child(&child));
        let mut programs = Vec::new();
        let mut came = || match case.when {
            When::Share(share) => begun.elapsed() >= duration.mul_f64(share),
            When::Step(step) => stand
                .runs()
                .iter()
                .any(|run| !seen.contains(run) && stand.record(run).is_some_and(|record| steps(&record) >= step)),
            When::Program(at, _) => {
                let new = programs_of(ours).filter(|program| !programs.contains(program)).collect::<Vec<_>>();
                programs.extend(new);
                programs.len() > at
            }
        };
        while !came() && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(2));
        }
        if let When::Program(at, ms) = case.when {
            std::thread::sleep(Duration::from_millis(ms));
            programs.get(at).map(|&target| kill_process(target, signal));
        } else {
            let _ = kill_process(ours, signal);
            if case.twice {
                std::thread::sleep(Duration::from_millis(100));
                let _ = kill_process(ours, signal);
            }
        }
        let answer = stand.ended(child)?;
        self.check(stand, case, &answer, &seen)
    }

    fn check(&self, stand: &Stand, case: &Case, answer: &Answer, seen: &[PathBuf]) -> Held {
        // Before it listens a signal ends it, and there is nothing yet.
        let nothing_yet = answer.code == -1 && stand.runs() == seen;
        let codes: &[i32] = match (case.who, case.signal) {
            (CHILD, _) => &[0, 1, 4],
            (_, 0) => &[0, 130],
            (_, 3) => &[-1, 0],
            _ => &[0, 143],
        };
        is(nothing_yet || codes.contains(&answer.code), || {
            format!("it ended with {}: {}", answer.code, answer.failure())
        })?;
        stand.right_after(answer, seen)?;
        self.settle(stand, answer)
    }

    /// Types what comes next, and looks at the end.
    fn settle(&self, stand: &Stand, answer: &Answer) -> Held {
        let mut typed = stand.follow(answer, self.again)?;
        if stand.rows_are_there().is_err() && ["reset", "restore", "drill"].contains(&self.command) {
            let restored = stand.project.run(&["restore", "--confirm"]);
            is(restored.code == 0, || format!("{typed:?} `restore`: {}", restored.failure()))?;
            typed.push("restore --confirm".to_owned());
        }
        // What `forward` has just found needs no other look; all of the evidence is looked at in the end.
        if typed.last().is_none_or(|last| last != "forward") {
            stand.forward_finds_nothing_wrong()?;
        }
        stand.records_are_closed()?;
        stand.rows_are_there()
    }
}

fn steps(record: &serde_json::Value) -> usize {
    let stages = record["stages"].as_array().map(Vec::as_slice).unwrap_or_default();
    stages.iter().map(|stage| stage["steps"].as_array().map_or(0, Vec::len)).sum()
}

/// The programs of Prisma and Supabase among what it started, by their arguments.
fn programs_of(ours: Pid) -> impl Iterator<Item = Pid> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(move |entry| {
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        let parent: i32 = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
        let line = std::fs::read_to_string(entry.path().join("cmdline")).ok()?;
        let wrapped = line.contains("prisma/build") || line.contains("supabase");
        let pid = entry.file_name().to_str()?.parse().ok().filter(|_| parent == ours.as_raw_nonzero().get() && wrapped);
        Pid::from_raw(pid?)
    })
}
