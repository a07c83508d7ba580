//! A session with the server, and the one way in which this crate reads: a single snapshot, read only, under settings
//! of our own.

use std::time::{Duration, Instant};

use postgres::error::{DbError, SqlState};
use postgres::{CancelToken, Client, IsolationLevel, Transaction};

use crate::error::{Failure, Result, Status};
use crate::hint::Hint;
use crate::postgres::causes::{self, Whose};
use crate::postgres::{own_settings, role_setting};
use redact::Secret;

/// The marker in definitions and grants for the role that we are connected as: the throw-away database of a replay and
/// the target may be migrated by roles of different names, which says nothing about the schema.
pub const MIGRATING_ROLE: &str = "<migrating role>";

/// How often a session is prepared before a role's limit of a millisecond is believed to be longer than we are quick.
const TRIES: usize = 40;

/// How many sessions are begun before it is believed that the server ends them whatever we do: a role's limit may do so before it is lifted.
const SESSIONS: usize = 10;

/// A session is asked whether it is still there when it was not for this long.
const TRUSTED: Duration = Duration::from_millis(200);

/// An open session.
pub struct Connection {
    client: Client,
    statement_timeout: Duration,
    /// What a session of another database begins with, for one in its place.
    elsewhere: Vec<(String, String)>,
    /// When it was last known to be there.
    seen: Instant,
    /// By us.
    ended: bool,
}

impl Connection {
    /// Connects to the pin at `url` as application `name`; `timeout` bounds the connecting and, later, each statement.
    ///
    /// # Errors
    /// `blocked` when the server cannot be reached or does not let us in. The text never holds the URL.
    pub fn open(url: &Secret, name: &str, timeout: Duration) -> Result<Connection> {
        // The parser's own error may quote what it could not read, so it is not passed on.
        let mut config: postgres::Config =
            url.expose().parse().map_err(|_| Failure::bug("the pin's address is not a Postgres URL"))?;
        config.application_name(name).connect_timeout(timeout);
        let mut begun = 1;
        loop {
            let mut connection = Connection::begin(&config, timeout)?;
            match connection.prepare_session() {
                Ok(()) => return Ok(connection),
                Err(_) if connection.client.is_closed() && begun < SESSIONS => begun += 1,
                Err(error) => return Err(not_prepared(&mut connection.client, error)),
            }
        }
    }

    fn begin(config: &postgres::Config, timeout: Duration) -> Result<Connection> {
        #[allow(clippy::disallowed_methods, reason = "`database` is the owner of this dependency")]
        let client = driver::connect(config).map_err(refused_by_server)?;
        Ok(Connection { client, statement_timeout: timeout, elsewhere: Vec::new(), seen: Instant::now(), ended: false })
    }

    /// Runs `query` in one REPEATABLE READ READ ONLY transaction, so that all it reads is of one moment.
    pub fn read<T>(&mut self, query: impl FnOnce(&mut Transaction<'_>) -> Result<T>) -> Result<T> {
        let settings = self.settings_in_transaction();
        let mut transaction = self.begin_to_read().could_not("begin a read-only transaction")?;
        // Again, because a migration run in this session may have changed them.
        transaction.batch_execute(&settings).could_not("set up a read-only transaction")?;
        let answer = query(&mut transaction)?;
        transaction.commit().could_not("end a read-only transaction")?;
        Ok(answer)
    }

    /// As `read`, of the moment that another session has exported; None where the server does not take it over.
    pub fn read_at<T>(
        &mut self,
        moment: &str,
        query: impl FnOnce(&mut Transaction<'_>) -> Result<T>,
    ) -> Result<Option<T>> {
        let settings = self.settings_in_transaction();
        let Ok(mut transaction) = self.begin_to_read() else { return Ok(None) };
        // Before any other statement, or the transaction has a moment of its own.
        if transaction
            .batch_execute(&format!("set transaction snapshot {}", postgres_protocol::escape::escape_literal(moment)))
            .is_err()
        {
            return Ok(None);
        }
        transaction.batch_execute(&settings).could_not("set up a read-only transaction")?;
        query(&mut transaction).map(Some)
    }

    fn begin_to_read(&mut self) -> Result<Transaction<'_>, postgres::Error> {
        self.client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true).start()
    }

