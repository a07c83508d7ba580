//! The rows of the target: made up, copied into files, and put back.

pub mod app_mirror;
pub mod filler;
pub mod seed;
pub mod snapshot;
