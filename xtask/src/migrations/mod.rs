//! Where a database stands in its history, and the ways back: down scripts, what they cost, and their rehearsal.

pub mod database_state;
pub mod down;
pub mod down_scripts;
pub mod prisma_status;
pub mod roll_back;
pub mod status;
pub mod unseen;
pub mod up_down_up;