    /// Runs `change` in one transaction; nothing of it stays if it fails.
    pub fn write<T>(&mut self, change: impl FnOnce(&mut Transaction<'_>) -> Result<T>) -> Result<T> {
        let mut transaction = self.client.transaction().could_not("begin a transaction")?;
        let answer = change(&mut transaction)?;
        transaction.commit().could_not("commit")?;
        Ok(answer)
    }

    /// Statements that may not or need not run in a transaction.
    pub fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    /// From now on Prisma's session, which this one is to a migration, is one of a database that has set all this. What this role may not set is
    /// left as it is.
    pub fn stand_in(&mut self, settings: &[(String, String)]) {
        self.elsewhere = settings.to_vec();
    }

    /// As SQL, what `stand_in` was told.
    pub fn settings_elsewhere(&self) -> String {
        own_settings::as_elsewhere(&self.elsewhere)
    }

    /// The search path that the other database's sessions begin with, where it has set one.
    pub fn path_elsewhere(&self) -> Option<&str> {
        self.elsewhere.iter().find(|(name, _)| name == "search_path").map(|(_, path)| path.as_str())
    }

    /// Makes a clean session what Prisma's is to a migration: the server's defaults, and `schema` alone on the search path.
    pub fn impersonate_prisma(&mut self, schema: &str) -> Result<(), postgres::Error> {
        let path = postgres_protocol::escape::escape_identifier(schema);
        let timeout = self.statement_timeout.as_millis();
        let stays = own_settings::STAYS;
        let begins = self.settings_elsewhere();
        self.client
            .batch_execute(&format!("set statement_timeout = {timeout}; {stays}; {begins}; set search_path = {path}"))
    }

    /// Our own settings for the rest of a transaction, as SQL: what a script in it may have changed.
    pub fn settings_in_transaction(&self) -> String {
        own_settings::sql(self.statement_timeout, true)
    }

    /// Whether the server has ended it; an idle session learns of that only when it asks.
    pub fn has_ended(&mut self) -> bool {
        if self.ended || self.client.is_closed() {
            return true;
        }
        if self.seen.elapsed() < TRUSTED {
            return false;
        }
        let is_there = self.client.is_valid(self.statement_timeout).is_ok();
        self.seen = Instant::now();
        !is_there
    }

    /// Ends it on the server, where the value has to stay: who needs the database for itself must not be kept out by us.
    pub fn end(&mut self) {
        // The server's answer to it is the end.
        let _ = self.client.batch_execute("select pg_catalog.pg_terminate_backend(pg_catalog.pg_backend_pid())");
        self.ended = true;
    }

    pub fn statement_timeout(&self) -> Duration {
        self.statement_timeout
    }

    /// The time that a statement gets from now on.
    ///
    /// # Errors
    /// `failed` with the server's words.
    pub fn limit_statements(&mut self, limit: Duration) -> Result<()> {
        self.statement_timeout = limit;
        let sql = format!("set statement_timeout = {}", limit.as_millis());
        self.client.batch_execute(&sql).could_not("set a time limit")
    }

    /// What stops the statement that this session is at, from another thread; its transaction fails then.
    pub fn cancel_token(&self) -> CancelToken {
        self.client.cancel_token()
    }

    fn prepare_session(&mut self) -> Result<(), postgres::Error> {
        let sql = own_settings::sql(self.statement_timeout, false);
        let mut prepared = self.client.batch_execute(&sql);
        for _ in 1..TRIES {
            if prepared.as_ref().is_err_and(|error| error.code() == Some(&SqlState::QUERY_CANCELED)) {
                prepared = self.client.batch_execute(&sql);
            }
        }
        prepared
    }
}

/// A failure that says what was wanted ("read the ledger") and what the server said to it.
pub trait CouldNot<T> {
    fn could_not(self, intent: &str) -> Result<T>;
}

impl<T> CouldNot<T> for Result<T, postgres::Error> {
    fn could_not(self, intent: &str) -> Result<T> {
        self.map_err(|error| failure(intent, error))
    }
}

pub fn failure(intent: &str, error: postgres::Error) -> Failure {
    in_server_words(Failure::failed(format!("could not {intent}")), error, |_| String::new())
}

/// DETAIL is left out on purpose: it quotes rows, and a row of `Session` holds an access token. `place` may say where in a script it was.
pub fn in_server_words(failure: Failure, error: postgres::Error, place: impl Fn(&DbError) -> String) -> Failure {
    let Some(answer) = error.as_db_error() else { return failure.caused_by(error) };
    let fix = causes::fix(answer.code().code(), answer.message(), Whose::Ours);
    let failure = failure.because(server_words(answer) + &place(answer));
    fix.into_iter().fold(failure, Failure::hint)
}

/// With what depends on what it refuses to drop, which are names; other details may have values of rows in them.
pub fn server_words(answer: &DbError) -> String {
    let said = format!("{}: {} (SQLSTATE {})", answer.severity(), answer.message(), answer.code().code());
    match answer.detail().filter(|_| *answer.code() == SqlState::DEPENDENT_OBJECTS_STILL_EXIST) {
        Some(detail) => format!("{said}: {}", detail.lines().collect::<Vec<_>>().join(", ")),
        None => said,
    }
}

/// A superuser may have set for a role or a database what the role may not set back.
fn not_prepared(client: &mut Client, error: postgres::Error) -> Failure {
    let answer = error.as_db_error().filter(|answer| *answer.code() == SqlState::INSUFFICIENT_PRIVILEGE);
    let setting = answer.and_then(|answer| answer.message().split('"').nth(1)).map(str::to_owned);
    let failure = failure("set up a session", error).with_status(Status::Blocked);
    match setting.and_then(|setting| role_setting::to_default(client, &setting)) {
        Some(remedy) => failure.note("a superuser may run the SQL below").hint(Hint::sql(remedy)),
        None => failure,
    }
}

fn refused_by_server(error: postgres::Error) -> Failure {
    let failure = Failure::blocked("could not connect to the database")
        .hint("check that the server runs and that the user, the password and the database are right");
    in_server_words(failure, error, |_| String::new())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Status;
    use crate::postgres::server::{Database, open_as, url};

    fn text(failure: &Failure) -> String {
        format!("{failure:?}")
    }

    #[test]
    fn what_reads_cannot_write() {
        let mut database = Database::new();
        let write = |transaction: &mut Transaction<'_>| {
            transaction.batch_execute("create table public.t ()").could_not("write")
        };
        let refused = database.connection.read(write).unwrap_err();
        assert!(text(&refused).contains("25006"), "{refused:?}");
        database.connection.write(write).unwrap();
    }

