//! One connection of a child, from its first byte to its last.
//!
//! Order: who owns the other end, the token, the user and database, the startup parameters, then the server. A
//! stranger learns nothing but that a password is wanted, and the server hears nothing before all of it is right.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::identity::Answer;
use crate::login::{LoginFailure, Session};
use crate::peer;
use crate::relay::{first_of, relay};
use crate::shared::{Grant, OpenSession, Shared, Violation};
use crate::silence::{How, Lost, Watch};
use crate::startup::{self, Wishes};
use crate::turn::Turn;
use crate::wire::{self, CancelKey, Opening, Startup};

/// A client of this machine says who it is at once, or it is none.
const GREETING_LIMIT: Duration = Duration::from_secs(10);
/// For what is said to a side of a connection that ends anyway.
const GOODBYE_LIMIT: Duration = Duration::from_millis(200);

// SQLSTATEs, PostgreSQL documentation, appendix A.
const INVALID_AUTHORIZATION: &str = "28000";
const INVALID_PASSWORD: &str = "28P01";
const CONNECTION_FAILURE: &str = "08006";

/// Why a child is not let in: the message that it gets.
struct Refusal(Bytes);

impl Refusal {
    fn new(sqlstate: &str, text: &str, hint: &str) -> Self {
        Refusal(wire::error_response(sqlstate, text, hint))
    }

    fn forbidden(text: &str) -> Self {
        Refusal::new(INVALID_AUTHORIZATION, text, "Only the database that was checked can be reached in this run.")
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Refusal::new("08P01", &error.to_string(), "")
    }
}

enum Greeting {
    Cancel(CancelKey),
    Session(Grant, Wishes),
}

/// Serves one accepted connection until it ends. Nothing can fail here that the client is not told.
pub async fn serve(shared: Arc<Shared>, mut client: TcpStream) {
    let outcome = match timeout(GREETING_LIMIT, greet(&shared, &mut client)).await {
        Err(_) => return,
        Ok(Ok(Greeting::Cancel(key))) => return cancel(&shared, key).await,
        Ok(Ok(Greeting::Session(grant, wishes))) => {
            let mut outcome = Ok(());
            let session = async {
                grant.turn().await;
                outcome = converse(&shared, &mut client, &grant, &wishes).await;
            };
            first_of(session, grant.revoked()).await;
            outcome
        }
        Ok(Err(refusal)) => Err(refusal),
    };
    if let Err(Refusal(message)) = outcome {
        let _ = client.write_all(&message).await;
        let _ = client.shutdown().await;
    }
}

/// A key that is not ours, or no longer, gets the same silence as from a server.
async fn cancel(shared: &Shared, key: CancelKey) {
    // Who wants to stop asks again and again; what nobody hears is left.
    if let Some(real) = shared.cancel_key(key).filter(|_| !shared.known_silent()) {
        let _ = shared.upstream.cancel(real).await;
    }
}

async fn greet(shared: &Shared, client: &mut TcpStream) -> Result<Greeting, Refusal> {
    client.set_nodelay(true)?;
    let startup = loop {
        match wire::read_opening(client).await? {
            Opening::Encryption => client.write_all(b"N").await?,
            Opening::Cancel(key) => return refuse_other_users(client).map(|()| Greeting::Cancel(key)),
            Opening::Startup(startup) => break startup,
        }
    };
    refuse_other_users(client)?;
    negotiate(client, &startup).await?;
    let grant = authenticate(shared, client).await?;
    let wishes = admit(shared, &grant, &startup)?;
    Ok(Greeting::Session(grant, wishes))
}

/// A client that asked for more than protocol 3.0 goes on with that, or leaves.
async fn negotiate(client: &mut TcpStream, startup: &Startup) -> io::Result<()> {
    let names = startup.parameters.iter().map(|(name, _)| name.as_str());
    let unknown: Vec<&str> = names.filter(|name| startup::is_extension(name)).collect();
    if startup.minor > 0 || !unknown.is_empty() {
        client.write_all(&wire::negotiate_protocol_version(&unknown)).await?;
    }
    Ok(())
}

fn refuse_other_users(client: &TcpStream) -> Result<(), Refusal> {
    let owner = peer::owner(client.peer_addr()?, client.local_addr()?);
    match owner {
        Some(user) if user != rustix::process::geteuid().as_raw() => {
            Err(Refusal::forbidden("this loopback port belongs to another user's run"))
        }
        _ => Ok(()),
    }
}

async fn authenticate(shared: &Shared, client: &mut TcpStream) -> Result<Grant, Refusal> {
    client.write_all(&wire::cleartext_password_request()).await?;
    let password = wire::read_password(client).await?;
    shared.grant(&password).ok_or_else(|| {
        Refusal::new(
            INVALID_PASSWORD,
            "password authentication failed: not a token of this run",
            "Use the URL that the run handed to this process; tokens end with the step that they were made for.",
        )
    })
}

