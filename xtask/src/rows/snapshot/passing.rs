//! Counts the rows and bytes that pass by on their way to or from the server.

use crate::headway::{Headway, Work};

/// From one number that is told to the next: a piece is often one row, and this is not built optimised.
const AT_ONCE: u64 = 1 << 16;

pub struct Passing {
    work: Work,
    /// Of the tables that are done.
    rows: u64,
    bytes: u64,
    told: u64,
}

impl Passing {
    pub fn new(work: Work) -> Passing {
        Passing { work, rows: 0, bytes: 0, told: 0 }
    }

    /// For rows that are nobody's business.
    pub fn untold() -> Passing {
        Passing::new(Headway::default().rows(None))
    }

    /// One more piece of a table, of which `rows` rows have passed by now.
    pub fn piece(&mut self, rows: u64, piece: &[u8]) {
        self.bytes += piece.len() as u64;
        if self.bytes - self.told >= AT_ONCE {
            self.told = self.bytes;
            self.work.rows(self.rows + rows, self.bytes);
        }
    }

    /// A table of so many rows is done.
    pub fn table(&mut self, rows: u64) {
        self.rows += rows;
        self.work.rows(self.rows, self.bytes);
    }
}
