//! What goes on beside some work, for as long as that takes.

use std::sync::mpsc::{Receiver, channel};

/// Does `work`, and `other` meanwhile in a thread of its own, which ends when nothing can come out of its channel any more: at the end of the
/// work, a panic included. Returns when both have ended.
pub fn meanwhile<T>(other: &(dyn Fn(&Receiver<()>) + Sync), work: impl FnOnce() -> T) -> T {
    let (mut work, mut done) = (Some(work), None);
    beside(other, &mut || done = work.take().map(|work| work()));
    done.unwrap_or_else(|| unreachable!("`beside` does the work"))
}

/// For all kinds of work the same code: threads are long to compile, and a hundred places do something meanwhile.
fn beside(other: &(dyn Fn(&Receiver<()>) + Sync), work: &mut dyn FnMut()) {
    std::thread::scope(|scope| {
        let (working, ended) = channel();
        scope.spawn(move || other(&ended));
        work();
        drop(working);
    });
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc::RecvTimeoutError;
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_other_goes_on_until_the_work_is_done_and_has_ended_then() {
        let (goes_on, has_ended) = (AtomicBool::new(false), AtomicBool::new(false));
        let other = |ended: &Receiver<()>| {
            while ended.recv_timeout(Duration::from_millis(1)) == Err(RecvTimeoutError::Timeout) {
                goes_on.store(true, Ordering::Relaxed);
            }
            has_ended.store(true, Ordering::Relaxed);
        };
        let work = || {
            while !goes_on.load(Ordering::Relaxed) {
                std::thread::yield_now();
            }
            has_ended.load(Ordering::Relaxed)
        };
        assert!(!meanwhile(&other, work), "it ended before the work");
        assert!(has_ended.load(Ordering::Relaxed));
    }

    #[test]
    fn work_that_panics_ends_the_other_too() {
        let panics = || meanwhile(&|ended| _ = ended.recv(), || panic!("fault injection"));
        assert!(std::panic::catch_unwind(panics).is_err());
    }
}
