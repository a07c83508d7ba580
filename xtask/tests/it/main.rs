//! The built binary against the real CLIs and a real Postgres, each answer compared as a whole.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on should say where")]
#![allow(clippy::disallowed_methods, reason = "the module rules are for the program")]

#[allow(dead_code, reason = "shared with the tests of `cargo chore ci-long`")]
mod killing;
mod made_history;
mod postgrest;
#[allow(dead_code, reason = "shared with the long tests")]
mod project;
mod record_schema;
#[allow(dead_code, reason = "shared with the long tests")]
mod server;
mod server_wide;

mod backward;
mod bad_input;
mod claim;
mod command_line;
mod copies;
mod docs;
mod doctor;
mod drill;
mod encodings;
mod evidence;
mod forward;
mod guard;
mod interrupt;
mod killed;
mod layers;
mod locked;
mod logs;
mod matrix;
mod mirror;
mod node;
mod parity;
mod pinning;
mod prisma_six;
mod prune;
mod recipes;
mod rehearse;
mod report;
mod reset;
mod rest;
mod restore;
mod sandbox;
mod sandbox_prune;
mod secrets;
mod stalls;
mod status;
mod streams;
mod supply_chain;
mod trace;
