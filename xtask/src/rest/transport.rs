//! One question, one answer: HTTP/1.1 to exactly the address that the guard has read, and nowhere else.
//!
//! No redirect is followed (it would carry the key elsewhere), no proxy is taken from the environment, and plain HTTP goes to loopback
//! only. TLS is what the pin uses: the same provider, the system's roots. The key goes in headers and nowhere else: a legacy one (a JWT) in
//! `apikey` and `Authorization`, an `sb_secret_` one in `apikey` alone, since PostgREST would try to read it as a JWT (PGRST301).

use std::io::ErrorKind;
use std::net::ToSocketAddrs;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use redact::Secret;
use rustls::pki_types::UnixTime;
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};
use ureq::{Agent, Body};

use super::answer::Answer;
use super::{Cause, Obstacle};
use crate::guard::{KeyKind, SupabaseApi};
use crate::interrupt::Interrupt;
use crate::settings::Timeouts;

/// How long a wait goes on without asking whether it should.
const LOOK: Duration = Duration::from_millis(50);
/// More than any error and any sample of ours; a longer body is somebody else's.
const LONGEST_BODY: u64 = 1024 * 1024;
/// The gateway refuses a secret key to what looks like a browser.
const USER_AGENT: &str = concat!("staging-drill/", env!("CARGO_PKG_VERSION"));

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// A count alone.
    Head,
    /// Rows, or the reason why there are none.
    Get,
}

pub struct Request<'a> {
    pub method: Method,
    pub path: &'a str,
}

pub struct Transport {
    agent: Agent,
    base: String,
    schema: String,
    key: Secret,
    kind: KeyKind,
    interrupt: Interrupt,
}

impl Transport {
    pub fn new(
        api: &SupabaseApi,
        schema: &str,
        timeouts: &Timeouts,
        interrupt: &Interrupt,
    ) -> Result<Transport, Obstacle> {
        let key = api.key.as_ref().ok_or(Cause::NoKey)?;
        Ok(Transport {
            agent: agent(timeouts),
            base: address(&api.url)?,
            schema: schema.to_owned(),
            key: key.secret.clone(),
            kind: key.kind,
            interrupt: interrupt.clone(),
        })
    }

    /// Sends on a thread of its own, so that a signal ends the wait at once; the thread is left to its deadline.
    ///
    /// # Errors
    /// What kept an answer from arriving whole; `Stopped` after a signal.
    pub fn send(&self, request: &Request<'_>) -> Result<Answer, Obstacle> {
        let (sender, receiver) = mpsc::sync_channel(1);
        let (agent, request) = (self.agent.clone(), self.request(request)?);
        std::thread::spawn(move || {
            let _ = sender.send(exchange(&agent, request));
        });
        loop {
            match receiver.recv_timeout(LOOK) {
                Ok(answer) => return answer,
                Err(RecvTimeoutError::Timeout) => self.look()?,
                Err(RecvTimeoutError::Disconnected) => return Err(Obstacle::new(Cause::Lost, "the request broke")),
            }
        }
    }

    /// Waits before the next try.
    pub fn pause(&self, wait: Duration) -> Result<(), Obstacle> {
        let end = Instant::now() + wait;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            self.look()?;
            std::thread::sleep(left.min(LOOK));
        }
        Ok(())
    }

    fn look(&self) -> Result<(), Obstacle> {
        self.interrupt.status().map_or(Ok(()), |status| Err(Cause::Stopped(status).into()))
    }

    fn request(&self, request: &Request<'_>) -> Result<ureq::http::Request<()>, Obstacle> {
        let method = match request.method {
            Method::Head => "HEAD",
            Method::Get => "GET",
        };
        let key = self.key.expose();
        let mut builder = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{}", self.base, request.path))
            .header("apikey", key)
            .header("accept", "application/json")
            .header("accept-profile", &self.schema)
            .header("prefer", "count=exact");
        if self.kind == KeyKind::Legacy {
            builder = builder.header("authorization", format!("Bearer {key}"));
        }
        // The error's own text is left out: it may quote a header.
        builder.body(()).map_err(|_| Obstacle::new(Cause::Lost, "the request cannot be written as HTTP"))
    }
}

