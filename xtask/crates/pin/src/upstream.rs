//! The way to the one verified server: which address, encrypted or not, as whom.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::BytesMut;
use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::Options;
use crate::answerer;
use crate::dial;
use crate::dsn::{Dsn, SslMode};
use crate::error::{Attempt, PinError, Unanswered};
use crate::identity::{self, Answer, FULL, Identity, WITHOUT_CLUSTER};
use crate::login::{self, LoginFailure, Session, Socket};
use crate::tls::{self, Tls};
use crate::wire::{self, CancelKey};
use redact::Secret;

/// One way to open a connection: to this address, encrypted or not, nothing else. What worked once is not renegotiated.
#[derive(Clone)]
pub struct Upstream {
    pub address: SocketAddr,
    tls: Option<Tls>,
    user: String,
    password: Option<Secret>,
    /// `channel_binding=require`, as libpq means it.
    must_bind: bool,
    connect_timeout: Duration,
}

/// Finds the address and the encryption that work, by one full login.
#[expect(clippy::expect_used, reason = "a host that resolves has an address")]
pub async fn prove(dsn: &Dsn, options: &Options) -> Result<(Upstream, Identity), PinError> {
    let connect_timeout = options.connect_timeout;
    let addresses = dial::resolve(&dsn.host, dsn.port, connect_timeout).await?;
    dial::refuse_shared(&addresses, &options.elsewhere, connect_timeout).await?;
    let ways = encryptions(dsn.sslmode, || Tls::new(dsn.sslmode, &dsn.host, options.ca_file.as_deref()))?;
    let mut last = None;
    for address in &addresses {
        let upstream = |tls| Upstream {
            address: *address,
            tls,
            user: dsn.user.clone(),
            password: dsn.password.clone(),
            must_bind: dsn.parameters.get("channel_binding").is_some_and(|value| value == "require"),
            connect_timeout,
        };
        match first_way(ways.iter().cloned().map(upstream), &dsn.database).await {
            Err(error) if dial::unreachable(&error) => last = Some(error),
            Err(error) if answerer::is_unclear(&error) => {
                let said = answerer::said(*address, connect_timeout).await;
                return Err(said.map_or(error, |said| PinError::NotPostgres { address: *address, said }));
            }
            done => return done,
        }
    }
    Err(dial::exhausted(&dsn.host, &addresses, last.expect("a resolved host has an address")))
}

/// libpq's order: `allow` tries plain text first, `prefer` TLS.
fn encryptions(mode: SslMode, tls: impl FnOnce() -> Result<Tls, PinError>) -> Result<Vec<Option<Tls>>, PinError> {
    Ok(match mode {
        SslMode::Disable => vec![None],
        SslMode::Allow => vec![None, Some(tls()?)],
        SslMode::Prefer => vec![Some(tls()?), None],
        SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => vec![Some(tls()?)],
    })
}

#[expect(clippy::expect_used, reason = "every mode has a way")]
async fn first_way(ways: impl Iterator<Item = Upstream>, database: &str) -> Result<(Upstream, Identity), PinError> {
    let mut first = None;
    for upstream in ways {
        match upstream.prove(database).await {
            Ok(identity) => return Ok((upstream, identity)),
            Err(error) if first.is_none() && is_about_encryption(&error) => first = Some(error),
            // `prefer` after a refusal over TLS: that the server wants TLS says nothing new.
            Err(PinError::TlsRequiredByServer { .. }) if first.is_some() => break,
            Err(error) => return Err(error),
        }
    }
    Err(first.expect("there is at least one way"))
}

/// Refusals that the other encryption of `allow` or `prefer` may not meet.
fn is_about_encryption(error: &PinError) -> bool {
    matches!(
        error,
        PinError::TlsRequiredButNotOffered
            | PinError::TlsRequiredByServer { .. }
            | PinError::TlsFailed { .. }
            | PinError::CertificateRejected { .. }
            | PinError::RoleDenied { .. }
    )
}

impl Upstream {
    async fn prove(&self, database: &str) -> Result<Identity, PinError> {
        let parameters = [("client_encoding", "UTF8"), ("application_name", "staging drill")];
        let mut session = self.login(database, &parameters).await.map_err(|failure| failure.error)?;
        let answer = match self.ask(&mut session, database, FULL).await {
            // Some managed servers keep `pg_control_system` from ordinary roles.
            Err(LoginFailure { response: Some(_), .. }) => self.ask(&mut session, database, WITHOUT_CLUSTER).await,
            answer => answer,
        };
        let identity = answer.map_err(|failure| failure.error)?.identity;
        self.leave(session).await;
        if identity.database == database {
            Ok(identity)
        } else {
            Err(PinError::OtherDatabase { expected: database.to_owned(), found: identity.database })
        }
    }

    pub fn is_encrypted(&self) -> bool {
        self.tls.is_some()
    }

    /// Opens a session for `database` and waits until the server is ready for a query.
    pub async fn login(&self, database: &str, parameters: &[(&str, &str)]) -> Result<Session, LoginFailure> {
        let tcp = dial::connect(self.address, self.connect_timeout).await?;
        let (stream, binding) = self.in_time(Unanswered::Tls, self.encrypt(tcp)).await?;
        self.in_time(Unanswered::Login, login::log_in(stream, binding, self.attempt(database), parameters)).await
    }

