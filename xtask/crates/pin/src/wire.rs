//! The few messages of the Postgres protocol that the pin itself reads and writes; everything after login passes
//! through unread.
//!
//! Formats: PostgreSQL documentation, "Message Formats". `postgres-protocol` decodes what a server says; what a
//! *client* says at the start of a connection is decoded here, since that crate is a client's.

use std::io;

use bytes::{BufMut, Bytes, BytesMut};
use postgres_protocol::message::backend::Message;
use tokio::io::{AsyncRead, AsyncReadExt};

/// What a server accepts at most as first packet (`MAX_STARTUP_PACKET_LENGTH` in PostgreSQL's `libpq/pqcomm.h`), in
/// bytes.
const STARTUP_LIMIT: usize = 10_000;
/// No message of a login is larger; a peer that announces more does not speak the protocol. In bytes.
const LOGIN_MESSAGE_LIMIT: usize = 1 << 20;
/// A token and its frame, with room; in bytes.
const PASSWORD_LIMIT: usize = 1024;

const PROTOCOL_MAJOR: i32 = 3;
const CANCEL_REQUEST: i32 = 80_877_102;
const SSL_REQUEST: i32 = 80_877_103;
const GSS_REQUEST: i32 = 80_877_104;

/// The process id and secret by which a cancel request names a session.
pub type CancelKey = (i32, i32);

/// The first packet of a client.
pub enum Opening {
    /// Asks for TLS or GSS encryption, which is pointless on loopback.
    Encryption,
    Cancel(CancelKey),
    Startup(Startup),
}

pub struct Startup {
    /// Minor version of protocol 3 the client would like.
    pub minor: i32,
    /// In the order given; a name may repeat.
    pub parameters: Vec<(String, String)>,
}

