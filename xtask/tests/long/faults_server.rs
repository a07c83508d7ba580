//! What may happen to the server in the middle of a run, what it may be set to, and what may happen on the way to it; each on a server of the test's
//! own. A server that hangs, and a network that stalls at each place of a run, are in CI's tests (`stalls.rs`).

use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use chores::faults::{Break, Wire};
use chores::reliability::Table;
use rustix::process::Signal;

use crate::aftermath::{Held, Stand, is, within};
use crate::project::DRILL_TOML;
use crate::server::Server;

const ABOUT: &str = "After each, no process and no session of ours is left, and so no lock; no temporary folder; the record is closed and says how the run \
    ended, and what it says of the ledger is so. Then what the run asks for is typed, or the same again, and whatever that asks for, until nothing is: \
    `forward` finds ledger and catalog to be what the migrations make, every row is as it was, and `evidence verify` ends with 0. Where the server was gone \
    when a run wanted to drop a throw-away database, that stays, with the mark by which a replay an hour later drops it.";

/// One that is restarted under whoever is on it, so each test has its own.
fn own() -> &'static Server {
    Box::leak(Box::new(Server::start()))
}

/// What is run: its arguments, and what makes work for it.
struct Run {
    name: &'static str,
    args: &'static [&'static str],
    prepare: &'static str,
}

const FORWARD: Run = Run {
    name: "forward",
    args: &["forward", "--json"],
    prepare: r#"alter table "Session" drop column if exists collaborator, drop column if exists "emailVerified";
                delete from _prisma_migrations where migration_name like '%add_session_collaborator'"#,
};
const RESET: Run = Run { name: "reset", args: &["reset", "--confirm", "--json"], prepare: "" };
const RESTORE: Run = Run {
    name: "restore",
    args: &["restore", "--confirm", "--json"],
    prepare: r#"delete from "Session" where id::int > 7; delete from "DecisionLog""#,
};

