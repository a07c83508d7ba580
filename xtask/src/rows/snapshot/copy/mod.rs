//! A snapshot as a database: the server copies the whole target (`create database … template`), which takes a fraction of what copying every
//! row to this machine does, and the copy stays on the server.
//!
//! The record of it lies among the snapshots in files and is one of them to whoever lists, chooses or prunes. The database itself says whose
//! it is by a mark, its comment: the random number of the record, and of which database it is. Nothing is done to a database without it.
//!
//! The server makes a copy only while nobody else is in the target. So the target may change between the copy and the moment in which its tables
//! are closed to writers: both are read then, and only a copy that holds the very same counts. Everywhere else the files are written.

mod allowed;
mod dressing;
mod keep;
mod make;
pub mod mark;
pub mod remove;
mod renaming;
mod rows;
mod seal;
mod settle;
mod sums;
mod swap;

pub use allowed::{Keeping, keeping};
pub use keep::{Kept, keep};
pub use mark::prove;
pub use renaming::{Along, along, is_comment_of_schema, obstacle};
pub use rows::FromCopy;
pub use seal::seal;
pub use settle::settle_pending;
pub use sums::{verify, verify_rows};
pub use swap::swap;
