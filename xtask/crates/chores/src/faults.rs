//! Fault injection, for tests: a network that stops without a word, and a server whose processes are all stopped.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// A way to a server that can stop: connections stay open and are accepted, and no byte passes any more.
pub struct Network {
    pub port: u16,
    left: Arc<Mutex<Left>>,
}

/// How many bytes of the server still pass.
type Left = Arc<AtomicI64>;

impl Network {
    pub fn to(server: u16) -> std::io::Result<Network> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let (port, left) = (listener.local_addr()?.port(), Arc::new(Mutex::new(unlimited())));
        let network = Network { port, left: left.clone() };
        let passes = move || left.lock().unwrap_or_else(PoisonError::into_inner).clone();
        thread::spawn(move || listener.incoming().flatten().for_each(|client| connect(client, server, &passes())));
        Ok(network)
    }

    fn left(&self) -> MutexGuard<'_, Left> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing passes any more, once the server has sent `bytes` more.
    pub fn stalls_after(&self, bytes: i64) {
        self.left().store(bytes, Ordering::SeqCst);
    }

    /// The connections that are open stall, new ones do not.
    pub fn forgets(&self) {
        self.stalls();
        *self.left() = unlimited();
    }

    pub fn stalls(&self) {
        self.stalls_after(0);
    }

    pub fn flows(&self) {
        self.stalls_after(i64::MAX);
    }
}

/// So low that nothing passes, and who waits for room gives up: a server whose client is stalled for ever holds up who drops a database.
const GONE: i64 = i64::MIN / 2;

impl Drop for Network {
    fn drop(&mut self) {
        self.stalls_after(GONE - 1);
    }
}

fn unlimited() -> Left {
    Arc::new(AtomicI64::new(i64::MAX))
}

fn connect(client: TcpStream, server: u16, left: &Left) {
    let Ok(server) = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], server))) else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (Ok(from_client), Ok(to_client)) = (client.try_clone(), client.try_clone()) else { return };
    let (Ok(from_server), Ok(to_server)) = (server.try_clone(), server.try_clone()) else { return };
    let (up, down) = (left.clone(), left.clone());
    thread::spawn(move || pass(from_client, to_server, |_| up.load(Ordering::SeqCst)));
    thread::spawn(move || pass(from_server, to_client, |count| down.fetch_sub(count, Ordering::SeqCst)));
}

/// Hands on what comes while `left` says that there is room for it; else it waits, and so does who sends more than fits on the way.
fn pass(mut from: TcpStream, mut to: TcpStream, left: impl Fn(i64) -> i64) {
    let mut buffer = [0; 16 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let room = usize::try_from(left(i64::try_from(count).unwrap_or(0))).unwrap_or(0).min(count);
        if to.write_all(&buffer[..room]).is_err() {
            break;
        }
        let mut sent = room;
        while sent < count {
            thread::sleep(Duration::from_millis(10));
            match left(0) {
                1.. => {
                    let _ = to.write_all(&buffer[sent..count]);
                    sent = count;
                }
                ..GONE => return end(&from, &to),
                _ => {}
            }
        }
    }
    end(&from, &to);
}

fn end(one: &TcpStream, other: &TcpStream) {
    // Either may be gone already.
    let _ = (one.shutdown(Shutdown::Both), other.shutdown(Shutdown::Both));
}

/// A way to a server that is slow, or breaks every connection once so many bytes have passed one way.
pub struct Wire {
    pub port: u16,
    broken: Arc<Broken>,
}

/// What is wrong with it.
#[derive(Clone, Copy)]
pub enum Break {
    /// 256 bytes every few milliseconds.
    Trickles,
    /// After so many bytes to the server.
    Up(i64),
    /// After so many bytes from it.
    Down(i64),
}

struct Broken {
    how: Break,
    passed: AtomicI64,
    mended: AtomicBool,
}

impl Wire {
    pub fn to(server: u16, how: Break) -> std::io::Result<Wire> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let broken = Arc::new(Broken { how, passed: AtomicI64::new(0), mended: AtomicBool::new(false) });
        let wire = Wire { port: listener.local_addr()?.port(), broken: Arc::clone(&broken) };
        thread::spawn(move || listener.incoming().flatten().for_each(|client| broken.connect(client, server)));
        Ok(wire)
    }

    /// From now on it is as any other.
    pub fn mend(&self) {
        self.broken.mended.store(true, Ordering::SeqCst);
    }
}

impl Broken {
    fn connect(self: &Arc<Self>, client: TcpStream, server: u16) {
        let Ok(server) = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], server))) else { return };
        let (Ok(from_client), Ok(to_client)) = (client.try_clone(), client.try_clone()) else { return };
        for (from, to, is_up) in [(from_client, server.try_clone(), true), (server, Ok(to_client), false)] {
            let (Ok(to), broken) = (to, Arc::clone(self)) else { return };
            thread::spawn(move || broken.pass(from, to, is_up));
        }
    }

    fn pass(&self, mut from: TcpStream, mut to: TcpStream, is_up: bool) {
        let mut buffer = [0; 256];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            if !self.mended.load(Ordering::SeqCst) && self.breaks(count, is_up)
                || to.write_all(&buffer[..count]).is_err()
            {
                break;
            }
        }
        end(&from, &to);
    }

    fn breaks(&self, count: usize, is_up: bool) -> bool {
        let limit = match self.how {
            Break::Trickles => {
                thread::sleep(Duration::from_millis(4));
                return false;
            }
            Break::Up(limit) if is_up => limit,
            Break::Down(limit) if !is_up => limit,
            _ => return false,
        };
        let count = i64::try_from(count).unwrap_or_default();
        self.passed.fetch_add(count, Ordering::SeqCst) + count > limit
    }
}

/// A process and all that it started, stopped; they go on when this is dropped.
pub struct Stopped(Vec<Pid>);

impl Stopped {
    pub fn with_children(pid: i32) -> Stopped {
        let parent = Pid::from_raw(pid);
        signal(parent.iter(), Signal::STOP); // before its children are listed, so that none is added
        let stopped = Stopped(parent.into_iter().chain(children(pid)).collect());
        signal(stopped.0.iter(), Signal::STOP);
        stopped
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        signal(self.0.iter(), Signal::CONT);
    }
}

fn signal<'a>(pids: impl Iterator<Item = &'a Pid>, signal: Signal) {
    // One that has ended meanwhile needs none.
    pids.for_each(|pid| kill_process(*pid, signal).unwrap_or(()));
}

fn children(parent: i32) -> Vec<Pid> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let child = |entry: std::fs::DirEntry| {
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        // After the name, which may hold anything: the state and the parent.
        let of = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse::<i32>().ok()?;
        (of == parent).then_some(entry.file_name().to_str()?.parse().ok()).flatten().and_then(Pid::from_raw)
    };
    entries.filter_map(child).collect()
}
