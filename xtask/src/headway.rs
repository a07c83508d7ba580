//! How far long work has come, as plain numbers: who works counts, and whoever wants to tell it looks. Counting costs a store to memory, so
//! it may be done for each row.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// All that is counted in one run. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Headway(Arc<Mutex<Vec<Arc<Counter>>>>);

#[derive(Debug)]
struct Counter {
    unit: Unit,
    total: Option<u64>,
    begun: Instant,
    done: AtomicU64,
    bytes: AtomicU64,
    name: Mutex<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Rows,
    /// Of which each has a name: migrations, tables, scripts.
    Steps,
    /// As `Steps`, where other work follows: how long all of it takes is not known.
    Part,
}

/// Work that is counted until this is dropped.
#[derive(Debug)]
pub struct Work {
    headway: Headway,
    counter: Arc<Counter>,
}

/// What is to be told of it at one moment.
#[derive(Debug, PartialEq, Eq)]
pub struct Seen {
    pub unit: Unit,
    pub done: u64,
    /// None where it is not known.
    pub total: Option<u64>,
    pub bytes: u64,
    /// What it is at; of rows, what else is to be known.
    pub name: String,
    pub took: Duration,
}

impl Headway {
    /// `total` is None where nobody knows how many there are.
    pub fn rows(&self, total: Option<u64>) -> Work {
        self.begin(Unit::Rows, total, Instant::now())
    }

    pub fn steps(&self, total: usize) -> Work {
        self.steps_since(Instant::now(), total)
    }

    /// Of steps that are counted one after the other, each as work of its own: `begun` is when the first one began.
    pub fn steps_since(&self, begun: Instant, total: usize) -> Work {
        self.begin(Unit::Steps, Some(total as u64), begun)
    }

    pub fn part(&self, total: usize) -> Work {
        self.begin(Unit::Part, Some(total as u64), Instant::now())
    }

    /// Work of which nothing can be counted.
    pub fn doing(&self, name: &str) -> Work {
        self.begin(Unit::Part, None, Instant::now()).named(name)
    }

    fn begin(&self, unit: Unit, total: Option<u64>, begun: Instant) -> Work {
        let (done, bytes, name) = Default::default();
        let counter = Arc::new(Counter { unit, total, begun, done, bytes, name });
        self.all().push(Arc::clone(&counter));
        Work { headway: self.clone(), counter }
    }

    /// Of work within other work the outer is told, and of work side by side what began first: numbers that jump tell nothing.
    pub fn look(&self) -> Option<Seen> {
        self.all().first().map(|counter| counter.seen())
    }

    fn all(&self) -> MutexGuard<'_, Vec<Arc<Counter>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counter {
    fn seen(&self) -> Seen {
        Seen {
            unit: self.unit,
            done: self.done.load(Ordering::Relaxed),
            total: self.total,
            bytes: self.bytes.load(Ordering::Relaxed),
            name: self.name.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            took: self.begun.elapsed(),
        }
    }
}

impl Work {
    #[must_use]
    pub fn named(self, name: &str) -> Work {
        self.name(name);
        self
    }

    pub fn name(&self, name: &str) {
        name.clone_into(&mut self.counter.name.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// So many rows are done, of so many bytes.
    pub fn rows(&self, done: u64, bytes: u64) {
        self.counter.done.store(done, Ordering::Relaxed);
        self.counter.bytes.store(bytes, Ordering::Relaxed);
    }

    /// Begins with a step, the first of which is number 1.
    pub fn step(&self, number: usize, name: &str) {
        self.counter.done.store(number as u64, Ordering::Relaxed);
        self.name(name);
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.headway.all().retain(|other| !Arc::ptr_eq(other, &self.counter));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(headway: &Headway) -> Option<(u64, Option<u64>, String)> {
        headway.look().map(|seen| (seen.done, seen.total, seen.name))
    }

    #[test]
    fn the_outer_work_is_told_and_what_has_ended_is_not() {
        let headway = Headway::default();
        assert_eq!(headway.look(), None);
        let outer = headway.steps(44);
        outer.step(7, "20251008_name");
        let inner = headway.clone().rows(None);
        inner.rows(120, 3000);
        assert_eq!(told(&headway), Some((7, Some(44), "20251008_name".to_owned())));
        drop(outer);
        assert_eq!(told(&headway), Some((120, None, String::new())));
        assert_eq!(headway.look().unwrap().bytes, 3000);
        drop(inner);
        assert_eq!(headway.look(), None);
    }
}
