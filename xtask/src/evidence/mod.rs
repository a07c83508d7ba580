//! What a run leaves behind for a reviewer: a folder that is written while things happen, and an entry in a feedback file.
//!
//! The only module that writes into the evidence folder and the feedback files. It knows nothing of stages.

mod abandoned;
mod attestation;
mod chain;
mod entry;
mod feedback;
mod folder_lock;
pub mod github;
pub mod junit;
pub mod past;
pub mod planned;
pub mod reading;
pub mod record;
pub mod report;
pub mod run;
pub mod seal;
pub mod signature;
pub mod verify;
mod vouchers;
pub mod words;
