//! A stand-in for PostgREST and the gateway before it, which cannot be installed from the registries here. It counts in the real Postgres.
//!
//! It answers as the documentation says (docs.postgrest.org, version 14), rule by rule where `rules` applies it: "Horizontal Filtering",
//! "Limits and Pagination", "Counting", "Schemas" (`Accept-Profile`), "Schema Cache Reloading" (`NOTIFY pgrst`), "Errors"; and as Supabase
//! documents its gateway ("Understanding API keys") and its platform ("HTTP status codes"). The official client runs against it in a test
//! and must read the same counts, so that it is not our own misreading twice. Faults are injected: each request takes the next one.

mod http;
mod rules;

use std::collections::VecDeque;
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

pub use http::Request;
use http::Response;
use rules::Cache;

use crate::server::{Database, free_port};

/// The new kind of key.
pub const SECRET_KEY: &str = "sb_secret_Zq7Lm2xY9wV4tR8sK3nB6c_Hp0aJd1E";

/// Never what PostgREST does, and what stands in its way does all the time.
#[derive(Debug, Clone)]
pub enum Fault {
    /// An answer without words, as from a gateway; seconds for `Retry-After`.
    Status(u16, Option<u32>),
    /// An error as PostgREST writes it: status, code, message.
    Error(u16, &'static str, &'static str),
    /// A page from something in between.
    Html(u16),
    Redirect(&'static str),
    /// `Content-Range: */*`, as without `Prefer: count`.
    NoTotal,
    /// A count that is not the table's.
    Total(u64),
    /// The connection closes in the middle of the headers.
    CutHead,
    /// The connection closes in the middle of the body.
    CutBody,
    /// No answer at all until the server goes.
    Silence,
}

pub struct Postgrest {
    pub url: String,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    database: String,
    /// Each with the role that it opens.
    keys: Vec<(String, &'static str)>,
    cache: Mutex<Cache>,
    faults: Mutex<VecDeque<Fault>>,
    seen: Mutex<Vec<Request>>,
    /// Milliseconds; 0 is none.
    statement_timeout: AtomicI64,
    /// Seconds that the server's clock is ahead.
    ahead: AtomicI64,
    deaf: AtomicBool,
    ended: AtomicBool,
}

/// A legacy key of the local stack, as `supabase status` shows it; nobody here checks the signature.
pub fn legacy_key(role: &str) -> String {
    let part = |json: &str| URL_SAFE_NO_PAD.encode(json);
    let claims = format!(r#"{{"iss":"supabase-demo","role":"{role}","exp":4102444800}}"#);
    format!("{}.{}.{}", part(r#"{"alg":"HS256","typ":"JWT"}"#), part(&claims), part("not a signature, but no other's"))
}

impl Postgrest {
    /// Starts and loads its schema cache; `database` must have Supabase's roles.
    pub fn start(database: &Database) -> Postgrest {
        let port = free_port("127.0.0.1");
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let shared = Arc::new(Shared {
            database: database.url(),
            keys: vec![(legacy_key("service_role"), "service_role"), (SECRET_KEY.to_owned(), "service_role")],
            cache: Mutex::new(rules::cache(&database.url())),
            faults: Mutex::default(),
            seen: Mutex::default(),
            statement_timeout: AtomicI64::new(0),
            ahead: AtomicI64::new(0),
            deaf: AtomicBool::new(false),
            ended: AtomicBool::new(false),
        });
        let (serving, listening) = (shared.clone(), shared.clone());
        let threads = vec![
            std::thread::spawn(move || serve(&listener, &serving)),
            std::thread::spawn(move || rules::listen(&listening)),
        ];
        Postgrest { url: format!("http://127.0.0.1:{port}"), shared, threads }
    }

    /// The next requests get these instead of an answer.
    pub fn fail(&self, faults: impl IntoIterator<Item = Fault>) {
        self.shared.faults.lock().unwrap().extend(faults);
    }

    /// No fault is left for later requests.
    pub fn recover(&self) {
        self.shared.faults.lock().unwrap().clear();
    }

    /// Every statement is stopped after that long.
    pub fn statement_timeout(&self, milliseconds: i64) {
        self.shared.statement_timeout.store(milliseconds, Ordering::Relaxed);
    }

    pub fn clock_ahead(&self, seconds: i64) {
        self.shared.ahead.store(seconds, Ordering::Relaxed);
    }

    /// From now on `NOTIFY pgrst` is not heard, as behind a pooler or while the listener is down.
    pub fn be_deaf(&self) {
        self.shared.deaf.store(true, Ordering::Relaxed);
    }

    /// Everything that was asked so far, and forgets it.
    pub fn seen(&self) -> Vec<Request> {
        std::mem::take(&mut self.shared.seen.lock().unwrap())
    }
}

impl Drop for Postgrest {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        // Wakes the one that waits for a connection.
        let _ = std::net::TcpStream::connect(self.url.trim_start_matches("http://"));
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }
}

/// One request a connection, each on a thread of its own.
fn serve(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.ended() {
            return;
        }
        let shared = shared.clone();
        std::thread::spawn(move || {
            let mut stream = stream.unwrap();
            let Some(request) = http::read(&mut stream) else { return };
            shared.seen.lock().unwrap().push(request.clone());
            let fault = shared.faults.lock().unwrap().pop_front();
            let ahead = shared.ahead.load(Ordering::Relaxed);
            match fault {
                Some(Fault::Silence) => {
                    while !shared.ended() {
                        std::thread::sleep(Duration::from_millis(20));
                    }
                }
                Some(Fault::CutHead) => http::cut(&mut stream, "HTTP/1.1 200 OK\r\nContent-Ra"),
                Some(Fault::CutBody) => {
                    http::cut(&mut stream, "HTTP/1.1 404 Not Found\r\nContent-Length: 500\r\n\r\n{\"code\":\"PGR");
                }
                Some(fault) => http::write(&mut stream, &request, injected(&fault), ahead),
                None => http::write(&mut stream, &request, rules::answer(&shared, &request), ahead),
            }
        });
    }
}

fn injected(fault: &Fault) -> Response {
    match fault {
        Fault::Status(status, None) => Response::new(*status, ""),
        Fault::Status(status, Some(seconds)) => Response::new(*status, "").header("Retry-After", seconds),
        Fault::Error(status, code, message) => rules::error(*status, code, message),
        Fault::Html(status) => {
            let page = "<!doctype html><title>Sign in to Airport WiFi</title>";
            Response::new(*status, page).header("Content-Type", "text/html; charset=utf-8")
        }
        Fault::Redirect(to) => Response::new(302, "").header("Location", to),
        Fault::NoTotal => Response::new(200, "[]").header("Content-Range", "*/*"),
        Fault::Total(rows) => Response::new(206, "[]").header("Content-Range", format!("0-0/{rows}")),
        Fault::CutHead | Fault::CutBody | Fault::Silence => unreachable!("has no answer"),
    }
}
