//! Counts the rows and bytes that pass by on their way to or from the server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::headway::{Headway, Work};

/// From one number that is told to the next: a piece is often one row, and this is not built optimised.
const AT_ONCE: u64 = 1 << 16;

/// Of one session; what several have passed is told as one.
pub struct Passing {
    all: Arc<All>,
    /// Of the table that is passing.
    rows: u64,
    /// That are not in `all` yet.
    bytes: u64,
}

struct All {
    work: Work,
    rows: AtomicU64,
    bytes: AtomicU64,
}

impl Passing {
    pub fn new(work: Work) -> Passing {
        Passing { all: Arc::new(All { work, rows: AtomicU64::new(0), bytes: AtomicU64::new(0) }), rows: 0, bytes: 0 }
    }

    /// For rows that are nobody's business.
    pub fn untold() -> Passing {
        Passing::new(Headway::default().rows(None))
    }

    /// For another session's part of the same work.
    pub fn beside(&self) -> Passing {
        Passing { all: Arc::clone(&self.all), rows: 0, bytes: 0 }
    }

    /// One more piece of a table, of which `rows` rows have passed by now.
    pub fn piece(&mut self, rows: u64, piece: &[u8]) {
        self.bytes += piece.len() as u64;
        if self.bytes >= AT_ONCE {
            self.tell(rows);
        }
    }

    /// A table of so many rows is done.
    pub fn table(&mut self, rows: u64) {
        self.tell(rows);
        self.rows = 0;
    }

    fn tell(&mut self, rows: u64) {
        let more = rows - std::mem::replace(&mut self.rows, rows);
        let rows = self.all.rows.fetch_add(more, Ordering::Relaxed) + more;
        let more = std::mem::take(&mut self.bytes);
        let bytes = self.all.bytes.fetch_add(more, Ordering::Relaxed) + more;
        self.all.work.rows(rows, bytes);
    }
}
