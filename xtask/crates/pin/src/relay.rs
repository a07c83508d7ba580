//! Bytes from one socket to the other, both ways, in constant memory: nothing is read before what was read is written.

use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::task::Poll;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::login::Socket;
use crate::turn::Turn;

/// In bytes, for each direction. Larger ones make a COPY no faster.
const BUFFER: usize = 64 << 10;

/// Runs until either side closes or fails: Postgres knows no half-closed connection, and a child that died must look to the server as if it
/// had been connected directly.
pub async fn relay(client: &mut (impl Socket + ?Sized), server: &mut (impl Socket + ?Sized), turn: &Turn) {
    let (mut from_client, mut to_client) = tokio::io::split(client);
    let (mut from_server, mut to_server) = tokio::io::split(server);
    let upward = async {
        let upward = pump(&mut from_client, &mut to_server, |bytes| turn.sends(bytes), || turn.sent());
        // A server that takes no more may still have said why; its own end is about to be read.
        if upward.await == End::Sink {
            pending::<()>().await;
        }
    };
    first_of(pump(&mut from_server, &mut to_client, |bytes| turn.brings(bytes), || turn.brought()), upward).await;
}

/// Which side a stream of bytes ended at.
#[derive(PartialEq, Eq)]
enum End {
    Source,
    Sink,
}

async fn pump(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    comes: impl Fn(&[u8]),
    went: impl Fn(),
) -> End {
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = match from.read(&mut buffer).await {
            Ok(0) | Err(_) => return End::Source,
            Ok(count) => count,
        };
        comes(&buffer[..count]);
        // TLS keeps what it could not send at once until it is told to flush.
        if to.write_all(&buffer[..count]).await.is_err() || to.flush().await.is_err() {
            return End::Sink;
        }
        went();
    }
}

/// Runs two futures until one is done and drops the other.
pub async fn first_of(one: impl Future, other: impl Future) {
    let (mut one, mut other) = (pin!(one), pin!(other));
    poll_fn(|context| {
        if one.as_mut().poll(context).is_ready() || other.as_mut().poll(context).is_ready() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

/// What `work` came to, unless `stop` came first.
pub async fn first<T>(work: impl Future<Output = T>, stop: impl Future) -> Option<T> {
    let mut done = None;
    first_of(async { done = Some(work.await) }, stop).await;
    done
}
