//! The command line: what can be typed, and what `--help` says of it.

use std::path::PathBuf;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;

use crate::cli::examples;
use crate::clock;
use crate::hint::CARGO;
use crate::parity::comparison::Source;
use crate::settings::colour::Colour;
use crate::settings::flags::Global;
use crate::settings::production;
use crate::settings::started;

const AFTER_HELP: &str = "\
Start here:
  cargo xtask drill --sandbox        rehearse on an embedded Postgres; needs nothing but Node and Rust
  cargo xtask doctor                 what keeps staging from being used, and the fix of each
  cargo xtask drill --plan           what would happen to staging, without doing it

Exit codes: 0 done and verified, 1 failed, 2 wrong arguments, 3 refused, 4 blocked, 5 different, 70 bug, 130/143 interrupted.
Every run that reaches a target leaves a folder of evidence; its path is the last line.";

/// Rehearse database migrations on a staging Postgres, with Prisma and Supabase, and keep the proof.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version = started::VERSION, after_help = AFTER_HELP, max_term_width = 120)]
#[command(subcommand_required = true, arg_required_else_help = true, disable_help_subcommand = true)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// As the user typed it, and helped in the same words.
    pub fn read() -> Result<Cli, clap::Error> {
        let mut command = command(started::as_typed()).color(Colour::of_words(std::env::args_os()));
        // The end of a hint: zsh passes a comment that is pasted on.
        let words = std::env::args_os().take_while(|word| word != "#");
        let matches = command.try_get_matches_from_mut(words)?;
        Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
    }
}

/// All that can be typed, helped in the words of who typed `program`; None: `cargo xtask`.
pub fn command(program: Option<String>) -> clap::Command {
    let command = examples::add(Cli::command(), program.as_deref().unwrap_or(CARGO));
    match program {
        None => command,
        Some(program) => {
            let help = AFTER_HELP.replace(CARGO, &program).replace(" and Rust", "");
            command.bin_name(program).after_help(help)
        }
    }
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Look for everything that keeps the target from being used, in seconds; changes nothing
    Doctor(Doctor),
    /// Say what is pending, failed, drifted, claimed and locked, in rows; reads only, and exits 5 where something is not well
    Status,
    /// Generate the client, apply pending migrations, and verify both on the server
    #[command(visible_alias = "migrate")]
    Forward(Forward),
    /// Take applied migrations back, newest first, and verify what is left on the server
    #[command(visible_alias = "rollback")]
    Backward(Backward),
    /// Forward, backward, forward, mirror and parity as one run, each verified, and each leading to the next
    Drill(Drill),
    /// Apply the mirror's script through the Supabase CLI, and verify it on the server
    Mirror,
    /// Compare the mirror with Prisma's tables, count by count, and say where they differ
    Parity(Parity),
    /// Snapshot every row, drop the schema, apply every migration, and verify
    Reset(Reset),
    /// Put a snapshot's rows back, and verify counts and checksums
    Restore(Restore),
    /// Mark a database as disposable staging, after showing what it is
    Claim(Claim),
    /// Look at a repo, show the files that its first drill needs, and with --confirm write them
    Init(Init),
    /// Print the one query that tells production's sizes, for who may ask production, or read its answer; reaches no server
    ProductionSizes(ProductionSizes),
    /// Start, stop, look at or fill the embedded Postgres
    #[command(subcommand)]
    Sandbox(Sandbox),
    /// Look after what runs leave behind
    #[command(subcommand)]
    Evidence(Evidence),
    /// Check the target's variables without touching the network
    #[command(subcommand)]
    Env(Env),
    /// Print what a shell needs to complete the command line of an installed `xtask`
    Completions(Completions),
    /// Print the page of the manual, or write one for each command
    Man(Man),
}

impl Command {
    /// Of every table, where it was said.
    pub fn rows(&self) -> Option<u64> {
        match self {
            Command::Forward(args) => args.rows,
            Command::Drill(args) => args.rows,
            _ => None,
        }
    }
}

#[derive(Debug, Args)]
pub struct Completions {
    #[arg(value_enum, value_name = "SHELL")]
    pub shell: Shell,
}

