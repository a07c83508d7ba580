//! The rows of the target: made up, copied into files, and put back.

pub mod filler;
pub mod grow;
mod likely;
mod made_value;
pub mod seed;
mod seed_program;
pub mod snapshot;
mod ways;