fn agent(timeouts: &Timeouts) -> Agent {
    let roots = rustls_native_certs::load_native_certs().certs;
    let roots: Vec<_> = roots.iter().map(|root| Certificate::from_der(root).to_owned()).collect();
    let tls = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .root_certs(RootCerts::Specific(Arc::new(roots)))
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build();
    Agent::config_builder()
        .tls_config(tls)
        .proxy(None)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .user_agent(USER_AGENT)
        .timeout_connect(Some(timeouts.connect))
        .timeout_global(Some(timeouts.connect + timeouts.query))
        .build()
        .new_agent()
}

/// The guard lets plain HTTP through to loopback only; a hosts file may still say that `localhost` is elsewhere.
fn address(url: &str) -> Result<String, Obstacle> {
    let Some(authority) = url.strip_prefix("http://") else { return Ok(url.to_owned()) };
    let addresses =
        authority.to_socket_addrs().map_err(|error| Obstacle::new(Cause::Unreachable, error.to_string()))?;
    let mut loopback = addresses.filter(|address| address.ip().is_loopback());
    loopback.next().map(|address| format!("http://{address}")).ok_or(Cause::NotLoopback.into())
}

fn exchange(agent: &Agent, request: ureq::http::Request<()>) -> Result<Answer, Obstacle> {
    let head = request.method() == "HEAD";
    let mut response = agent.run(request).map_err(|error| failed(&error))?;
    let mut answer = Answer::of_head(response.status().as_u16(), |name| {
        Some(response.headers().get(name)?.to_str().ok()?.to_owned())
    });
    if !head {
        answer.body = body(response.body_mut())?;
    }
    Ok(answer)
}

fn body(body: &mut Body) -> Result<String, Obstacle> {
    body.with_config().limit(LONGEST_BODY).lossy_utf8(true).read_to_string().map_err(|error| {
        let cause = if matches!(error, ureq::Error::Timeout(_)) { Cause::TimedOut } else { Cause::Lost };
        Obstacle::new(cause, format!("the answer was cut short: {error}"))
    })
}

fn failed(error: &ureq::Error) -> Obstacle {
    let cause = match error {
        ureq::Error::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve) => Cause::Unreachable,
        ureq::Error::Timeout(_) => Cause::TimedOut,
        ureq::Error::HostNotFound => Cause::Unreachable,
        ureq::Error::Rustls(error) => return tls(error),
        ureq::Error::Io(error) => match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(error) => return tls(error),
            None if never_connected(error.kind()) => Cause::Unreachable,
            None => Cause::Lost,
        },
        _ => Cause::Lost,
    };
    Obstacle::new(cause, error.to_string())
}

fn never_connected(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::ConnectionRefused | ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable)
}

/// A certificate that is good at another time than this machine's is a wrong clock on one side.
fn tls(error: &rustls::Error) -> Obstacle {
    use rustls::CertificateError::{Expired, ExpiredContext, NotValidYet, NotValidYetContext};
    let off = |side: &str, now: &UnixTime, limit: &UnixTime| {
        let minutes = now.as_secs().abs_diff(limit.as_secs()).div_ceil(60);
        let said = format!("by this machine's clock its certificate {side} {minutes} minutes");
        Obstacle::new(Cause::ClockOff, said)
    };
    match error {
        rustls::Error::InvalidCertificate(NotValidYetContext { time, not_before }) => {
            off("is not valid for another", time, not_before)
        }
        rustls::Error::InvalidCertificate(ExpiredContext { time, not_after }) => {
            off("has been expired for", time, not_after)
        }
        rustls::Error::InvalidCertificate(Expired | NotValidYet) => Obstacle::new(Cause::ClockOff, error.to_string()),
        _ => Obstacle::new(Cause::NotTrusted, error.to_string()),
    }
}
