//! What must hold of whatever comes over the wire, from a client and from a server, and between Prisma's CLI and its engine. The tests try the
//! same inputs in every run, and `cargo chore fuzz` lets libFuzzer look for others.

#![allow(clippy::expect_used, reason = "a property panics where it does not hold")]

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use postgres_protocol::message::backend::Message;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::error::{Attempt, PinError};
use crate::interposer::datasource::Check;
use crate::login;
use crate::pinned_url::{Expected, Use};
use crate::startup;
use crate::turn::Borders;
use crate::wire::{self, Opening, Startup};

/// As `chores::fuzz::Target` has it.
pub type Target = (&'static str, &'static str, &'static str, usize, fn(&[u8]));

pub const TARGETS: [Target; 5] = [
    (
        "wire-of-client",
        "a client's first packets, hostile lengths among them",
        "what is read is what was sent, to the byte, and no more of it than was announced; only what formats or limits is passed on",
        3000,
        of_client,
    ),
    (
        "wire-of-server",
        "all that a server says during a login",
        "the password is sent as it is only when asked for over TLS or loopback, nothing of it where a binding is demanded; no error has it; \
         what is kept is bounded",
        3000,
        of_server,
    ),
    (
        "borders-of-messages",
        "a stream of messages in pieces",
        "the same messages in any pieces, and no more bytes than there are",
        2000,
        borders,
    ),
    (
        "pinned-url",
        "a datasource URL",
        "admitted are the URLs of a lease alone; a refusal shows neither user nor password",
        3000,
        pinned_url,
    ),
    (
        "request-to-engine",
        "a line of JSON-RPC from Prisma's CLI",
        "no address but the pinned one gets through, in any field or datasource block",
        1500,
        request_to_engine,
    ),
];

fn now<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(work)
}

fn of_client(bytes: &[u8]) {
    let mut rest = bytes;
    let Ok(opening) = now(wire::read_opening(&mut rest)) else { return };
    let read = &bytes[..bytes.len() - rest.len()];
    match opening {
        Opening::Encryption => assert!((8..=10_000).contains(&read.len())),
        Opening::Cancel((process, secret)) => {
            assert_eq!(read[8..], [process.to_be_bytes(), secret.to_be_bytes()].concat());
        }
        Opening::Startup(startup) => {
            assert_eq!(read, packet(&startup));
            only_what_is_harmless(&startup);
            let mut answer = rest;
            if let Ok(password) = now(wire::read_password(&mut answer)) {
                assert_eq!(rest[5..rest.len() - answer.len() - 1], password[..]);
                assert!(password.len() < 1024);
            }
        }
    }
}

fn packet(startup: &Startup) -> Vec<u8> {
    let words = startup.parameters.iter().flat_map(|(name, value)| [name.as_bytes(), b"\0", value.as_bytes(), b"\0"]);
    let body = [&(196_608 | startup.minor).to_be_bytes()[..], &words.collect::<Vec<_>>().concat(), b"\0"].concat();
    [&u32::try_from(body.len() + 4).expect("it was short").to_be_bytes()[..], &body].concat()
}

fn only_what_is_harmless(startup: &Startup) {
    let Ok(wishes) = startup::wishes(startup) else { return };
    let moves = ["options", "role", "search_path", "session_authorization", "replication", "user", "database"];
    let mut names: Vec<String> = wishes.settings.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    assert!(!names.iter().any(|name| moves.contains(&name.as_str()) || name.contains('.')), "{names:?}");
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count, "one of them twice");
    assert!(startup.parameters.contains(&("user".to_owned(), wishes.user.clone())) && !wishes.database.is_empty());
}

