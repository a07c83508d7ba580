//! The only module that speaks to Postgres: identity, claim, ledger, counts, catalog, replay, activity, seed, parity, snapshot.
//!
//! It dials a loopback address alone (the pin carries it on to the verified server), so there is no TLS here. It spawns
//! nothing and prints nothing. Every name it uses is qualified with `pg_catalog.` and every session has its own
//! `search_path`, so nothing planted in another schema can answer in a catalog's place.

pub mod activity;
pub mod cancel;
pub mod causes;
pub mod claim;
pub mod connection;
pub mod counts;
pub mod fence;
pub mod holder;
pub mod identity;
pub mod lock_wait;
mod own_settings;
pub mod queue;
pub mod ready;
pub mod rights;
pub mod role_setting;
pub mod run_lock;
pub mod service_role;
pub mod table_locks;

#[cfg(test)]
pub mod server;
