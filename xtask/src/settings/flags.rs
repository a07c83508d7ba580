//! The options that every command has: what a user types before anything else decides.

use std::path::PathBuf;

use clap::Args;

use crate::hint::Aim;
use crate::settings::colour::Colour;
use crate::settings::started;

/// The target where no other is named.
const STAGING: &str = "staging";

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of every command")]
pub struct Global {
    /// The database environment to act on, as named in drill.toml
    #[arg(long, global = true, value_name = "NAME", default_value = STAGING)]
    pub target: String,
    /// Act on the embedded Postgres instead, and start it when needed
    #[arg(long, global = true, conflicts_with = "target")]
    pub sandbox: bool,
    /// The project to act on [default: this workspace]
    #[arg(long, global = true, value_name = "DIR")]
    pub root: Option<PathBuf>,
    /// Read the target's variables from FILE instead of the target's own env file
    #[arg(long, global = true, value_name = "FILE")]
    pub env_file: Option<PathBuf>,
    /// Print what would be done, with the SQL and the rows at stake, and stop
    #[arg(long, global = true)]
    pub plan: bool,
    /// Print one JSON object on stdout; everything else goes to stderr
    #[arg(long, global = true)]
    pub json: bool,
    /// Say only what went wrong
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// When to use colour; `auto` follows NO_COLOR, CLICOLOR_FORCE and CLICOLOR
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t)]
    pub color: Colour,
    /// Print as without a terminal: no colour, no spinner, a line for each step
    #[arg(long, global = true, conflicts_with = "color")]
    pub plain: bool,
    /// Also write where the time went to FILE, as an OpenTelemetry trace (OTLP JSON)
    #[arg(long, global = true, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// Record a sandbox run in the feedback files too
    #[arg(long, global = true)]
    pub record: bool,
}

impl Global {
    /// What the flags say that the command acts on; None for what is so anyway.
    pub fn aim(&self) -> Aim {
        let target = (self.target != STAGING).then(|| self.target.clone());
        Aim {
            program: started::as_typed(),
            target,
            sandbox: self.sandbox,
            root: self.root.clone(),
            env_file: self.env_file.clone(),
        }
    }
}