#[derive(Debug, Args)]
pub struct Man {
    /// Write a page for each command to DIR instead
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Doctor {
    /// Print the page of a known failure instead, by its name or a code such as P3018
    #[arg(long, value_name = "NAME")]
    pub explain: Option<String>,
}

#[derive(Debug, Clone, Args)]
pub struct Forward {
    /// Also let the generated client open the target and read every model, as the app does
    #[arg(long)]
    pub smoke: bool,
    /// Go on where the migrations take rows or values away, after a snapshot of them
    #[arg(long)]
    pub accept_data_loss: bool,
    /// Try whether the release that is running goes on: the Prisma client of this commit, before the migrations and after them
    #[arg(long, value_name = "REF")]
    pub deployed: Option<String>,
    /// End well where the migrations break the release of `--deployed`
    #[arg(long, requires = "deployed")]
    pub accept_breaking: bool,
    /// Rehearse for tables of N rows each [default: what `[production.rows]` in drill.toml says of each]
    #[arg(long, value_name = "N", value_parser = production::rows)]
    pub rows: Option<u64>,
}

#[derive(Debug, Args)]
pub struct Backward {
    /// How many migrations to take back
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    #[arg(conflicts_with_all = ["to", "failed"])]
    pub steps: u16,
    /// Take back everything that came after MIGRATION, which stays
    #[arg(long, value_name = "MIGRATION", conflicts_with = "failed")]
    pub to: Option<String>,
    /// Settle a migration that failed (P3009, P3018), by what it left behind
    #[arg(long)]
    pub failed: bool,
    /// Go on where rows or values would be lost, after a snapshot of them
    #[arg(long)]
    pub accept_data_loss: bool,
}

#[derive(Debug, Args)]
pub struct Drill {
    /// Take every migration up, down and up again in a throw-away database with rows, and say which can be taken back
    #[arg(long, conflicts_with_all = ["steps", "accept_data_loss", "no_mirror", "resume", "deployed", "no_deployed", "accept_breaking"])]
    pub each: bool,
    /// How many migrations to take back and apply again
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub steps: u16,
    /// Go on where rows or values would be lost, after a snapshot of them; they are put back after the second forward
    #[arg(long)]
    pub accept_data_loss: bool,
    /// Leave out mirror and parity: this project has no Supabase
    #[arg(long)]
    pub no_mirror: bool,
    /// The release that is running, for whether it goes on while the migrations are applied [default: the commit at which this branch left the
    /// main one, where the pending migrations do more than add]
    #[arg(long, value_name = "REF")]
    pub deployed: Option<String>,
    /// Do not try the release that is running
    #[arg(long, conflicts_with = "deployed")]
    pub no_deployed: bool,
    /// Go on where the migrations break the release that is running
    #[arg(long)]
    pub accept_breaking: bool,
    /// Go on with the last drill of the target, from the stage that missed
    #[arg(long, conflicts_with_all = ["steps", "no_mirror"])]
    pub resume: bool,
    /// Rehearse for tables of N rows each [default: what `[production.rows]` in drill.toml says of each]
    #[arg(long, value_name = "N", value_parser = production::rows)]
    pub rows: Option<u64>,
}

#[derive(Debug, Args)]
pub struct Parity {
    /// How to count the mirror's side: by SQL in one snapshot, over Supabase's REST API, or in both ways [default: sql, and rest where the
    /// target does not hold the mirror]
    #[arg(long, value_enum)]
    pub source: Option<Source>,
}

#[derive(Debug, Args)]
pub struct Reset {
    /// Yes, drop every table of the target's schema
    #[arg(long)]
    pub confirm: bool,
    /// Take no snapshot first: the rows are lost for good, and the evidence says so
    #[arg(long)]
    pub no_snapshot: bool,
}

#[derive(Debug, Args)]
pub struct Restore {
    /// The snapshot's name, as `--list` shows it [default: the newest that holds more than there is now]
    #[arg(value_name = "SNAPSHOT", conflicts_with = "list")]
    pub snapshot: Option<String>,
    /// Yes, replace the rows that are in those tables now
    #[arg(long)]
    pub confirm: bool,
    /// Leave out tables that the snapshot has and the schema has not
    #[arg(long)]
    pub skip_missing: bool,
    /// Show the target's snapshots, and reach no server
    #[arg(long, conflicts_with_all = ["confirm", "skip_missing"])]
    pub list: bool,
}

#[derive(Debug, Args)]
pub struct Claim {
    /// The name of the database, as proof that this one is meant
    #[arg(long, value_name = "DATABASE")]
    pub confirm: Option<String>,
}

#[derive(Debug, Args)]
pub struct Init {
    /// Yes, write what was shown; what is there already stays as it is
    #[arg(long)]
    pub confirm: bool,
    /// And then take every migration down and up on the embedded Postgres, as `drill --each --sandbox` does
    #[arg(long)]
    pub drill: bool,
    /// A host that is staging, for a new drill.toml
    #[arg(long, value_name = "HOST")]
    pub allow_host: Vec<String>,
    /// The ref of a Supabase project that is staging, for a new drill.toml
    #[arg(long, value_name = "REF")]
    pub allow_project: Vec<String>,
}

#[derive(Debug, Args)]
pub struct ProductionSizes {
    /// Print the lines of drill.toml for the answer that psql wrote to FILE, or with `-` for that on standard input
    #[arg(long, value_name = "FILE")]
    pub read: Option<PathBuf>,
    /// Put them into drill.toml, and show what changes
    #[arg(long, requires = "read")]
    pub write: bool,
}

#[derive(Debug, Subcommand)]
pub enum Sandbox {
    /// Start it; create it the first time
    Up,
    /// Stop it; its rows stay
    Down,
    /// Say whether it runs, and where
    Status,
    /// Print its URL, for psql and other clients
    Url,
    /// Add believable rows to every table, and to the mirror where there is one
    Seed(Seed),
}

#[derive(Debug, Args)]
pub struct Seed {
    /// How many rows each table gets
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub rows: u64,
    /// How many percent of the new rows never reach the mirror, spread evenly
    #[arg(long, value_name = "PCT", default_value_t = 0.0, value_parser = percent)]
    pub mirror_drop: f64,
    /// How many percent of the new rows reach the mirror twice
    #[arg(long, value_name = "PCT", default_value_t = 0.0, value_parser = percent)]
    pub mirror_duplicate: f64,
    /// How long a row is on its way to the mirror: younger ones are not there yet
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub mirror_delay: u64,
}

#[derive(Debug, Subcommand)]
pub enum Evidence {
    /// List the runs, newest first, and say of each whether it is as it was recorded
    List,
    /// Show what one run did and found
    Show(PastRun),
    /// Open a run's report in the browser, and print where it is
    Open(PastRun),
    /// Recompute every digest, and say what was changed, added or removed since; exit 5 if anything was
    Verify(PastRun),
    /// Write a run's report again, from its folder, which stays as it is
    Report(Report),
    /// Take old runs away, and name each by its digest in a record of the chain; without `--confirm`, show what would go
    #[command(group(clap::ArgGroup::new("which").required(true).args(["keep", "older_than"])))]
    Prune(Prune),
    /// Filter stdin to stdout with the target's secrets masked, as captured output is
    Redact,
}

#[derive(Debug, Args)]
pub struct Report {
    /// The run's folder name, or an end of it like `4368db` [default: the newest run]
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
    /// Write to FILE, which must not be there yet [default: .drill/reports/RUN.html]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Prune {
    /// Keep the newest N runs
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub keep: Option<usize>,
    /// Keep what began within this time, like 30d, 2w or 12h
    #[arg(long, value_name = "AGE", value_parser = age)]
    pub older_than: Option<String>,
    /// Yes, take away what was shown
    #[arg(long)]
    pub confirm: bool,
}

#[derive(Debug, Args)]
pub struct Matrix {
    /// Write nothing; exit 5 when a host, database, project or kind of key is not the one in the table
    #[arg(long)]
    pub check: bool,
}

#[derive(Debug, Args)]
pub struct PastRun {
    /// The run's name, its beginning, or its short id, as `evidence list` shows it
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum Env {
    /// Say whether the variables are complete and name a staging database; exit 0 or 3
    Check,
    /// Write what the target's variables and hosts are, never a value, to docs/deployment/env_matrix.md
    Matrix(Matrix),
}

fn at_least_one(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| "the newest run always stays: a number from 1 is needed, as in `--keep 1`".to_owned())
}

fn age(text: &str) -> Result<String, String> {
    let is_age = clock::before(clock::now(), text).is_some();
    is_age.then(|| text.to_owned()).ok_or_else(|| "a time with its unit is needed, as in `--older-than 30d`".to_owned())
}

fn percent(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| (0.0..=100.0).contains(number));
    number.ok_or_else(|| "a number from 0 to 100 is needed".to_owned())
}
