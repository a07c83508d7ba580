//! A snapshot: every row of the target's schemas at one moment, in files that can be put back.
//!
//! One folder a snapshot, under `.drill/snapshots/<target>/`, readable by its owner alone: one compressed file a table, and the manifest, which
//! says what is in them. The manifest is written last, so a folder without one was cut short. Rows are in the text form of COPY, which every
//! version of Postgres reads and writes alike; generated columns are left out, since the server computes them.
//!
//! Not in a snapshot: the ledger's rows as rows (the manifest keeps them for a reader, and a restore never writes them: they say what the
//! schema is, and a restore out of files does not change the schema), tables that an extension owns, foreign tables, temporary tables, the contents of
//! materialized views, and large objects.

mod choice;
pub mod contents;
pub mod copy;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod indexes;
mod manifest;
mod obstacles;
mod passing;
mod pruning;
mod put_back;
mod sample;
mod stale_views;
mod store;
pub mod succession;
pub mod surplus;
mod take;
mod trial;

pub use choice::choose;
pub use manifest::{Copy, Encoding, Manifest, Origin, Sequence, Snapshot, Table, format_of};
pub use put_back::{Fit, Rows, beside, fit, put_back};
pub use store::{Begun, Draft, Listed, Pending, Store, free_bytes, megabytes};
pub use take::{allow_time, copy_out, server_time, take_of};
pub use trial::{Trial, try_way_back};
