//! Why the one login that proves a target did not work: each variant is a cause with a fix of its own.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::ErrorResponseBody;

use crate::wire;

/// No variant holds a password, and none of their texts shows one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PinError {
    #[error("host name `{host}` does not resolve: {reason}")]
    Unresolvable { host: String, reason: String },
    #[error("{address} refused the connection")]
    Refused { address: SocketAddr },
    #[error("{address} did not answer {what} within {} s", .after.as_secs_f32())]
    TimedOut { address: SocketAddr, what: Unanswered, after: std::time::Duration },
    #[error("`{host}` has only IPv6 addresses and this machine has no IPv6 route")]
    Ipv6Only { host: String },
    #[error("{address} cannot be reached: {reason}")]
    Unreachable { address: SocketAddr, reason: String },
    #[error("{address} answers, and is no Postgres: {said}")]
    NotPostgres { address: SocketAddr, said: String },
    #[error("the server offers no TLS, and `sslmode` or `sslaccept` asks for it")]
    TlsRequiredButNotOffered,
    #[error("the server accepts only TLS connections, and sslmode does not allow them: {message}")]
    TlsRequiredByServer { message: String },
    #[error("the server's certificate is not trusted: {reason}")]
    CertificateRejected { reason: String },
    #[error("the TLS handshake failed: {reason}")]
    TlsFailed { reason: String },
    #[error("no certificates in `{}`: {reason}", .path.display())]
    CaFile { path: PathBuf, reason: String },
    #[error("the server rejected the password of user `{user}`")]
    PasswordRejected { user: String },
    #[error("the server asks for a password and the URL has none")]
    PasswordMissing,
    #[error("the server asks for the password in clear text over an unencrypted connection; it was not sent")]
    CleartextRefused,
    #[error("the server does not bind its login to the TLS session, and `channel_binding=require` asks for it")]
    BindingMissing,
    #[error("database `{database}` does not exist")]
    DatabaseMissing { database: String },
    #[error("user `{user}` may not connect: {message}")]
    RoleDenied { user: String, message: String },
    #[error("the pooler knows no such tenant or user: {message}")]
    TenantNotFound { message: String },
    #[error("the server has no connection left: {message}")]
    TooManyConnections { message: String },
    #[error("the server refused the connection: {message} (SQLSTATE {sqlstate})")]
    ServerError { sqlstate: String, message: String },
    #[error("the server asks for {method} authentication, which is not supported")]
    UnsupportedAuthentication { method: &'static str },
    #[error("connected to database `{found}` instead of `{expected}`")]
    OtherDatabase { expected: String, found: String },
    #[error("connection to the server lost: {reason}")]
    Protocol { reason: String },
    #[error("`{host}` leads to {address} as well, and must not")]
    Shared { host: String, address: std::net::IpAddr },
    #[error("cannot listen on loopback: {reason}")]
    Local { reason: String },
    #[error("it was not waited for")]
    Stopped,
}

/// What a server did not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unanswered {
    /// Nobody is there, or nobody lets us through.
    Connecting,
    Tls,
    Login,
    Query,
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unanswered::Connecting => "the connection request",
            Unanswered::Tls => "the TLS handshake",
            Unanswered::Login => "the login",
            Unanswered::Query => "the question who it is",
        })
    }
}

impl From<std::io::Error> for PinError {
    fn from(error: std::io::Error) -> Self {
        PinError::Protocol { reason: error.to_string() }
    }
}

/// What an attempted login was for: the names an error may need.
pub struct Attempt<'a> {
    pub user: &'a str,
    pub database: &'a str,
    pub password: Option<&'a str>,
    pub encrypted: bool,
    pub loopback: bool,
    /// No login counts that is not bound to the TLS session.
    pub must_bind: bool,
}