    /// Asks the server who it is, in the form that worked at first, and sets `limits`: here and not at the login, since poolers take few
    /// parameters, or forget them. What it says beside the answer joins the greeting.
    pub async fn identify(
        &self,
        session: &mut Session,
        database: &str,
        first: &Identity,
        limits: &[(&str, u64)],
    ) -> Result<Answer, LoginFailure> {
        let query = if first.system_identifier.is_some() { FULL } else { WITHOUT_CLUSTER };
        let set = limits.iter().map(|(setting, milliseconds)| format!("; SET {setting} = {milliseconds}"));
        self.ask(session, database, &[query.to_owned()].into_iter().chain(set).collect::<String>()).await
    }

    async fn ask(&self, session: &mut Session, database: &str, query: &str) -> Result<Answer, LoginFailure> {
        let attempt = self.attempt(database);
        self.in_time(Unanswered::Query, identity::ask(session, &attempt, query)).await
    }

    /// Whether the session of `pid` waits for its client; None where the server has no such session. Asked on a connection of its own, to the
    /// pinned `database`: a throw-away one could not be dropped, or copied, meanwhile.
    pub async fn waits_for_client(&self, database: &str, pid: i32) -> Result<Option<bool>, LoginFailure> {
        let mut session = self.login(database, &[("application_name", "staging drill: still there?")]).await?;
        let mut query = BytesMut::new();
        let sql = format!(
            "SELECT coalesce(wait_event_type = 'Client', false) FROM pg_catalog.pg_stat_activity WHERE pid = {pid}"
        );
        frontend::query(&sql, &mut query)?;
        session.stream.write_all(&query).await?;
        session.stream.flush().await?;
        let mut waits = None;
        loop {
            match login::next(&mut session.stream, &mut session.greeting, &self.attempt(database)).await? {
                Message::DataRow(row) => waits = Some(row.buffer().ends_with(b"t")),
                Message::ReadyForQuery(_) => break,
                _ => {}
            }
        }
        self.leave(session).await;
        Ok(waits)
    }

    /// Whether anybody answers a new connection within `limit`: one byte, to the request for TLS.
    pub async fn answers(&self, limit: Duration) -> bool {
        let knock = async {
            let mut tcp = dial::connect(self.address, limit).await?;
            let mut request = BytesMut::new();
            frontend::ssl_request(&mut request);
            tcp.write_all(&request).await?;
            tcp.read_u8().await.map_err(PinError::from)
        };
        matches!(timeout(limit, knock).await, Ok(Ok(_)))
    }

    /// What there was to learn is learned; a server that hangs up first is as good.
    async fn leave(&self, mut session: Session) {
        let mut goodbye = BytesMut::new();
        frontend::terminate(&mut goodbye);
        let _ = timeout(self.connect_timeout, async {
            let _ = session.stream.write_all(&goodbye).await;
            session.stream.shutdown().await
        })
        .await;
    }

    /// Asks the server to cancel what the session of `key` is doing; returns when the server has taken note.
    pub async fn cancel(&self, (process_id, secret): CancelKey) -> Result<(), PinError> {
        let tcp = dial::connect(self.address, self.connect_timeout).await?;
        let cancel = async {
            let (mut stream, _) = self.encrypt(tcp).await?;
            let mut request = BytesMut::new();
            frontend::cancel_request(process_id, secret, &mut request);
            stream.write_all(&request).await?;
            // The server answers by closing, with or without a TLS goodbye.
            let _ = stream.read_u8().await;
            Ok(())
        };
        self.in_time(Unanswered::Query, cancel).await
    }

    /// Whether the password stands in what a server said.
    pub fn shows_password(&self, message: &[u8]) -> bool {
        let password = self.password.as_ref().map_or("", Secret::expose).as_bytes();
        !password.is_empty() && message.windows(password.len()).any(|window| window == password)
    }

    async fn encrypt(&self, mut tcp: TcpStream) -> Result<(Box<dyn Socket>, Option<Vec<u8>>), PinError> {
        let Some(tls) = &self.tls else { return Ok((Box::new(tcp), None)) };
        let mut request = BytesMut::new();
        frontend::ssl_request(&mut request);
        tcp.write_all(&request).await?;
        // One byte exactly: more in the buffer would be plain text smuggled in before the handshake (CVE-2021-23222).
        match tcp.read_u8().await? {
            b'S' => {}
            b'N' => return Err(PinError::TlsRequiredButNotOffered),
            _ => return Err(wire::malformed("neither yes nor no to the request for TLS").into()),
        }
        let stream = tls.handshake(tcp).await?;
        let binding = tls::channel_binding(&stream);
        Ok((Box::new(stream), binding))
    }

    fn attempt<'a>(&'a self, database: &'a str) -> Attempt<'a> {
        Attempt {
            user: &self.user,
            database,
            password: self.password.as_ref().map(Secret::expose),
            encrypted: self.tls.is_some(),
            loopback: self.address.ip().is_loopback(),
            must_bind: self.must_bind,
        }
    }

    /// `work`, and the error that says `what` was not answered where it takes too long.
    async fn in_time<T, E: From<PinError>>(
        &self,
        what: Unanswered,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let after = self.connect_timeout;
        let timed_out = |_| Err(PinError::TimedOut { address: self.address, what, after }.into());
        timeout(after, work).await.unwrap_or_else(timed_out)
    }
}
