//! What a run leaves behind for a reviewer: a folder that is written while things happen, and an entry in a feedback file.
//!
//! The only module that writes into the evidence folder and the feedback files. It knows nothing of stages.

pub mod abandoned;
mod anchors;
mod chain;
pub mod committed;
pub mod debug_log;
pub mod deploy;
pub mod deployed;
mod digest_witnesses;
mod entries;
mod entry;
mod feedback;
pub mod folder;
pub mod foretold;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod impact;
pub mod limits;
pub mod lint;
mod lock;
pub mod masked_text;
pub mod masking;
pub mod outcome;
pub mod past;
pub mod prune;
pub mod record;
pub mod seal;
pub mod signature;
pub mod values;
pub mod verify;
pub mod views;