/// How a run may end: with that code, and these words among what it says.
type End = (i32, &'static str);

/// Where the moment itself is a race: any of these.
const ANYWHERE: [End; 4] = [(0, ""), (1, "error: "), (4, "error: "), (5, "error: ")];

impl Run {
    /// How long it takes when nothing happens.
    fn whole(&self, stand: &Stand) -> Duration {
        stand.superuser().batch_execute(self.prepare).unwrap();
        let begun = Instant::now();
        let answer = stand.project.run(self.args).expect(0);
        let duration = begun.elapsed();
        stand.follow(&answer, self.name).unwrap();
        stand.rows_back().unwrap();
        duration
    }

    /// Lets `fault` happen after so much of the time; `mend` undoes it before the next command.
    fn disturbed(&self, stand: &Stand, after: Duration, ends: &[End], fault: &dyn Fn(), mend: &dyn Fn()) -> Held {
        stand.superuser().batch_execute(self.prepare).unwrap();
        let seen = stand.runs();
        let child = stand.start(self.args);
        std::thread::sleep(after);
        fault();
        let answer = stand.ended(child);
        mend();
        let answer = answer?;
        let fits = |end: &End| answer.code == end.0 && answer.stderr.contains(end.1);
        is(ends.iter().any(fits), || format!("it ended with {}: {}", answer.code, answer.failure()))?;
        stand.right_after(&answer, &seen)?;
        let again = if self.name == "reset" { "restore --confirm" } else { self.args[0] };
        let again = if self.name == "restore" { "restore --confirm" } else { again };
        stand.follow(&answer, again)?;
        stand.rows_back()?;
        stand.at_the_end()
    }
}

fn nothing() {}

#[test]
fn what_happens_to_the_server_in_the_middle_of_a_run_ends_it_in_order() {
    let server = own();
    let stand = Stand::on(server, "faults");
    // A snapshot for `restore`, which each takes.
    stand.project.run(&["reset", "--confirm"]).expect(0);
    stand.project.run(&["restore", "--confirm"]).expect(0);
    let mut table = Table::new(
        "server-faults",
        ABOUT,
        "what_happens_to_the_server_in_the_middle_of_a_run_ends_it_in_order",
        &["what", "to", "ends with"],
    );
    let terminate = || {
        let sessions =
            format!("select pg_terminate_backend(pid) from pg_stat_activity where usename = '{}'", stand.database.user);
        server.superuser("postgres").batch_execute(&sessions).unwrap();
    };
    let faults: [(&str, &dyn Fn()); 3] = [
        ("the server is restarted, fast", &|| server.restart(Signal::INT)),
        ("the server is restarted, immediately", &|| server.restart(Signal::QUIT)),
        ("all our sessions are terminated", &terminate),
    ];
    const MOMENTS: [f64; 3] = [0.25, 0.5, 0.75];
    for run in [&FORWARD, &RESET, &RESTORE] {
        let duration = run.whole(&stand);
        for (what, fault) in faults {
            let held = MOMENTS.map(|share| {
                let held = run.disturbed(&stand, duration.mul_f64(share), &ANYWHERE, fault, &nothing);
                held.map_err(|why| format!("at {:.0} %: {why}", share * 100.0))
            });
            let failures = held.into_iter().filter_map(Result::err).collect();
            table.rows_of(
                [
                    what,
                    &format!("`{}`", run.name),
                    "1 or 4, 0 where its work was done: the moment falls where it falls",
                ],
                MOMENTS.len(),
                failures,
            );
        }
    }
    settings(&stand, &mut table);
    others(&stand, &mut table);
    table.hold();
}

/// What an administrator may set for the role, and take back.
fn settings(stand: &Stand, table: &mut Table) {
    let role = &stand.database.user;
    let limits: [(&str, &str, &[End], &str); 10] = [
        (
            "statement_timeout = 1",
            "set statement_timeout = 1",
            &[(0, ""), (1, "statement timeout"), (4, "statement timeout")],
            "0: our sessions set their own; 1 where a statement of Prisma's takes longer, 4 where a login does, which is a race",
        ),
        (
            "statement_timeout = 1, for a restore",
            "set statement_timeout = 1",
            &[(0, ""), (4, "statement timeout")],
            "0: our sessions set their own; 4 where a login takes longer, which is a race",
        ),
        ("lock_timeout = 1", "set lock_timeout = 1", &[(0, "")], "0"),
        ("idle_session_timeout = 1s", "set idle_session_timeout = '1s'", &[(0, "")], "0: our sessions set their own"),
        (
            "transaction_timeout = 500ms",
            "set transaction_timeout = '500ms'",
            &[(0, "")],
            "0: our sessions set their own",
        ),
        ("xmloption = document", "set xmloption = document", &[(0, "")], "0: our sessions set their own"),
        (
            "default_transaction_read_only",
            "set default_transaction_read_only = on",
            &[(1, "cannot execute INSERT in a read-only transaction")],
            "1, with the server's words",
        ),
        (
            "connection limit 1",
            "connection limit 1",
            &[(4, "too many connections for role")],
            "4, with the server's words",
        ),
        (
            "connection limit 3",
            "connection limit 3",
            &[(0, ""), (1, "too many connections for role"), (4, "too many connections for role")],
            "1 or 4, with the server's words, 0 where that was enough: how many of a run's sessions overlap is a race",
        ),
        ("no right to log in", "nologin", &[(4, "is not permitted to log in")], "4, with the server's words"),
    ];
    for (what, change, ends, then) in limits {
        let run = if what.ends_with("restore") { &RESTORE } else { &FORWARD };
        let alter = |change: &str| stand.superuser().batch_execute(&format!("alter role {role} {change}")).unwrap();
        stand.superuser().batch_execute(run.prepare).unwrap();
        alter(change);
        let undo = || ["reset all", "connection limit -1", "login"].iter().for_each(|change| alter(change));
        let held = run.as_it_is().disturbed(stand, Duration::ZERO, ends, &nothing, &undo);
        table.row(
            [&format!("the role has `{}`", what.trim_end_matches(", for a restore")), &format!("`{}`", run.name), then],
            held,
        );
    }
}

/// What other sessions do, and what there is no room for.
fn others(stand: &Stand, table: &mut Table) {
    // Every place but those that are kept for superusers.
    let mut guests = Vec::new();
    stand.superuser().batch_execute(FORWARD.prepare).unwrap();
    while let Ok(guest) = postgres::Client::connect(&stand.database.url(), postgres::NoTls) {
        guests.push(guest);
    }
    let seen = stand.runs();
    let answer = stand.project.run(FORWARD.args);
    drop(guests);
    let held = is(answer.code == 4 && answer.stderr.contains("remaining connection slots are reserved"), || {
        format!("{}: {}", answer.code, answer.failure())
    });
    let held =
        held.and_then(|()| stand.right_after(&answer, &seen)).and_then(|()| stand.follow(&answer, "forward").map(drop));
    table.row(
        ["`max_connections` is reached", "`forward`", "4, with the server's words"],
        held.and_then(|()| stand.at_the_end()),
    );

    for run in [&FORWARD, &RESET] {
        stand.superuser().batch_execute(run.prepare).unwrap();
        let mut holder = stand.superuser();
        holder.batch_execute("begin; lock table \"Session\" in access exclusive mode").unwrap();
        let holder = std::cell::RefCell::new(Some(holder));
        let held =
            run.as_it_is().disturbed(stand, Duration::ZERO, &[(4, "Session")], &nothing, &|| drop(holder.take()));
        table.row(["another session holds a table", &format!("`{}`", run.name), "4, with the table"], held);
    }
    table.row(["a deadlock with another session", "`forward`", "1, with the server's words"], deadlock(stand));
    table.row(["the server's disk is full", "`forward`", "1, with the server's words"], full_disk(stand));
}

/// A migration that takes two tables, and a session that takes them the other way round.
fn deadlock(stand: &Stand) -> Held {
    let sql = r#"do $do$ begin
        lock table "Session" in share mode;
        if current_database() like '%test' then perform pg_sleep(2); end if;
        lock table "DecisionLog" in share mode;
    end $do$;"#;
    stand.project.migration("20260101000000_deadlock", sql);
    let name = stand.database.name.clone();
    let mut other = stand.superuser();
    let held = FORWARD.as_it_is().disturbed(stand, Duration::ZERO, &[(1, "deadlock detected")], &|| {
        let asleep = format!("select count(*) from pg_stat_activity where datname = '{name}' and query like '%pg_sleep(2)%' and state = 'active' and pid <> pg_backend_pid()");
        let mut watcher = stand.superuser();
        let _ = within(Duration::from_secs(60), || watcher.query_one(&asleep, &[]).unwrap().get::<_, i64>(0) > 0);
        let mut other = stand.superuser();
        // One of the two is ended by the server.
        let _ = other.batch_execute("begin; lock table \"DecisionLog\" in access exclusive mode; lock table \"Session\" in access exclusive mode; rollback");
    }, &nothing);
    // Gone with its ledger row, for what comes after it.
    other.batch_execute("delete from _prisma_migrations where migration_name like '%deadlock'").unwrap();
    std::fs::remove_dir_all(stand.project.path("prisma/postgres/migrations/20260101000000_deadlock")).unwrap();
    held
}

impl Run {
    /// Without what makes its state.
    fn as_it_is(&self) -> Run {
        Run { prepare: "", ..*self }
    }
}

/// A tablespace of a few megabytes, in which the role's new tables lie.
fn full_disk(stand: &Stand) -> Held {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| tempfile::tempdir().unwrap()).path();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=2m", "none"]).arg(folder).status().unwrap();
    assert!(mounted.success(), "this test mounts a small disk: run it as root");
    let role = stand.database.user.clone();
    let mut server = stand.superuser();
    server.batch_execute(&format!("create tablespace small owner {role} location '{}'", folder.display())).unwrap();
    server.batch_execute(&format!("alter role {role} set default_tablespace = small")).unwrap();
    let sql = "create table big as select case when current_database() like '%test' then repeat(md5(i::text), 40) end as t from generate_series(1, 9000) i;\n";
    stand.project.migration("20260101000000_big", sql);
    let mend = || {
        stand.superuser().batch_execute(&format!("alter role {role} reset default_tablespace")).unwrap();
        std::fs::write(
            stand.project.path("prisma/postgres/migrations/20260101000000_big/migration.sql"),
            "create table big (t text);\n",
        )
        .unwrap();
    };
    let held = FORWARD.as_it_is().disturbed(stand, Duration::ZERO, &[(1, "No space left on device")], &nothing, &mend);
    server
        .batch_execute("drop table if exists big; delete from _prisma_migrations where migration_name like '%big'")
        .unwrap();
    let _ = std::fs::remove_dir_all(stand.project.path("prisma/postgres/migrations/20260101000000_big"));
    let dropped = within(Duration::from_secs(10), || server.batch_execute("drop tablespace small").is_ok());
    let _ = Command::new("umount").arg("--lazy").arg(folder).status();
    held.and_then(|()| dropped.map_err(|()| "the tablespace is in use".to_owned()))
}

