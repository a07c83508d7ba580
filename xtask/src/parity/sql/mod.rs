//! Parity's questions to the server: both sides at one moment, or Prisma's alone.

pub mod api;
mod count_plan;
pub mod moment;
pub mod not_compared;
pub mod one_side;
pub mod row_join;
pub mod shapes;
mod statement;
