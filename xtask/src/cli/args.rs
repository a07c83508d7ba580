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
    /// Check everything that a run needs, in seconds, with the fix for what is missing; changes nothing
    Doctor(Doctor),
    /// Show what is pending, failed, drifted, claimed and locked; reads only, and exits 5 if something is wrong
    Status,
    /// Generate the client, apply pending migrations, and verify both on the server
    #[command(visible_alias = "migrate")]
    Forward(Forward),
    /// Roll applied migrations back, newest first, and verify what is left on the server
    #[command(visible_alias = "rollback")]
    Backward(Backward),
    /// Run forward, backward, forward, mirror and parity as one rehearsal, and verify each
    Drill(Drill),
    /// Apply the mirror's script through the Supabase CLI, and verify it on the server
    Mirror(Mirror),
    /// Compare the rows of the mirror and of Prisma's tables, and show which differ
    Parity(Parity),
    /// Snapshot every row, drop the schema, apply every migration, and verify
    Reset(Reset),
    /// Put a snapshot's rows back, ending a reset that was cut short first, and verify counts and checksums
    Restore(Restore),
    /// Mark a database as disposable staging, after showing what it is
    Claim(Claim),
    /// Inspect a repo and show the files its first drill needs; --confirm writes them
    Init(Init),
    /// Print a query for production's table sizes, or read its answer; connects to no server
    ProductionSizes(ProductionSizes),
    /// Start, stop, inspect or fill the embedded Postgres
    #[command(subcommand)]
    Sandbox(Sandbox),
    /// List, open, verify and prune what runs leave behind
    #[command(subcommand)]
    Evidence(Evidence),
    /// Check the target's variables without touching the network
    #[command(subcommand)]
    Env(Env),
    /// Print the completion script of a shell, for an installed `xtask`
    Completions(Completions),
    /// Print the manual page, or write one for each command
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
    /// Also read every model with the generated client, as the app does
    #[arg(long)]
    pub smoke: bool,
    /// Continue even if the migrations delete rows or values; they are saved in a snapshot first
    #[arg(long)]
    pub accept_data_loss: bool,
    /// Test the release that is running, given as a commit: its Prisma client reads and writes before and after the migrations
    #[arg(long, value_name = "REF")]
    pub deployed: Option<String>,
    /// Succeed even if the migrations break the release of `--deployed`
    #[arg(long, requires = "deployed")]
    pub accept_breaking: bool,
    /// Rehearse for tables of N rows each [default: what `[production.rows]` in drill.toml says of each]
    #[arg(long, value_name = "N", value_parser = production::rows)]
    pub rows: Option<u64>,
}

#[derive(Debug, Args)]
pub struct Backward {
    /// Number of migrations to roll back
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    #[arg(conflicts_with_all = ["to", "failed"])]
    pub steps: u16,
    /// Roll back every migration after MIGRATION
    #[arg(long, value_name = "MIGRATION", conflicts_with = "failed")]
    pub to: Option<String>,
    /// Settle a failed migration (P3009, P3018): check what it left behind, and mark it as applied or rolled back
    #[arg(long)]
    pub failed: bool,
    /// Continue even if rows or values are lost; they are saved in a snapshot first
    #[arg(long)]
    pub accept_data_loss: bool,
}

#[derive(Debug, Args)]
pub struct Mirror {
    /// Continue even if the script deletes rows or values; they are saved in a snapshot first
    #[arg(long)]
    pub accept_data_loss: bool,
}

#[derive(Debug, Args)]
pub struct Drill {
    /// Apply, roll back and apply again every migration in a throw-away database with rows, and show which can be rolled back
    #[arg(long, conflicts_with_all = ["steps", "branch", "accept_data_loss", "no_mirror", "resume", "deployed", "no_deployed", "accept_breaking"])]
    pub each: bool,
    /// Number of migrations to roll back and apply again
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub steps: u16,
    /// Roll back and apply again the migrations that this branch adds to the main one; if it adds none, run forward, mirror and parity alone
    #[arg(long, conflicts_with = "steps")]
    pub branch: bool,
    /// Continue even if rows or values are lost; they are saved in a snapshot first, and restored after the second forward
    #[arg(long)]
    pub accept_data_loss: bool,
    /// Skip mirror and parity, for a project without Supabase
    #[arg(long)]
    pub no_mirror: bool,
    /// The release that is running, for whether it goes on while the migrations are applied [default: the commit at which this branch left the
    /// main one, where the pending migrations do more than add]
    #[arg(long, value_name = "REF")]
    pub deployed: Option<String>,
    /// Do not test the release that is running
    #[arg(long, conflicts_with = "deployed")]
    pub no_deployed: bool,
    /// Continue even if the migrations break the release that is running
    #[arg(long)]
    pub accept_breaking: bool,
    /// Resume the last drill of the target at the stage that failed
    #[arg(long, conflicts_with_all = ["steps", "branch", "no_mirror"])]
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
    /// Confirm: drop every table of the target's schema
    #[arg(long)]
    pub confirm: bool,
    /// Take no snapshot first: the rows are lost for good, and the evidence says so
    #[arg(long)]
    pub no_snapshot: bool,
}

