//! Parity's questions to the server: both sides at one moment, or Prisma's alone.

pub mod api;
mod count_plan;
mod heaps;
pub mod moment;
pub mod not_compared;
pub mod one_side;
pub mod page_join;
pub mod row_join;
pub mod shapes;
mod statement;
