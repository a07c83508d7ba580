//! Tables that would not fit CI's fifteen minutes: `cargo chore ci-long`. As the tests beside it, against the real CLIs and a real Postgres.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on should say where")]
#![allow(clippy::disallowed_methods, reason = "the module rules are for the program")]

#[path = "../it/killing.rs"]
mod killing;
#[path = "../it/made_history.rs"]
#[allow(dead_code, reason = "shared with CI's tests")]
mod made_history;
#[path = "../it/node.rs"]
mod node;
#[path = "../it/postgrest/mod.rs"]
#[allow(dead_code, reason = "shared with CI's tests")]
mod postgrest;
#[path = "../it/prisma_six.rs"]
mod prisma_six;
#[path = "../it/project.rs"]
#[allow(dead_code, reason = "shared with CI's tests")]
mod project;
#[path = "../it/record_schema.rs"]
#[allow(dead_code, reason = "shared with CI's tests")]
mod record_schema;
#[path = "../it/server.rs"]
#[allow(dead_code, reason = "shared with CI's tests")]
mod server;
mod stranger;

mod aftermath;
mod alone;
mod boundaries;
mod copies;
mod copies_back;
mod deployed;
mod doctor;
mod encodings;
mod engine;
mod faults_server;
mod fidelity;
mod init;
mod killed;
mod lasting;
mod local_stack;
mod locks;
mod majors;
mod names;
mod order;
mod platform;
mod releases;
mod sandbox_prune;
mod schema;
mod signals;
mod six;
mod squawk;
mod strangers;
mod surroundings;
mod two_ways_back;