#[derive(Debug, Clone, Args)]
pub struct Restore {
    /// The snapshot's name, as `--list` shows it [default: the newest that holds more than there is now]
    #[arg(value_name = "SNAPSHOT", conflicts_with = "list")]
    pub snapshot: Option<String>,
    /// Confirm: replace the rows that are in those tables now
    #[arg(long)]
    pub confirm: bool,
    /// Leave the schema as it is, and skip tables of the snapshot that it no longer has
    #[arg(long)]
    pub skip_missing: bool,
    /// List the target's snapshots, without connecting
    #[arg(long, conflicts_with_all = ["confirm", "skip_missing"])]
    pub list: bool,
}

#[derive(Debug, Args)]
pub struct Claim {
    /// The name of the database, to confirm that this one is meant
    #[arg(long, value_name = "DATABASE")]
    pub confirm: Option<String>,
}

#[derive(Debug, Args)]
pub struct Init {
    /// Confirm: write the files that were shown; existing files stay as they are
    #[arg(long)]
    pub confirm: bool,
    /// Then rehearse every migration on the embedded Postgres, as `drill --each --sandbox` does
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
    /// Write them to drill.toml, and show what changes
    #[arg(long, requires = "read")]
    pub write: bool,
}

#[derive(Debug, Subcommand)]
pub enum Sandbox {
    /// Start it; create it the first time
    Up,
    /// Stop it; its rows stay
    Down,
    /// Show whether it runs, and where
    Status,
    /// Print its URL, for psql and other clients
    Url,
    /// Add believable rows to every table, and to the mirror where there is one
    Seed(Seed),
    /// Remove its old runs and snapshots, and what killed commands left; without `--confirm`, show what would go
    Prune(SandboxPrune),
}

#[derive(Debug, Args)]
pub struct SandboxPrune {
    /// Keep the newest N runs and the newest N snapshots with rows
    #[arg(long, value_name = "N", value_parser = at_least_one, default_value = "10")]
    pub keep: usize,
    /// Yes, take away what was shown
    #[arg(long)]
    pub confirm: bool,
}

#[derive(Debug, Args)]
pub struct Seed {
    /// Number of rows for each table
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub rows: u64,
    /// Percentage of the new rows that never reach the mirror, spread evenly
    #[arg(long, value_name = "PCT", default_value_t = 0.0, value_parser = percent)]
    pub mirror_drop: f64,
    /// Percentage of the new rows that reach the mirror twice
    #[arg(long, value_name = "PCT", default_value_t = 0.0, value_parser = percent)]
    pub mirror_duplicate: f64,
    /// Delay of the mirror: younger rows are not there yet
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub mirror_delay: u64,
}

#[derive(Debug, Subcommand)]
pub enum Evidence {
    /// List the runs, newest first, and whether each is as it was recorded
    List,
    /// Show what one run did and found
    Show(PastRun),
    /// Open a run's report in the browser, and print where it is
    Open(PastRun),
    /// Recompute every digest and show what was changed, added or removed; exits 5 if anything was
    Verify(PastRun),
    /// Write a run's report again from its record
    Report(Report),
    /// Remove old runs, and keep the digest of each in a record of the chain; without `--confirm`, show what would go
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
    /// Write nothing; exit 5 if a host, database, project or kind of key differs from the table
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
    /// Check that the variables are complete and name a staging database; exits 0 or 3
    Check,
    /// Write the names of the target's variables and hosts, never a value, to docs/deployment/env_matrix.md
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