/// Reads a client's first packet. Errors: not Postgres protocol 3, too large, not UTF-8.
pub async fn read_opening(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Opening> {
    let length = stream.read_i32().await?;
    let body = read_body(stream, length, 8, STARTUP_LIMIT).await?;
    let (code, rest) = body.split_at(4);
    let code = i32::from_be_bytes([code[0], code[1], code[2], code[3]]);
    match code {
        SSL_REQUEST | GSS_REQUEST => Ok(Opening::Encryption),
        CANCEL_REQUEST => cancel_key(rest).map(Opening::Cancel),
        _ if code >> 16 == PROTOCOL_MAJOR => {
            Ok(Opening::Startup(Startup { minor: code & 0xffff, parameters: startup_parameters(rest)? }))
        }
        _ => Err(malformed("the first packet is not Postgres protocol 3")),
    }
}

fn cancel_key(bytes: &[u8]) -> io::Result<CancelKey> {
    let [p0, p1, p2, p3, s0, s1, s2, s3] = *bytes else {
        return Err(malformed("a cancel request whose length is not protocol 3.0's"));
    };
    Ok((i32::from_be_bytes([p0, p1, p2, p3]), i32::from_be_bytes([s0, s1, s2, s3])))
}

fn startup_parameters(bytes: &[u8]) -> io::Result<Vec<(String, String)>> {
    let text = std::str::from_utf8(bytes).map_err(|_| malformed("a startup parameter that is not UTF-8"))?;
    let pairs = text.strip_suffix('\0').filter(|pairs| pairs.is_empty() || pairs.ends_with('\0'));
    let Some(pairs) = pairs else { return Err(malformed("a startup packet without an end")) };
    let mut words = pairs.split_terminator('\0');
    let mut parameters = Vec::new();
    while let Some(name) = words.next() {
        let Some(value) = words.next().filter(|_| !name.is_empty()) else {
            return Err(malformed("a startup parameter without a name or a value"));
        };
        parameters.push((name.to_owned(), value.to_owned()));
    }
    Ok(parameters)
}

/// Reads the client's answer to a password request.
pub async fn read_password(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    if stream.read_u8().await? != b'p' {
        return Err(malformed("an answer to the password request that is not a password"));
    }
    let length = stream.read_i32().await?;
    let mut body = read_body(stream, length, 5, PASSWORD_LIMIT).await?;
    match body.pop() {
        Some(0) => Ok(body),
        _ => Err(malformed("a password without an end")),
    }
}

async fn read_body(
    stream: &mut (impl AsyncRead + Unpin),
    length: i32,
    least: usize,
    most: usize,
) -> io::Result<Vec<u8>> {
    let length = usize::try_from(length).ok().filter(|length| (least..=most).contains(length));
    let Some(length) = length else { return Err(malformed("a message of impossible length")) };
    let mut body = vec![0; length - 4];
    stream.read_exact(&mut body).await?;
    Ok(body)
}

/// One whole message of a server: tag, length, body.
pub struct Frame(pub Bytes);

impl Frame {
    pub fn message(&self) -> io::Result<Message> {
        Message::parse(&mut BytesMut::from(&self.0[..]))?.ok_or_else(|| malformed("a message cut short"))
    }
}

/// Reads exactly one message, so that nothing of what follows a login is taken from the stream.
pub async fn read_frame(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Frame> {
    let tag = stream.read_u8().await?;
    let length = stream.read_i32().await?;
    let body = read_body(stream, length, 4, LOGIN_MESSAGE_LIMIT).await?;
    let mut frame = BytesMut::with_capacity(body.len() + 5);
    frame.put_u8(tag);
    frame.put_i32(length);
    frame.put_slice(&body);
    Ok(Frame(frame.freeze()))
}

pub fn authentication_ok() -> Bytes {
    message(b'R', &0_i32.to_be_bytes())
}

pub fn cleartext_password_request() -> Bytes {
    message(b'R', &3_i32.to_be_bytes())
}

pub fn backend_key_data((process_id, secret): CancelKey) -> Bytes {
    message(b'K', &[process_id.to_be_bytes(), secret.to_be_bytes()].concat())
}

pub fn ready_for_query() -> Bytes {
    message(b'Z', b"I")
}

/// Says that only protocol 3.0 without any `_pq_.` extension is spoken; a client that asked for more goes on with that.
pub fn negotiate_protocol_version(unknown: &[&str]) -> Bytes {
    let mut body = BytesMut::new();
    body.put_i32(PROTOCOL_MAJOR << 16);
    body.put_i32(i32::try_from(unknown.len()).unwrap_or(i32::MAX));
    for name in unknown {
        put_text(&mut body, name);
    }
    message(b'v', &body)
}

/// A fatal error as a server sends it; clients print the message and, psql at least, the hint.
pub fn error_response(sqlstate: &str, text: &str, hint: &str) -> Bytes {
    let mut body = BytesMut::new();
    for (field, value) in [(b'S', "FATAL"), (b'V', "FATAL"), (b'C', sqlstate), (b'M', text), (b'H', hint)] {
        if !value.is_empty() {
            body.put_u8(field);
            put_text(&mut body, value);
        }
    }
    body.put_u8(0);
    message(b'E', &body)
}

fn put_text(body: &mut BytesMut, text: &str) {
    body.put_slice(text.replace('\0', "").as_bytes());
    body.put_u8(0);
}

#[expect(clippy::expect_used, reason = "our own messages are short")]
fn message(tag: u8, body: &[u8]) -> Bytes {
    let mut message = BytesMut::with_capacity(body.len() + 5);
    message.put_u8(tag);
    message.put_i32(i32::try_from(body.len() + 4).expect("our own messages are short"));
    message.put_slice(body);
    message.freeze()
}

pub fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opening(bytes: &[u8]) -> io::Result<Opening> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(read_opening(&mut &bytes[..]))
    }

    fn packet(code: i32, body: &[u8]) -> Vec<u8> {
        let length = i32::try_from(body.len() + 8).unwrap();
        [&length.to_be_bytes(), &code.to_be_bytes(), body].concat()
    }

    #[test]
    fn a_startup_packet_is_read_in_order_with_repeats() {
        let body = b"user\0a\0user\0b\0database\0c\0\0";
        let Ok(Opening::Startup(startup)) = opening(&packet(196_610, body)) else { panic!("no startup") };
        assert_eq!(startup.minor, 2);
        let names: Vec<_> = startup.parameters.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["user", "user", "database"]);
    }

    #[test]
    fn an_empty_value_is_a_value() {
        let Ok(Opening::Startup(startup)) = opening(&packet(196_608, b"options\0\0user\0a\0\0")) else {
            panic!("no startup")
        };
        assert_eq!(startup.parameters, [("options".into(), String::new()), ("user".into(), "a".into())]);
    }

    #[test]
    fn what_is_not_the_protocol_is_refused_without_waiting_for_more() {
        assert!(opening(b"GET / HTTP/1.1\r\n\r\n").is_err());
        assert!(opening(&packet(131_072, b"user\0a\0\0")).is_err(), "protocol 2");
        assert!(opening(&packet(196_608, b"user\0a\0")).is_err(), "no end");
        assert!(opening(&packet(196_608, b"user\0\xff\0\0")).is_err(), "not UTF-8");
        assert!(opening(&packet(196_608, b"user\0")).is_err(), "no value");
        assert!(opening(&i32::MAX.to_be_bytes()).is_err());
        assert!(opening(&(-1_i32).to_be_bytes()).is_err());
        assert!(opening(&packet(CANCEL_REQUEST, b"12345678more")).is_err());
    }

    #[test]
    fn a_nul_in_our_text_cannot_end_a_field() {
        let error = error_response("28000", "a\0Mb", "");
        assert_eq!(error.iter().filter(|byte| **byte == b'\0').count(), 3 + 4 + 1, "length, four fields, end");
    }
}
