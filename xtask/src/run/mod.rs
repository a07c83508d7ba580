//! One run of one stage, from the guard's yes to the closed record.

pub mod consent;
pub mod console;
pub mod early;
pub mod ended;
pub mod journal;
pub mod lock_watch;
pub mod plan;
pub mod preamble;
pub mod run_plan;
pub mod runner;
pub mod stage;