fn admit(shared: &Shared, grant: &Grant, startup: &Startup) -> Result<Wishes, Refusal> {
    let wishes = startup::wishes(startup).map_err(|sentence| Refusal::forbidden(&sentence))?;
    if let Some(violation) = shared.violation() {
        return Err(Refusal::forbidden(&violation.to_string()));
    }
    if wishes.user != shared.user {
        return Err(Refusal::forbidden(&format!(
            "this run is pinned to user \"{}\", not \"{}\"",
            shared.user, wishes.user
        )));
    }
    if !grant.databases.contains(&wishes.database) {
        return Err(Refusal::forbidden(&format!(
            "this run is pinned to database \"{}\", not \"{}\"",
            shared.identity.database, wishes.database
        )));
    }
    Ok(wishes)
}

async fn converse(shared: &Arc<Shared>, client: &mut TcpStream, grant: &Grant, wishes: &Wishes) -> Result<(), Refusal> {
    let (mut session, answer) = log_in_in_time(shared, grant, wishes).await?;
    verify(shared, grant, wishes, &answer)?;
    let open = OpenSession::new(shared, grant, answer.backend_pid, session.cancel_key);
    let mut welcome = BytesMut::from(&wire::authentication_ok()[..]);
    welcome.extend_from_slice(&session.greeting.bytes);
    welcome.extend_from_slice(&wire::backend_key_data(open.cancel_key()));
    welcome.extend_from_slice(&wire::ready_for_query());
    client.write_all(&welcome).await?;
    let turn = Turn::new(false);
    let backend = Some((answer.backend_pid, session.cancel_key));
    let watch = Watch { shared, grant, turn: &turn, backend };
    let relayed = relay(client, &mut session.stream, &turn);
    let mut lost = None;
    first_of(relayed, async { lost = Some(watch.lost().await) }).await;
    match lost {
        Some(how) => tell_lost(client, &watch.give_up(how), &turn).await,
        None => {
            // Either may be gone already.
            let _ = timeout(GOODBYE_LIMIT, session.stream.shutdown()).await;
            end(client).await;
        }
    }
    Ok(())
}

/// Gives a client time to read what it was told last: one that sees the end with it looks no further, and bytes of it that are unread would take
/// our words back.
async fn end(client: &mut TcpStream) {
    let mut unread = vec![0; 64 << 10];
    let _ = timeout(GOODBYE_LIMIT, async { while matches!(client.read(&mut unread).await, Ok(1..)) {} }).await;
    let _ = client.shutdown().await;
}

/// Where a message of ours would be a part of one that was cut, the end alone has to say it.
async fn tell_lost(client: &mut TcpStream, lost: &Lost, turn: &Turn) {
    if turn.between_messages() {
        let _ = client.write_all(&wire::error_response(CONNECTION_FAILURE, &lost.to_string(), "")).await;
        end(client).await;
    }
}

async fn log_in_in_time(shared: &Shared, grant: &Grant, wishes: &Wishes) -> Result<(Session, Answer), Refusal> {
    let turn = Turn::new(true);
    let watch = Watch { shared, grant, turn: &turn, backend: None };
    let mut done = None;
    let mut lost = None;
    first_of(async { done = Some(log_in(shared, grant, wishes).await) }, async { lost = Some(watch.lost().await) })
        .await;
    match (done, lost) {
        (Some(done), _) => done.map_err(|failure| told(shared, failure)),
        (None, how) => {
            let lost = watch.give_up(how.unwrap_or(How::Stopped));
            Err(Refusal::new(CONNECTION_FAILURE, &lost.to_string(), ""))
        }
    }
}

async fn log_in(shared: &Shared, grant: &Grant, wishes: &Wishes) -> Result<(Session, Answer), LoginFailure> {
    let mut settings: Vec<(&str, &str)> = wishes.settings.iter().map(|(name, value)| (&name[..], &value[..])).collect();
    let name = format!("staging drill: {}", grant.purpose);
    if !settings.iter().any(|(name, _)| name.eq_ignore_ascii_case("application_name")) {
        settings.push(("application_name", &name));
    }
    let mut session = shared.upstream.login(&wishes.database, &settings).await?;
    let answer = shared.upstream.identify(&mut session, &wishes.database, &shared.identity, &grant.limits).await?;
    Ok((session, answer))
}

/// The server's own words where it had any: a child must see what it would see without the pin.
fn told(shared: &Shared, failure: LoginFailure) -> Refusal {
    match failure.response {
        Some(response) if !shared.upstream.shows_password(&response) => Refusal(response),
        _ => Refusal::new(CONNECTION_FAILURE, &format!("the pinned server: {}", failure.error), ""),
    }
}

fn verify(shared: &Shared, grant: &Grant, wishes: &Wishes, answer: &Answer) -> Result<(), Refusal> {
    let found = &answer.identity;
    if shared.vouches_for(found, &wishes.database) {
        return Ok(());
    }
    let violation = Violation {
        purpose: grant.purpose.clone(),
        expected: crate::Identity { database: wishes.database.clone(), ..shared.identity.clone() },
        found: found.clone(),
    };
    let refusal = Refusal::forbidden(&violation.to_string());
    shared.report(violation);
    Err(refusal)
}
