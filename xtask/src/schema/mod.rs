//! What a schema is and what it should be: the catalog, the history and its replay, the ledger, and what sets them apart.

pub mod catalog;
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
pub mod owed;
pub mod place;
pub mod platform;
pub mod privileges;
pub mod replay;
pub mod scratch_server;
pub mod script_words;
pub mod second_application;
pub mod server_wide;
