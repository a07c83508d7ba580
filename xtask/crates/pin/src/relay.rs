//! Bytes from one socket to the other, both ways, in constant memory: nothing is read before what was read is written.

use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::task::Poll;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::login::Socket;

/// In bytes, for each direction. Larger ones make a COPY no faster.
const BUFFER: usize = 64 << 10;

/// Runs until either side closes or fails, then closes the other: Postgres knows no half-closed connection, and a
/// child that died must look to the server as if it had been connected directly.
pub async fn relay(client: &mut (impl Socket + ?Sized), server: &mut (impl Socket + ?Sized)) {
    {
        let (mut from_client, mut to_client) = tokio::io::split(&mut *client);
        let (mut from_server, mut to_server) = tokio::io::split(&mut *server);
        let upward = async {
            // A server that takes no more may still have said why; its own end is about to be read.
            if pump(&mut from_client, &mut to_server).await == End::Sink {
                pending::<()>().await;
            }
        };
        first_of(pump(&mut from_server, &mut to_client), upward).await;
    }
    // Either may be gone already.
    let _ = server.shutdown().await;
    let _ = client.shutdown().await;
}

/// Which side a stream of bytes ended at.
#[derive(PartialEq, Eq)]
enum End {
    Source,
    Sink,
}

async fn pump(from: &mut (impl AsyncRead + Unpin), to: &mut (impl AsyncWrite + Unpin)) -> End {
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = match from.read(&mut buffer).await {
            Ok(0) | Err(_) => return End::Source,
            Ok(count) => count,
        };
        // TLS keeps what it could not send at once until it is told to flush.
        if to.write_all(&buffer[..count]).await.is_err() || to.flush().await.is_err() {
            return End::Sink;
        }
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
