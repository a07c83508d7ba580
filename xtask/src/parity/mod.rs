//! Parity: do Prisma's tables and the mirror hold the same number of rows, and where do they not?
//!
//! What is here computes and no more: it knows no server, no clock and no file. `database::parity` brings the counts, `stages::parity`
//! calls both in order, and docs/parity.md tells the rule and every verdict.
//!
//! | file | holds |
//! |---|---|
//! | `pair` | what is compared with what, as drill.toml names it |
//! | `shape` | what the catalog knows of a table, and whether a pair can be counted in it |
//! | `obstacle` | why a count could not be had, each cause with its fix |
//! | `comparison` | two counts, and the rule that judges them |
//! | `bisect` | where they differ: days, then hours, then minutes |
//! | `by_row` | which rows are partners, and in which of them the sides differ |
//! | `halving` | the same over REST, which says no more than how many |
//! | `time` | stretches of time, and what both sides hold in them |
//! | `page_walk` | the rows of a mirror over REST, page by page |
//! | `place` | a stretch of time in which they differ, and its sentence |
//! | `sample` | the rows at hand: keys and times, never a value |
//! | `report` | `parity.json`, with the keys that the old probe wrote |
//! | `plot` | `parity.svg` |

pub mod bisect;
pub mod by_row;
pub mod comparison;
pub mod halving;
pub mod obstacle;
pub mod page_walk;
pub mod place;
pub mod plot;
pub mod report;
pub mod rest;
pub mod sample;
pub mod shape;
pub mod sources;
pub mod sql;
pub mod time;
