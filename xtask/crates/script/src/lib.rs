//! What a migration's script says, read as Prisma's engine reads it: text in, text out, and no database.

pub mod comments;
pub mod only_adds;
mod pieces;
pub mod row_changes;
pub mod statements;
pub mod text;
pub mod whole_server;
pub mod without_values;
