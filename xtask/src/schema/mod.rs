//! What a schema is and what it should be: the catalog, the history and its replay, the ledger, and what sets them apart.

pub mod catalog;
pub mod comments;
pub mod dependents;
pub mod drift;
pub mod expected;
pub mod external;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod history;
pub mod ledger;
pub mod mentions;
pub mod no_script;
pub mod oids;
pub mod only_adds;
pub mod owed;
mod pieces;
pub mod place;
pub mod platform;
pub mod privileges;
pub mod replay;
pub mod row_changes;
pub mod scratch_server;
pub mod second_application;
pub mod server_wide;
pub mod statements;
pub mod without_values;
