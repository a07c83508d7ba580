//! A running child and all that it started: one process group, which ends as a whole.

use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use duct::Handle;
use rustix::process::{Pid, Signal, kill_process_group};

use crate::error::{OrFail, Result};
use crate::interrupt::Interrupt;
use crate::process::exit::Exit;

/// How long a group has between SIGTERM and SIGKILL. Prisma's engine gives itself four seconds after SIGTERM.
const GRACE: Duration = Duration::from_secs(5);

/// Waits for the child's end, its deadline or a signal to us, whichever comes first; when this returns, its group is gone.
pub fn wait(child: &Handle, deadline: Instant, interrupt: &Interrupt) -> Result<Exit> {
    let (wake, woken) = channel();
    interrupt.wakes(wake.clone());
    thread::scope(|scope| {
        scope.spawn(move || {
            let _ = child.wait();
            let _ = wake.send(());
        });
        let exit = first(child, deadline, interrupt, &woken);
        signal(child, Signal::KILL); // what it may have left behind
        child.wait().and(exit)
    })
    .bug("lost a child process")
}

/// Ends the group at once.
pub fn end(child: &Handle) {
    signal(child, Signal::KILL);
    let _ = child.wait();
}

fn first(child: &Handle, deadline: Instant, interrupt: &Interrupt, woken: &Receiver<()>) -> std::io::Result<Exit> {
    loop {
        let stopped =
            interrupt.status().map(Exit::Interrupted).or((Instant::now() >= deadline).then_some(Exit::TimedOut));
        if let Some(output) = child.try_wait()? {
            return Ok(output.status.into());
        } else if let Some(exit) = stopped {
            return terminate(child, interrupt, woken).map(|()| exit);
        }
        let _ = woken.recv_timeout(deadline.saturating_duration_since(Instant::now()));
    }
}

/// SIGTERM to the whole group, and time to follow it; who asks twice does not want to give that time.
fn terminate(child: &Handle, interrupt: &Interrupt, woken: &Receiver<()>) -> std::io::Result<()> {
    signal(child, Signal::TERM);
    let until = Instant::now() + GRACE;
    while child.try_wait()?.is_none() && interrupt.count() < 2 && Instant::now() < until {
        let _ = woken.recv_timeout(until.saturating_duration_since(Instant::now()));
    }
    Ok(())
}

fn signal(child: &Handle, signal: Signal) {
    let group = child.pids().first().and_then(|&pid| Pid::from_raw(i32::try_from(pid).ok()?));
    // An error means that the group is gone already, which is what was wanted.
    let _ = group.map(|group| kill_process_group(group, signal));
}
