//! One login: the startup packet, the server's question, the password's answer, until the server is ready for a query.
//!
//! Done here and not by a driver because the connection is handed over raw afterwards: whatever the server said while
//! it was made (parameters, notices, refusals) must reach the child byte for byte.

use bytes::{Bytes, BytesMut};
use fallible_iterator::FallibleIterator;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramSha256};
use postgres_protocol::message::backend::{AuthenticationSaslBody, Message};
use postgres_protocol::message::frontend;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use crate::error::{Attempt, PinError};
use crate::wire::{self, CancelKey, Frame};

/// A socket, encrypted or not.
pub trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

/// No server has more to say before it is asked something, in messages and in bytes.
const MOST_MESSAGES: usize = 1000;
const MOST_BYTES: usize = 1 << 20;

/// What a server says until the child's first query.
#[derive(Default)]
pub struct Greeting {
    /// The parameters and notices among it, as they came.
    pub bytes: BytesMut,
    messages: usize,
    length: usize,
}

impl Greeting {
    /// An error for a server that talks without end: it would be listened to until the deadline, and kept in memory.
    fn hear(&mut self, frame: &Frame) -> std::io::Result<()> {
        self.messages += 1;
        self.length += frame.0.len();
        match self.messages > MOST_MESSAGES || self.length > MOST_BYTES {
            true => Err(wire::malformed("the server does not stop talking before it is asked anything")),
            false => Ok(()),
        }
    }
}

/// A session that is ready for its first query.
pub struct Session {
    pub stream: Box<dyn Socket>,
    pub greeting: Greeting,
    /// Absent where a pooler gives none.
    pub cancel_key: Option<CancelKey>,
}

/// A login that the server refused or that could not be made.
pub struct LoginFailure {
    pub error: PinError,
    /// The server's own words, where it had any.
    pub response: Option<Bytes>,
}

impl<E: Into<PinError>> From<E> for LoginFailure {
    fn from(error: E) -> Self {
        LoginFailure { error: error.into(), response: None }
    }
}

/// Logs in over `stream`. `binding` is what SCRAM can be tied to: the digest of the server's certificate, where there
/// is one.
pub async fn log_in(
    stream: Box<dyn Socket>,
    binding: Option<Vec<u8>>,
    attempt: Attempt<'_>,
    parameters: &[(&str, &str)],
) -> Result<Session, LoginFailure> {
    let mut login =
        Login { stream, binding, attempt, greeting: Greeting::default(), cancel_key: None, is_bound: false };
    login.start(parameters).await?;
    login.until_ready().await?;
    Ok(Session { stream: login.stream, greeting: login.greeting, cancel_key: login.cancel_key })
}

/// A login under way.
struct Login<'a> {
    stream: Box<dyn Socket>,
    binding: Option<Vec<u8>>,
    attempt: Attempt<'a>,
    greeting: Greeting,
    cancel_key: Option<CancelKey>,
    is_bound: bool,
}

