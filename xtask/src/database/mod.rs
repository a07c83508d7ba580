//! The only module that speaks to Postgres: identity, claim, ledger, counts, catalog, replay, activity, seed, parity, snapshot.
//!
//! It dials a loopback address alone (the pin carries it on to the verified server), so there is no TLS here. It spawns
//! nothing and prints nothing. Every name it uses is qualified with `pg_catalog.` and every session has its own
//! `search_path`, so nothing planted in another schema can answer in a catalog's place.

pub mod activity;
pub mod api;
pub mod birth;
pub mod catalog;
pub mod claim;
pub mod connect;
mod count_plan;
pub mod counts;
pub mod feed;
pub mod filler;
pub mod history;
pub mod identity;
pub mod ledger;
pub mod lock;
pub mod oids;
pub mod one_side;
pub mod parity;
pub mod privileges;
pub mod ready;
pub mod rehearsal;
pub mod replay;
pub mod rollback;
pub mod seed;
pub mod service_role;
pub mod snapshot;
pub mod standing;
pub mod watch;

#[cfg(test)]
pub mod server;
