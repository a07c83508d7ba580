//! Down scripts that are still being made while databases get ready for them.

use std::sync::OnceLock;

use crate::error::{Failure, Result};
use crate::migrations::down::Down;

pub struct Awaited {
    /// How many there will be.
    pub count: usize,
    /// None: there are none after all, and whoever made them says why.
    downs: OnceLock<Option<Vec<Down>>>,
}

impl Awaited {
    pub fn new(count: usize) -> Awaited {
        Awaited { count, downs: OnceLock::new() }
    }

    pub fn of(downs: Vec<Down>) -> Awaited {
        Awaited { count: downs.len(), downs: OnceLock::from(Some(downs)) }
    }

    /// Makes them. Whoever waits is let go, whatever happens.
    ///
    /// # Errors
    /// What `make` says.
    pub fn fill(&self, make: impl FnOnce() -> Result<Vec<Down>>) -> Result<Vec<Down>> {
        let end = End(self);
        let downs = make()?;
        let _ = self.downs.set(Some(downs.clone()));
        drop(end);
        Ok(downs)
    }

    /// Waits for them.
    ///
    /// # Errors
    /// `failed` when there are none; `fill` has said why.
    pub fn get(&self) -> Result<&[Down]> {
        self.downs.wait().as_deref().ok_or_else(|| Failure::failed("there are no down scripts"))
    }
}

/// Nobody waits for what will not come.
struct End<'a>(&'a Awaited);

impl Drop for End<'_> {
    fn drop(&mut self) {
        let _ = self.0.downs.set(None);
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[test]
    fn whoever_waits_is_let_go_when_the_scripts_cannot_be_made() {
        for make in [|| Err(Failure::failed("no")), || panic!("while making them")] {
            let awaited = Awaited::new(1);
            std::thread::scope(|scope| {
                let waiting = scope.spawn(|| awaited.get().is_err());
                let made = catch_unwind(AssertUnwindSafe(|| awaited.fill(make)));
                assert!(made.map_or(true, |made| made.is_err()));
                assert!(waiting.join().unwrap());
            });
        }
    }
}