/// After which a connection is cut, and how a run ends then. Which of its sessions comes so far first is a race, and with it what is cut.
const CUTS: [(i64, &str, &[End]); 4] = [
    (0, "4: `unexpected end of file`", &[(4, "unexpected end of file")]),
    (3_000, LOST, LOST_ENDS),
    (20_000, LOST, LOST_ENDS),
    (80_000, LOST, LOST_ENDS),
];
const LOST: &str = "1: `connection closed`, or in the middle of an answer `error communicating with the server`";
const LOST_ENDS: &[End] = &[(1, "connection closed"), (1, "error communicating with the server")];

#[test]
fn what_happens_to_the_network_ends_a_run_in_order() {
    let stand = Stand::on(own(), "network");
    stand.project.run(&["reset", "--confirm"]).expect(0);
    stand.project.run(&["restore", "--confirm"]).expect(0);
    let mut table = Table::new(
        "network-faults",
        ABOUT,
        "what_happens_to_the_network_ends_a_run_in_order",
        &["what", "to", "ends with"],
    );
    for run in [&FORWARD, &RESET, &RESTORE] {
        let name = format!("`{}`", run.name);
        let over = |how: Break, ends: &[End]| {
            let wire = Wire::to(stand.database.port, how).unwrap();
            stand.reached_at("127.0.0.1", wire.port);
            let held = run.disturbed(&stand, Duration::ZERO, ends, &nothing, &|| wire.mend());
            stand.reached_at("127.0.0.1", stand.database.port);
            held
        };
        if run.name == "forward" {
            table.row(["bytes trickle: 256 at a time", &name, "0"], over(Break::Trickles, &[(0, "")]));
        }
        type Way = fn(i64) -> Break;
        let ways: [(&str, Way); 2] = [("to the server", Break::Up), ("from it", Break::Down)];
        for (direction, way) in ways {
            for (bytes, said, ends) in CUTS {
                let what = format!("every connection is cut after {bytes} bytes {direction}");
                table.row([&what, &name, said], over(way(bytes), ends));
            }
        }
    }
    stand.superuser().batch_execute(FORWARD.prepare).unwrap();
    stand.reached_at("no-such-host.invalid", stand.database.port);
    let held = FORWARD.as_it_is().disturbed(&stand, Duration::ZERO, &[(4, "no-such-host.invalid")], &nothing, &|| {
        stand.reached_at("127.0.0.1", stand.database.port)
    });
    table.row(["its name does not resolve", "`forward`", "4"], held);
    table.hold();
}

impl Stand {
    /// Writes where the target is.
    fn reached_at(&self, host: &str, port: u16) {
        let url = self.database.url_at(host).replace(&format!(":{}/", self.database.port), &format!(":{port}/"));
        self.project.write(".env.staging", &format!("DATABASE_URL={url}\n"));
        let hosts = "allow_hosts = [\"127.0.0.1\", \"no-such-host.invalid\"]";
        self.project.drill_toml(&DRILL_TOML.replace("allow_hosts = [\"127.0.0.1\"]", hosts));
    }
}
