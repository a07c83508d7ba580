//! The rows of the target: made up, copied into files, and put back.

pub mod filler;
mod likely;
mod made_value;
pub mod seed;
pub mod snapshot;
mod ways;
