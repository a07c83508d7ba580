//! All that is said about a target before the first connection.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::guard::policy::Policy;

/// All that anyone says about a target before the first connection. No `Debug`: it borrows plain secrets.
#[derive(Clone, Copy)]
pub struct Declared<'a> {
    pub policy: &'a Policy,
    /// The target's env file, where there is one: its name for messages, and its bytes.
    pub env_file: Option<(&'a str, &'a [u8])>,
    pub exported: &'a BTreeMap<String, String>,
    /// Other files that a wrapped program would read, by path relative to the root: `.env`, `.env.production*`,
    /// `prisma/.env`, `prisma.config.*`, the schema.
    pub project_files: &'a [(String, Vec<u8>)],
    /// What the end of a service key is compared with.
    pub now: Timestamp,
}
