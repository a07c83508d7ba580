//! The copy takes the target's name and the target's database that of a copy, in one transaction: there is no moment without a target, whatever is
//! killed. The database that had the name is the newest snapshot then, so that a restore is undone by the next one.

use postgres::Transaction;
use postgres_protocol::escape::{escape_identifier, escape_literal};

use crate::digest::hex;
use crate::error::{Failure, OrFail, Result};
use crate::postgres::claim;
use crate::postgres::connection::{Connection, CouldNot};
use crate::postgres::identity::Identity;
use crate::postgres::run_lock::RunLock;
use crate::rows::snapshot::copy::dressing::Dressing;
use crate::rows::snapshot::copy::make::name_for;
use crate::rows::snapshot::copy::mark::Mark;
use crate::rows::snapshot::copy::remove::prune;
use crate::rows::snapshot::copy::seal::describe;
use crate::rows::snapshot::succession::{self, Succession};
use crate::rows::snapshot::{Copy, Pending, Snapshot, Store};
use crate::schema::replay::{create_throw_away, drop_throw_away};
use crate::session::Session;

/// Gives `copy`, which was proven and compared, the target's name. Err within: why the server did not, in a line; nothing was changed then.
///
/// # Errors
/// `failed` where the server does not answer, or the lock of the run could not be taken again; `interrupted`.
pub fn swap(
    session: &Session<'_>,
    lock: &RunLock,
    snapshot: &Snapshot,
    copy: &Copy,
) -> Result<std::result::Result<Snapshot, String>> {
    let store = Store::of(session.settings);
    let mut random = [0; 8];
    getrandom::fill(&mut random).bug("no random numbers")?;
    let id = hex(&random);
    let outgoing = Copy {
        name: name_for(&session.identity.database, &id),
        oid: session.identity.database_oid,
        id: id.clone(),
        bytes: session.identity.size_bytes.unsigned_abs(),
    };
    let mark = Mark::of(session, &mut session.connection(), &id)?;
    if let Err(failure) = claim_copy(session, copy) {
        return Ok(Err(in_a_line(&failure)));
    }
    let (from, to) = (session.identity.database_oid, copy.oid);
    let system_identifier = session.identity.system_identifier.clone();
    succession::note(session.settings, Succession { system_identifier, from, to })?;
    let pending = write_down(session, &store, snapshot, outgoing)?;
    let done = from_elsewhere(session, lock, copy, &pending, &mark);
    let is_done = is_target(session, copy.oid);
    match (is_done, done) {
        (Ok(true), done) => {
            session.was_renamed(copy.oid);
            let mut kept = store.settle(&as_it_went(session, pending)?)?;
            prune(session, &mut kept)?;
            done.map(|_| Ok(kept))
        }
        (Ok(false), Ok(Err(why))) => {
            store.forget(&pending.name)?;
            Ok(Err(why))
        }
        (Ok(false), Ok(Ok(()))) => Err(Failure::bug("the databases were renamed and are not")),
        (Ok(false), Err(failure)) | (Err(failure), _) => Err(failure),
    }
}

/// A database of every server by custom.
const MAINTENANCE: &str = "postgres";

fn in_a_line(failure: &Failure) -> String {
    match failure.causes().next() {
        Some(cause) => format!("{}: {cause}", failure.message),
        None => failure.message.clone(),
    }
}

/// The claim of the target, for the database that is about to be it: that it is a copy of the claimed one is what its mark and the claim within
/// have proven.
fn claim_copy(session: &Session<'_>, copy: &Copy) -> Result<()> {
    let present = claim::read(&mut session.connection())?;
    let present = present.ok_or_else(|| Failure::failed("the database's claim is gone"))?;
    let identity = Identity { database_oid: copy.oid, ..session.identity.clone() };
    let project = session.target.candidate().project_ref();
    let mut there = session.connect_to(&copy.name)?;
    claim::write(&mut there, &session.target, &identity, project, &present.claimed_by, &present.note).map(drop)
}

/// What the database that has the name will be as a snapshot.
fn write_down(session: &Session<'_>, store: &Store, snapshot: &Snapshot, outgoing: Copy) -> Result<Pending> {
    let schemas: Vec<&str> = snapshot.manifest.schemas.iter().map(String::as_str).collect();
    let manifest = describe(session, &session.identity.database, &schemas, "restore", outgoing)?;
    store.begin(manifest.created_at, 0)?.pend(manifest, &snapshot.name)
}