/// A server that says what it says, whatever it hears.
struct Deaf {
    says: Vec<u8>,
    said: usize,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl AsyncRead for Deaf {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let end = (self.said + buffer.remaining()).min(self.says.len());
        buffer.put_slice(&self.says[self.said..end]);
        self.said = end;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Deaf {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

const PASSWORD: &str = "Zq7-Lm2%9w";

/// The first byte says how we are connected, the rest is what the server says.
fn of_server(bytes: &[u8]) {
    let (how, says) = bytes.split_first().unwrap_or((&0, &[]));
    let attempt = Attempt {
        user: "app",
        database: "shop_staging",
        password: (how & 1 == 0).then_some(PASSWORD),
        encrypted: how & 2 != 0,
        loopback: how & 4 != 0,
        must_bind: how & 8 != 0,
    };
    let (may_show, must_bind) = (attempt.encrypted || attempt.loopback, attempt.must_bind);
    let binding = (attempt.encrypted && how & 16 != 0).then(|| vec![7; 32]);
    let heard = Arc::new(Mutex::new(Vec::new()));
    let server = Deaf { says: says.to_vec(), said: 0, heard: heard.clone() };
    let session = now(login::log_in(Box::new(server), binding, attempt, &[("client_encoding", "UTF8")]));
    let heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
    let startup = heard[..4].try_into().map_or(0, |length| u32::from_be_bytes(length) as usize);
    let answers = &heard[startup..];
    let asked_plainly = frames(says).iter().any(|message| matches!(message, Message::AuthenticationCleartextPassword));
    let shows = answers.windows(PASSWORD.len()).any(|window| window == PASSWORD.as_bytes());
    assert!(!shows || (may_show && !must_bind && asked_plainly), "the password is shown");
    match session {
        Ok(session) => {
            assert!(says.windows(5).any(|window| window == b"Z\0\0\0\x05"), "it was never ready");
            assert!(session.greeting.bytes.len() <= says.len().min(1 << 20));
            assert!(!must_bind, "nothing was bound");
        }
        Err(failure) => {
            let told = format!("{} {:?}", failure.error, failure.error);
            // Without one of ours, what the server says is its own.
            assert!(how & 1 != 0 || !told.contains(PASSWORD), "{told}");
            assert!(
                !must_bind || answers.is_empty() || matches!(failure.error, PinError::Local { .. }) || binds(answers)
            );
        }
    }
}

/// Where a binding is demanded, what is answered is a SCRAM that is bound.
fn binds(answers: &[u8]) -> bool {
    answers.first() == Some(&b'p') && answers.windows(18).any(|window| window == b"SCRAM-SHA-256-PLUS")
}

/// The whole messages at the beginning.
fn frames(mut says: &[u8]) -> Vec<Message> {
    let mut frames = Vec::new();
    while let Ok(frame) = now(wire::read_frame(&mut says)) {
        frames.extend(frame.message().ok());
    }
    frames
}

/// The first byte says how large the pieces are.
fn borders(bytes: &[u8]) {
    let (size, stream) = bytes.split_first().unwrap_or((&0, &[]));
    let tags_of = |size: usize| {
        let (mut borders, mut tags) = (Borders::default(), Vec::new());
        stream.chunks(size).for_each(|piece| borders.follow(piece, |tag| tags.push(tag)));
        (tags, borders.at_one())
    };
    let (tags, at_one) = tags_of(stream.len().max(1));
    assert_eq!(tags_of(1 + usize::from(*size % 32)), (tags.clone(), at_one));
    assert!(tags.len() * 5 <= stream.len());
    let mut rest = stream;
    let whole: Vec<u8> = std::iter::from_fn(|| {
        let (head, after) = rest.split_at_checked(5)?;
        let length = u32::from_be_bytes(head[1..].try_into().ok()?) as usize;
        rest = after.get(length.saturating_sub(4)..)?;
        Some(head[0])
    })
    .collect();
    assert_eq!(tags, whole);
}

fn expected() -> Expected {
    Expected {
        host: "127.0.0.1".into(),
        port: 40_001,
        user: "app.x@y".into(),
        database: "shop_staging".into(),
        schema: "public".into(),
        shadow: Some("drill_shadow".into()),
    }
}

/// What an admitted URL is made of, by another reading than the one under test.
fn leads_here(url: &str, database: &str) -> bool {
    let (location, query) = url.split_once('?').unwrap_or((url, ""));
    let parts: Vec<&str> = location.split(['/', '@']).collect();
    let [scheme, "", user, place, name] = parts[..] else { return false };
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~=&:%".contains(&byte));
    ["postgres:", "postgresql:"].contains(&scheme)
        && user.split(':').next() == Some("app.x%40y")
        && (place, name) == ("127.0.0.1:40001", database)
        && plain(user)
        && !user.split_once(':').is_some_and(|(_, token)| token.contains(['%', ':', '&', '=']))
        && plain(query)
        && !query.contains(['%', ':'])
        && !["host", "user", "password", "port", "dbname", "options", "socket"]
            .iter()
            .any(|name| query.split('&').any(|pair| pair.starts_with(&format!("{name}="))))
}

fn pinned_url(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for (purpose, database) in [(Use::Target, "shop_staging"), (Use::Shadow, "drill_shadow")] {
        if expected().admit(text, purpose).is_ok() {
            assert!(leads_here(text, database), "{text} is admitted");
        }
    }
    let Some((scheme, rest)) = text.split_once("://") else { return };
    let with_secret = format!("{scheme}://Zq7:Zq7-Lm2@{rest}");
    if let Err(strayed) = expected().admit(&with_secret, Use::Target) {
        assert!(!strayed.to_string().contains("Zq7"), "{strayed}");
    }
}

fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(values) => values.iter().flat_map(texts).collect(),
        Value::Object(fields) => fields.values().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}

fn request_to_engine(bytes: &[u8]) {
    let Ok(line) = std::str::from_utf8(bytes) else { return };
    let environment = |name: &str| (name == "STRAY").then(|| "postgresql://u:p@db.example.com/shop".to_owned());
    let check = Check { expected: &expected(), environment };
    if check.request(line).is_err() {
        return;
    }
    let request: Value = serde_json::from_str(line).expect("what is not JSON does not get through");
    for text in texts(&request) {
        let begins = text.trim_start().to_ascii_lowercase();
        let is_address = ["postgres://", "postgresql://", "prisma://", "prisma+postgres://"]
            .map(|scheme| begins.starts_with(scheme));
        let is_here = leads_here(text, "shop_staging") || leads_here(text, "drill_shadow");
        assert!(!is_address.contains(&true) || is_here, "{text}");
        // The end of a longer word begins no datasource.
        let mut begins = text.match_indices("datasource db {");
        let block = begins.find(|(at, _)| !text[..*at].ends_with(|end: char| end.is_alphanumeric() || end == '_'));
        let block = block.map(|(at, begin)| &text[at + begin.len()..]);
        let block = block.and_then(|rest| rest.split('}').next()).unwrap_or_default();
        let literal = block.lines().filter_map(|line| line.trim().strip_prefix("url = \""));
        for url in literal.filter_map(|rest| rest.strip_suffix('"')).filter(|url| !url.contains(['"', '\\'])) {
            assert!(
                text.contains("/*") || text.contains("//") && !url.contains("://") || leads_here(url, "shop_staging"),
                "{text}"
            );
        }
        assert!(text.contains("//") || text.contains("/*") || !block.contains("url = env(\"STRAY\")"), "{text}");
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_wire_holds_no_surprise() {
        let about = "Everything that the pin reads from either side, fed with the seeds of `xtask/fuzz/seeds` and with what becomes of them after \
                     some mishaps: the same inputs in every run.";
        chores::fuzz::hold("fuzz-of-the-wire", about, "the_wire_holds_no_surprise", &super::TARGETS);
    }
}