    #[test]
    fn two_sessions_see_one_moment_or_the_second_nothing() {
        let mut database = Database::new();
        database.run("create table t (n int); insert into t values (1)");
        let (mut beside, mut writer) = (open_as("postgres", &database.name), open_as("postgres", &database.name));
        let count = |transaction: &mut Transaction<'_>| {
            let row = transaction.query_one("select pg_catalog.count(*) from public.t", &[]).could_not("count")?;
            Ok(row.get::<_, i64>(0))
        };
        let seen = database.connection.read(|transaction| {
            let moment = transaction.query_one("select pg_catalog.pg_export_snapshot()", &[]).could_not("export")?;
            writer.client().batch_execute("insert into public.t values (2)").could_not("write")?;
            beside.read_at(moment.get(0), count)
        });
        assert_eq!((seen.unwrap(), writer.read(count).unwrap()), (Some(1), 2));
        // A moment that is over, and what is none.
        assert_eq!(beside.read_at("00000003-00000001-1", count).unwrap(), None);
        assert_eq!(beside.read_at("it's", count).unwrap(), None);
        assert_eq!(beside.read(count).unwrap(), 2, "and the session is as before");
    }

    #[test]
    fn a_change_that_fails_leaves_nothing() {
        let mut database = Database::new();
        let failed = database.connection.write(|transaction| {
            transaction.batch_execute("create table public.t ()").could_not("write")?;
            Err::<(), _>(Failure::failed("changed my mind"))
        });
        assert!(failed.is_err());
        assert!(database.ask::<bool>("select pg_catalog.to_regclass('public.t') is null"));
    }

    #[test]
    fn a_servers_error_is_told_without_the_row_that_caused_it() {
        let mut database = Database::new();
        database.run("create table t (token text not null, n int not null)");
        let error = database.connection.client().execute("insert into public.t values ('shpat_1234', null)", &[]);
        let failure = failure("add a row", error.unwrap_err());
        assert!(text(&failure).contains("null value in column"), "{failure:?}");
        assert!(!text(&failure).contains("shpat_1234"), "{failure:?}");
    }

    #[test]
    fn no_failure_to_connect_shows_the_address_or_the_password() {
        let timeout = Duration::from_secs(5);
        let wrong =
            ["postgresql://ana:hush-hush@127.0.0.1:1/a", "postgresql://ana:hush-hush@127.0.0.1:port/a", "hush-hush"];
        for url in wrong {
            let failure = Connection::open(&Secret::new(url), "xtask tests", timeout).err().unwrap();
            assert!(!text(&failure).contains("hush"), "{failure:?}");
        }
        let missing = Connection::open(&Secret::new(url("postgres", "missing")), "xtask tests", timeout).err().unwrap();
        assert_eq!(missing.status, Status::Blocked);
        assert!(text(&missing).contains("3D000"), "{missing:?}");
    }

    #[test]
    fn a_session_is_ours_whatever_the_database_and_the_role_prefer() {
        let database = Database::new();
        let name = &database.name;
        let mut admin = open_as("postgres", name);
        let prefer = format!(
            "alter database {name} set search_path = evil; alter database {name} set datestyle = 'german';
             alter database {name} set timezone = 'Asia/Tokyo'; alter database {name} set quote_all_identifiers = on"
        );
        admin.client().batch_execute(&prefer).unwrap();
        let mut connection = open_as("postgres", name);
        let mut show = |setting: &str| -> String {
            connection.read(|t| Ok(t.query_one(&format!("show {setting}"), &[]).unwrap().get(0))).unwrap()
        };
        assert_eq!(show("search_path"), "pg_catalog, pg_temp");
        assert_eq!(show("datestyle"), "ISO, YMD");
        assert_eq!(show("timezone"), "UTC");
        assert_eq!(show("quote_all_identifiers"), "off");
        assert_eq!(show("row_security"), "off");
        assert_eq!(show("statement_timeout"), "1min");
        assert_eq!(show("application_name"), "xtask tests");
    }
}
