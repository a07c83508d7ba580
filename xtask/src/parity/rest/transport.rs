//! One question, one answer: HTTP/1.1 to exactly the address that the guard has read, and nowhere else.
//!
//! No redirect is followed (it would carry the key elsewhere), no proxy is taken from the environment, and plain HTTP
//! goes to loopback only. TLS is what the pin uses: the same provider, the system's roots. The key goes in headers and
//! nowhere else: a legacy one (a JWT) in `apikey` and `Authorization`, an `sb_secret_` one in `apikey` alone, since
//! PostgREST would try to read it as a JWT (PGRST301).

use std::io::ErrorKind;
use std::net::ToSocketAddrs;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use redact::Secret;
use rustls::pki_types::{CertificateDer, UnixTime};
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};
use ureq::{Agent, Body};

use crate::guard::{KeyKind, SupabaseApi};
use crate::interrupt::Interrupt;
use crate::parity::rest::answer::Answer;
use crate::parity::rest::cause::{Cause, Obstacle};
use crate::settings::Timeouts;

/// How long a wait goes on without asking whether it should.
const LOOK: Duration = Duration::from_millis(50);
/// More than any error and any sample of ours; a longer body is not an answer of the API's.
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
            agent: agent(timeouts, &rustls_native_certs::load_native_certs().certs),
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

fn agent(timeouts: &Timeouts, roots: &[CertificateDer<'_>]) -> Agent {
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

/// A certificate that is not valid at this machine's time is a wrong clock on one side.
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

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpListener;

    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
    use rustls::ServerConfig;
    use rustls::pki_types::PrivateKeyDer;

    use super::*;

    const SECOND: Duration = Duration::from_secs(5);

    fn timeouts() -> Timeouts {
        Timeouts {
            connect: SECOND,
            generate: SECOND,
            migrate: SECOND,
            query: SECOND,
            count: Duration::from_secs(1),
            smoke: SECOND,
            settle: SECOND,
            snapshot: SECOND,
            silence: SECOND,
        }
    }

    /// What comes of a server with a certificate of those years, signed by an authority that is trusted or not.
    fn obstacle(from: i32, to: i32, trusted: bool) -> Obstacle {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(to, 1, 1));
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
        let server = std::thread::spawn(move || {
            let connection = rustls::ServerConnection::new(Arc::new(config)).unwrap();
            let mut stream = rustls::StreamOwned::new(connection, listener.accept().unwrap().0);
            let _ = stream.read(&mut [0; 1]);
        });
        let roots: Vec<_> = trusted.then(|| issuer.der().clone()).into_iter().collect();
        let request = ureq::http::Request::head(url).body(()).unwrap();
        let obstacle = exchange(&agent(&timeouts(), &roots), request).unwrap_err();
        server.join().unwrap();
        obstacle
    }

    #[test]
    fn a_certificate_of_another_time_is_a_clock_that_is_off() {
        let future = obstacle(4000, 4001, true);
        assert_eq!(future.cause, Cause::ClockOff);
        assert!(
            future.said.starts_with("by this machine's clock its certificate is not valid for another "),
            "{future:?}"
        );
        assert_eq!(obstacle(2001, 2002, true).cause, Cause::ClockOff);
    }

    #[test]
    fn a_certificate_of_nobody_we_know_is_not_trusted() {
        assert_eq!(obstacle(2001, 4001, false).cause, Cause::NotTrusted);
    }

    #[test]
    fn plain_http_goes_to_this_machine_only() {
        assert_eq!(address("http://127.0.0.1:54321").unwrap(), "http://127.0.0.1:54321");
        assert_eq!(address("http://192.0.2.1:54321").unwrap_err().cause, Cause::NotLoopback);
        assert_eq!(address("https://x.supabase.co").unwrap(), "https://x.supabase.co");
    }
}
