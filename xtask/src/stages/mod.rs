//! One file a stage, each of the shape that `run::stage` describes.

pub mod backward;
mod blocked_behind;
pub mod claim;
mod dependents_step;
mod deploy_tries;
mod deploy_watch;
pub mod deployed;
pub mod drill;
pub mod each;
pub mod forward;
mod halfway;
mod impact_step;
pub mod mirror;
mod over_limits;
pub mod parity;
pub mod preflight;
mod probed_client;
mod release_in_git;
pub mod reset;
pub mod resolve_failed;
pub mod restore;
mod snapshot_step;
mod squawk_step;
mod standpoint;
mod still_owed;
mod surroundings;
mod way_back;
