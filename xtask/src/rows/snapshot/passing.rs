//! Counts the rows and bytes that pass by on their way to or from the server.

use crate::headway::{Headway, Work};

pub struct Passing {
    work: Work,
    /// Of the tables that are done.
    rows: u64,
    bytes: u64,
}

impl Passing {
    pub fn new(work: Work) -> Passing {
        Passing { work, rows: 0, bytes: 0 }
    }

    /// For rows that are nobody's business.
    pub fn untold() -> Passing {
        Passing::new(Headway::default().rows(None))
    }

    /// One more piece of a table, of which `rows` rows have passed by now.
    pub fn piece(&mut self, rows: u64, piece: &[u8]) {
        self.bytes += piece.len() as u64;
        self.work.rows(self.rows + rows, self.bytes);
    }

    /// A table of so many rows is done.
    pub fn table(&mut self, rows: u64) {
        self.rows += rows;
    }
}