impl Login<'_> {
    async fn start(&mut self, parameters: &[(&str, &str)]) -> Result<(), LoginFailure> {
        let target = [("user", self.attempt.user), ("database", self.attempt.database)];
        let mut startup = BytesMut::new();
        frontend::startup_message(target.into_iter().chain(parameters.iter().copied()), &mut startup)?;
        self.send(&startup).await
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), LoginFailure> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await?;
        Ok(())
    }

    async fn until_ready(&mut self) -> Result<(), LoginFailure> {
        loop {
            match self.next().await? {
                Message::AuthenticationOk => self.has_to_be_bound()?,
                Message::AuthenticationCleartextPassword => self.send_cleartext().await?,
                Message::AuthenticationMd5Password(body) => {
                    self.has_to_be_bound()?;
                    let hash = md5_hash(self.attempt.user.as_bytes(), self.password()?.as_bytes(), body.salt());
                    self.send_password(&hash).await?;
                }
                Message::AuthenticationSasl(body) => self.scram(&body).await?,
                Message::AuthenticationGss => return Err(unsupported("GSSAPI")),
                Message::AuthenticationKerberosV5 => return Err(unsupported("Kerberos")),
                Message::AuthenticationSspi => return Err(unsupported("SSPI")),
                Message::BackendKeyData(body) => self.cancel_key = Some((body.process_id(), body.secret_key())),
                Message::ReadyForQuery(_) => return Ok(()),
                _ => return Err(wire::malformed("an unexpected message during login").into()),
            }
        }
    }

    /// The next message that asks for something; parameters and notices are kept for the child, a refusal is an error.
    async fn next(&mut self) -> Result<Message, LoginFailure> {
        next(&mut self.stream, &mut self.greeting, &self.attempt).await
    }

    fn password(&self) -> Result<&str, PinError> {
        self.attempt.password.ok_or(PinError::PasswordMissing)
    }

    /// Before anything of the password is sent in another way, and where the server asks for none at all.
    fn has_to_be_bound(&self) -> Result<(), LoginFailure> {
        match self.attempt.must_bind && !self.is_bound {
            true => Err(PinError::BindingMissing.into()),
            false => Ok(()),
        }
    }

    async fn send_cleartext(&mut self) -> Result<(), LoginFailure> {
        self.has_to_be_bound()?;
        if !self.attempt.encrypted && !self.attempt.loopback {
            return Err(PinError::CleartextRefused.into());
        }
        let password = self.password()?.to_owned();
        self.send_password(&password).await
    }

    async fn send_password(&mut self, password: &str) -> Result<(), LoginFailure> {
        let mut message = BytesMut::new();
        frontend::password_message(password.as_bytes(), &mut message)?;
        self.send(&message).await
    }

    /// SCRAM-SHA-256, bound to the TLS channel where the server offers that (RFC 5802, RFC 7677). With the binding
    /// even an unverified certificate (`sslmode=require`) leaves no room for a man in the middle.
    async fn scram(&mut self, body: &AuthenticationSaslBody) -> Result<(), LoginFailure> {
        let offered: Vec<&str> = body.mechanisms().collect()?;
        let (mechanism, binding) = match self.binding.take() {
            Some(digest) if offered.contains(&SCRAM_SHA_256_PLUS) => {
                (SCRAM_SHA_256_PLUS, ChannelBinding::tls_server_end_point(digest))
            }
            // Says that we could: a server that did offer it then knows that the offer was taken out on the way.
            Some(_) => (SCRAM_SHA_256, ChannelBinding::unrequested()),
            None => (SCRAM_SHA_256, ChannelBinding::unsupported()),
        };
        if !offered.contains(&mechanism) {
            return Err(unsupported("an unknown SASL"));
        }
        self.is_bound = mechanism == SCRAM_SHA_256_PLUS;
        self.has_to_be_bound()?;
        let mut scram = ScramSha256::new(self.password()?.as_bytes(), binding);
        let mut message = BytesMut::new();
        frontend::sasl_initial_response(mechanism, scram.message(), &mut message)?;
        self.send(&message).await?;
        let Message::AuthenticationSaslContinue(challenge) = self.next().await? else {
            return Err(wire::malformed("no SCRAM challenge").into());
        };
        scram.update(challenge.data())?;
        let mut message = BytesMut::new();
        frontend::sasl_response(scram.message(), &mut message)?;
        self.send(&message).await?;
        let Message::AuthenticationSaslFinal(proof) = self.next().await? else {
            return Err(wire::malformed("no SCRAM proof from the server").into());
        };
        Ok(scram.finish(proof.data())?)
    }
}

fn unsupported(method: &'static str) -> LoginFailure {
    PinError::UnsupportedAuthentication { method }.into()
}

pub async fn next(
    stream: &mut Box<dyn Socket>,
    greeting: &mut Greeting,
    attempt: &Attempt<'_>,
) -> Result<Message, LoginFailure> {
    loop {
        let frame = wire::read_frame(stream).await?;
        greeting.hear(&frame)?;
        match frame.message()? {
            Message::ParameterStatus(_) | Message::NoticeResponse(_) => greeting.bytes.extend_from_slice(&frame.0),
            Message::ErrorResponse(body) => {
                let error = attempt.classify(&body);
                return Err(LoginFailure { error, response: Some(frame.0) });
            }
            message => return Ok(message),
        }
    }
}
