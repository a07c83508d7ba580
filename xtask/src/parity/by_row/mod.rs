//! Parity to the row: which rows of the two sides are partners, and in which of them the mirror holds something else.

pub mod common_type;
pub mod difference;
pub mod mapping;
pub mod segments;
pub mod told;
pub mod uneven;
pub mod verdict;
