//! Where a database stands in its history, and the ways back: down scripts, what they cost, and their rehearsal.

mod altered;
pub mod awaited;
pub mod database_state;
mod ddl;
pub mod descent;
pub mod down;
pub mod down_scripts;
pub mod draft;
pub mod forecast;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod harm;
pub mod impact;
mod in_the_way;
mod inventory;
mod inverse;
pub mod kept;
pub mod kept_rehearsal;
mod look;
pub mod losses;
mod points;
pub mod prints;
mod prisma_diff;
pub mod prisma_status;
mod proposal;
pub mod rehearsal;
pub mod rehearsed;
mod relabel;
mod renames;
pub mod roll_back;
pub mod status;
mod step;
mod stock;
pub mod unseen;
pub mod up_down_up;
