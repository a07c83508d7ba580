//! Who answers on a port where the login came to nothing, if it is no Postgres.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::dial;
use crate::error::PinError;

/// How long one that speaks first (SSH, MySQL, SMTP) has for its greeting, and one of HTTP for its answer.
const GREETING: Duration = Duration::from_millis(250);
const ANSWER: Duration = Duration::from_secs(1);
/// As much as is shown of it, in bytes.
const SHOWN: usize = 60;

/// True where the server was reached and did not speak as a Postgres does.
pub fn is_unclear(error: &PinError) -> bool {
    matches!(error, PinError::Protocol { .. } | PinError::TlsFailed { .. } | PinError::TimedOut { .. })
        && !dial::unreachable(error)
}

/// The first words of who answers at `address`; None where it may be a Postgres, which neither speaks first nor answers to HTTP.
pub async fn said(address: SocketAddr, limit: Duration) -> Option<String> {
    let mut stream = dial::connect(address, limit).await.ok()?;
    let mut words = [0; 512];
    let mut length = timeout(GREETING, stream.read(&mut words)).await.map_or(0, Result::unwrap_or_default);
    if length == 0 {
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await.ok()?;
        length = timeout(ANSWER.min(limit), stream.read(&mut words)).await.ok()?.ok()?;
    }
    shown(&words[..length])
}

/// The first piece of text in it.
fn shown(words: &[u8]) -> Option<String> {
    let mut pieces = words.split(|byte| !byte.is_ascii_graphic() && *byte != b' ');
    let piece = pieces.find(|piece| piece.len() > 2)?;
    Some(String::from_utf8_lossy(&piece[..piece.len().min(SHOWN)]).trim().to_owned())
}
