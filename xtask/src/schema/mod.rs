//! What a schema is and what it should be: the catalog, the history and its replay, the ledger, and what sets them apart.

pub mod catalog;
pub mod drift;
pub mod expected;
pub mod history;
pub mod ledger;
pub mod mentions;
pub mod oids;
pub mod place;
pub mod platform;
pub mod privileges;
pub mod replay;
pub mod scratch_server;
pub mod statements;
