//! The wrapped programs as values: which arguments, which environment. Nothing is spawned here.

pub mod engine;
pub mod environment;
pub mod prisma;
pub mod supabase;