impl Attempt<'_> {
    /// Reads a server's refusal. SQLSTATEs: PostgreSQL documentation, appendix A. Poolers say `XX000` for everything,
    /// so there the text decides (Supavisor: "Tenant or user not found", "MaxClientsInSessionMode").
    pub fn classify(&self, body: &ErrorResponseBody) -> PinError {
        let Ok((sqlstate, message)) = fields(body) else {
            return wire::malformed("an error message that cannot be read").into();
        };
        let (sqlstate, message) = (self.masked(&sqlstate), self.masked(&message));
        let user = self.user.to_owned();
        let says = |words: &[&str]| words.iter().any(|word| message.to_lowercase().contains(word));
        match sqlstate.as_str() {
            _ if says(&["tenant or user not found", "tenant/user"]) => PinError::TenantNotFound { message },
            _ if says(&["max clients reached", "maxclients"]) => PinError::TooManyConnections { message },
            _ if !self.encrypted
                && says(&["no encryption", "ssl off", "ssl required", "ssl connection is required"]) =>
            {
                PinError::TlsRequiredByServer { message }
            }
            "28P01" => PinError::PasswordRejected { user },
            "3D000" => PinError::DatabaseMissing { database: self.database.to_owned() },
            "28000" | "42501" => PinError::RoleDenied { user, message },
            "53300" => PinError::TooManyConnections { message },
            _ => PinError::ServerError { sqlstate, message },
        }
    }

    /// No server repeats a password; should one ever do it, it ends here.
    fn masked(&self, message: &str) -> String {
        match self.password {
            Some(password) if !password.is_empty() => message.replace(password, "***"),
            _ => message.to_owned(),
        }
    }
}

fn fields(body: &ErrorResponseBody) -> std::io::Result<(String, String)> {
    let (mut sqlstate, mut message) = (String::new(), String::new());
    let mut fields = body.fields();
    while let Some(field) = fields.next()? {
        let value = || String::from_utf8_lossy(field.value_bytes()).into_owned();
        match field.type_() {
            b'C' => sqlstate = value(),
            b'M' => message = value(),
            _ => {}
        }
    }
    Ok((sqlstate, message))
}

#[cfg(test)]
mod tests {
    use postgres_protocol::message::backend::Message;

    use super::*;

    fn classified(sqlstate: &str, message: &str) -> PinError {
        let attempt = Attempt {
            user: "app",
            database: "shop_staging",
            password: Some("s3cret-word"),
            encrypted: false,
            loopback: false,
            must_bind: false,
        };
        let frame = wire::Frame(wire::error_response(sqlstate, message, ""));
        let Message::ErrorResponse(body) = frame.message().unwrap() else { panic!("not an error") };
        attempt.classify(&body)
    }

    #[test]
    fn causes_that_need_different_fixes_are_told_apart() {
        assert!(matches!(classified("28P01", "no"), PinError::PasswordRejected { .. }));
        assert!(matches!(classified("3D000", "no"), PinError::DatabaseMissing { .. }));
        assert!(matches!(classified("28000", "role \"app\" is not permitted to log in"), PinError::RoleDenied { .. }));
        assert!(matches!(classified("42501", "permission denied for database"), PinError::RoleDenied { .. }));
        assert!(matches!(classified("53300", "too many clients"), PinError::TooManyConnections { .. }));
        assert!(matches!(classified("XX000", "Tenant or user not found"), PinError::TenantNotFound { .. }));
        assert!(matches!(
            classified("XX000", "MaxClientsInSessionMode: max clients reached"),
            PinError::TooManyConnections { .. }
        ));
        assert!(matches!(
            classified("28000", "no pg_hba.conf entry for host \"1.2.3.4\", user \"app\", no encryption"),
            PinError::TlsRequiredByServer { .. }
        ));
        assert!(matches!(classified("57P03", "starting up"), PinError::ServerError { .. }));
    }

    #[test]
    fn a_server_that_repeats_the_password_cannot_make_us_show_it() {
        for error in [classified("XX000", "bad options: s3cret-word"), classified("as s3cret-word", "no")] {
            assert!(!format!("{error} {error:?}").contains("s3cret-word"), "{error}");
        }
    }
}
