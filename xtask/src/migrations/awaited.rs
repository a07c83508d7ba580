//! Down scripts that are still being made while databases get ready for them.

use std::sync::OnceLock;

use crate::error::{Failure, Result};
use crate::migrations::down::Down;

#[derive(Default)]
pub struct Awaited {
    /// None: there are none after all, and whoever made them says why.
    downs: OnceLock<Option<Vec<Down>>>,
}

impl Awaited {
    pub fn of(downs: Vec<Down>) -> Awaited {
        Awaited { downs: OnceLock::from(Some(downs)) }
    }

    /// Does what makes them and `give`s them on the way. Whoever waits is let go, whatever happens.
    ///
    /// # Errors
    /// What `make` says.
    pub fn fill<T>(&self, make: impl FnOnce(&dyn Fn(&[Down])) -> Result<T>) -> Result<T> {
        let _end = End(self);
        make(&|downs| {
            let _ = self.downs.set(Some(downs.to_vec()));
        })
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
        for make in [|| Err::<(), _>(Failure::failed("no")), || panic!("while making them")] {
            let awaited = Awaited::default();
            std::thread::scope(|scope| {
                let waiting = scope.spawn(|| awaited.get().is_err());
                let made = catch_unwind(AssertUnwindSafe(|| awaited.fill(|_| make())));
                assert!(made.map_or(true, |made| made.is_err()));
                assert!(waiting.join().unwrap());
            });
        }
    }
}
