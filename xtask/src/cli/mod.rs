//! From arguments to an exit code: the command line, and beside it what it starts.

pub mod args;
pub mod dispatch;
mod doctor;
mod env;
mod evidence;
mod evidence_open;
mod evidence_prune;
mod examples;
mod init;
mod production_sizes;
mod sandbox;
mod sandbox_prune;
mod seed;
mod shell;
mod status;
mod trace;
mod usage;
