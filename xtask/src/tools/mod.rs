//! The wrapped programs as values: which arguments, which environment. Nothing is spawned here.

#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod generated_client;
pub mod prisma;
pub mod prisma_error;
pub mod reentry;
pub mod schema_reading;
pub mod splitter;
pub mod squawk;
pub mod supabase;
