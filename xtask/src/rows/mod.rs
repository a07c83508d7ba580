//! The rows of the target: made up, copied into files, and put back.

pub mod filler;
pub mod seed;
pub mod snapshot;