/// From the moment in which it was described until it was renamed, others may have come and gone.
fn as_it_went(session: &Session<'_>, pending: Pending) -> Result<Pending> {
    let Some(copy) = pending.manifest.database.clone() else { return Ok(pending) };
    let schemas: Vec<&str> = pending.manifest.schemas.iter().map(String::as_str).collect();
    let mut manifest = describe(session, &copy.name.clone(), &schemas, "restore", copy)?;
    manifest.number = pending.manifest.number;
    manifest.origin = pending.manifest.origin.clone();
    Ok(Pending { manifest, ..pending })
}

/// Neither of the two may be the session's own, and nobody may be in either: so it is done from `postgres`, in which nothing is changed, and
/// where this role may not enter that, from an empty database that is made for it. (Dropping that one makes the server write out all that it
/// has in memory.)
fn from_elsewhere(
    session: &Session<'_>,
    lock: &RunLock,
    copy: &Copy,
    pending: &Pending,
    mark: &Mark,
) -> Result<std::result::Result<(), String>> {
    let (mut admin, made) = match session.connect_to(MAINTENANCE) {
        Ok(admin) => (admin, None),
        Err(_) => {
            let made = create_throw_away(&mut session.connection())?;
            (session.connect_to(&made)?, Some(made))
        }
    };
    let renamed = (|| {
        let away = lock.with(|staying| session.leave(staying))?;
        session.expect_renamed(copy.oid);
        let exchange = || admin.write(|transaction| exchange(transaction, session, copy, pending, mark));
        let done = lock.without(|| session.connect(), exchange);
        drop(away);
        done
    })();
    drop(admin);
    let dropped = made.map_or(Ok(()), |made| drop_throw_away(&mut session.connection(), &made));
    let answer = match renamed? {
        Ok(()) => Ok(()),
        Err(_) if session.interrupt.status().is_some() => {
            return Err(session.interrupt.status().map_or_else(|| Failure::bug("no signal"), Failure::interrupted));
        }
        Err(failure) => Err(in_a_line(&failure)),
    };
    dropped.map(|()| answer)
}

fn exchange(
    transaction: &mut Transaction<'_>,
    session: &Session<'_>,
    copy: &Copy,
    pending: &Pending,
    mark: &Mark,
) -> Result<()> {
    let target = session.identity.database.as_str();
    let Some(outgoing) = &pending.manifest.database else { return Err(Failure::bug("no name for the old database")) };
    let names = [target, &outgoing.name, &copy.name].map(escape_identifier);
    let [name, old, new] = names;
    let dressing = Dressing::read(transaction, target)?;
    let sql = format!(
        "alter database {name} rename to {old}; alter database {new} rename to {name}; comment on database {old} is {}",
        escape_literal(&mark.comment())
    );
    transaction.batch_execute(&sql).could_not("give the copy the database's name")?;
    dressing.put_on(transaction, target)?;
    for revoke in dressing.closed(&outgoing.name) {
        transaction.batch_execute(&revoke).could_not("close the database that had the name")?;
    }
    let is = |transaction: &mut Transaction<'_>, name: &str, oid: u32| {
        Ok::<bool, Failure>(oid_of(transaction, name)? == Some(oid))
    };
    match is(transaction, target, copy.oid)? && is(transaction, &outgoing.name, outgoing.oid)? {
        true => Ok(()),
        false => Err(Failure::failed("the databases are not the ones that were proven")),
    }
}

fn oid_of(transaction: &mut Transaction<'_>, name: &str) -> Result<Option<u32>> {
    const OID: &str = "select d.oid from pg_catalog.pg_database d where d.datname = $1";
    let row = transaction.query_opt(OID, &[&name]).could_not("ask for a database")?;
    Ok(row.map(|row| row.get(0)))
}

/// Whether the database of the target's name is the one with that OID.
fn is_target(session: &Session<'_>, oid: u32) -> Result<bool> {
    const OID: &str = "select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database()";
    let mut connection: Connection = session.connect()?;
    let row = connection.client().query_one(OID, &[]).could_not("ask which database this is")?;
    Ok(row.get::<_, u32>(0) == oid)
}
