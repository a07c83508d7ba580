use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use xshell::{Cmd, cmd};

use super::samples::Samples;
use super::scratch::Scratch;
use super::{silently, time};

/// Some seconds of migrations' statements on a server, with and without a session beside them that asks what the watch of `migrate deploy` asks
///
/// The questions are the drill's own files, asked through psql, with the drill's pause between two of them. Of a deploy that shares its cores with nobody
/// the ratio says little, so the CPU time of the server's process that answers is printed too, as a share of the deploy's time; the budget is 2 %.
/// Not in it: what the drill itself does for the watch. Needs psql.
#[derive(clap::Args)]
pub struct Options {
    /// Pairs in each state of the server
    #[arg(long, default_value_t = 6)]
    runs: usize,
    /// Migrations a deploy
    #[arg(long, default_value_t = 160)]
    migrations: usize,
}

const ANY: &str = include_str!("../../../../src/postgres/somebody_waits.sql");
const WAITING: &str = include_str!("../../../../src/postgres/waiting.sql");
/// As xtask/src/stages/deploy_watch.rs has them.
const INTERVAL: Duration = Duration::from_millis(100);
const TIMES_A_LOOK: u32 = 60;
const LONGEST_INTERVAL: Duration = Duration::from_millis(400);

/// Taken back, so that each finds what the one before it found, and no disk is waited for.
const MIGRATION: &str = "begin;
create table bench_work (id int primary key, name text);
insert into bench_work select i, i::text from generate_series(1, 5000) i;
alter table bench_work add column at timestamptz default clock_timestamp();
create index on bench_work (name);
update bench_work set name = name || '!' where id % 4 = 0;
rollback;
";

const TABLES: &str =
    "do $$ begin for i in 1..300 loop execute format('create table bench_%s (id int)', i); end loop; end $$";
const LOCK: &str = "begin; do $$ begin for i in 1..300 loop execute format('lock table bench_%s', i); end loop; end $$";

impl Options {
    pub fn run(&self) -> Result<()> {
        let project = Scratch::new("")?;
        silently(project.xtask().args(["sandbox", "up", "--quiet"]))?;
        let server = Server { url: project.sandbox_url()?, project: &project };
        server.open()?.ask(TABLES)?;
        self.measure(&server, "idle", "; budget 2")?;
        let mut holder = server.open()?;
        holder.ask(LOCK)?;
        self.measure(&server, "300 tables locked", "; budget 2")?;
        let mut waits = server.open()?;
        waits.send("select from bench_1")?;
        self.measure(&server, "300 tables locked, one session waits", "; budget 2")
    }

    fn measure(&self, server: &Server<'_>, state: &str, budget: &str) -> Result<()> {
        let deploy = || silently(server.psql().stdin(MIGRATION.repeat(self.migrations)));
        let [mut alone, mut watched, mut shares] = [(); 3].map(|()| Samples::default());
        deploy()?;
        for pair in 0..self.runs {
            // Neither is always the first.
            for beside in [pair % 2 == 0, pair % 2 == 1] {
                if beside {
                    let mut cpu = 0.0;
                    let took = time(|| server.watched(deploy).map(|spent| cpu = spent))?;
                    watched.push(took);
                    shares.push(cpu / took * 100.0);
                } else {
                    alone.push(time(deploy)?);
                }
            }
        }
        let (ratio, share, (least, most)) = (watched.ratio_to(&alone), shares.median(), shares.range());
        println!("{state}: alone {:.0} ms, watched {:.0} ms; {ratio}", alone.median(), watched.median());
        println!(
            "  CPU of the watch: median {share:.2} %, from {least:.2} to {most:.2} ({} pairs{budget})",
            shares.len()
        );
        Ok(())
    }
}

struct Server<'a> {
    project: &'a Scratch,
    url: String,
}

impl Server<'_> {
    fn psql(&self) -> Cmd<'_> {
        let url = &self.url;
        cmd!(self.project.shell, "psql -qAtX -v ON_ERROR_STOP=1 {url}").quiet()
    }

    fn open(&self) -> Result<Session> {
        let mut psql = Command::from(self.psql());
        let mut child = psql.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let answers = BufReader::new(child.stdout.take().context("stdout was asked for")?);
        Ok(Session { child, answers })
    }

    /// The milliseconds of CPU that the server spent on the watch.
    fn watched(&self, work: impl FnOnce() -> Result<()>) -> Result<f64> {
        let (session, (working, ended)) = (self.open()?, channel());
        let watch = thread::spawn(move || watch(session, &ended));
        let done = work();
        drop(working);
        done.and(watch.join().map_err(|_| anyhow!("the watch panicked"))?)
    }
}

fn watch(mut session: Session, ended: &Receiver<()>) -> Result<f64> {
    let pid = session.ask("select pg_backend_pid()")?.concat();
    loop {
        let looked = Instant::now();
        let waits = session.ask(&format!("{ANY};\n\\if :ROW_COUNT\n{WAITING};\n\\endif\n"))?;
        let longer = (looked.elapsed() * TIMES_A_LOOK).clamp(INTERVAL, LONGEST_INTERVAL);
        if ended.recv_timeout(if waits.is_empty() { INTERVAL } else { longer }) != Err(RecvTimeoutError::Timeout) {
            return cpu_ms(&pid);
        }
    }
}

/// Of a process since it began.
fn cpu_ms(pid: &str) -> Result<f64> {
    let spent = fs::read_to_string(format!("/proc/{pid}/schedstat"))?;
    let nanoseconds: f64 = spent.split(' ').next().unwrap_or_default().parse()?;
    Ok(nanoseconds / 1e6)
}

/// A psql that stays, and ends with this value.
struct Session {
    child: Child,
    answers: BufReader<ChildStdout>,
}

impl Session {
    fn send(&mut self, sql: &str) -> Result<()> {
        let stdin = self.child.stdin.as_mut().context("stdin was asked for")?;
        Ok(writeln!(stdin, "{sql};\n\\echo answered")?)
    }

    fn ask(&mut self, sql: &str) -> Result<Vec<String>> {
        self.send(sql)?;
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            ensure!(self.answers.read_line(&mut line)? > 0, "psql ended within `{sql}`");
            match line.trim_end() {
                "answered" => return Ok(lines),
                line => lines.push(line.to_owned()),
            }
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
