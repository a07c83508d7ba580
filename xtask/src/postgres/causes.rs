//! Which known cause an error of the server is, by its SQLSTATE and where that is not enough by its words: for our own statements, for logins and
//! for what a child prints.

use postgres_protocol::escape::escape_identifier;

use crate::causes::server::{
    DATABASE_CROWDED, EXTENSION_MISSING, NOT_UTF8, OWN_STATEMENT_TIMEOUT, PENDING_TRIGGERS, RESERVED_SLOTS,
    ROLE_CROWDED, STATEMENT_TIMEOUT, USED_BY_A_VIEW,
};
use crate::causes::{Cause, of_code, server};
use crate::hint::Hint;

/// Whose session the error ended: only ours have limits of our own, and only a child runs the user's scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    Ours,
    Childs,
}

/// None where the server's own words are enough.
pub fn fix(sqlstate: &str, message: &str, whose: Whose) -> Option<Hint> {
    let cause = cause(sqlstate, message, whose)?;
    // `too many connections for role "app"`
    let name = message.split('"').nth(1).map(escape_identifier).unwrap_or_default();
    let named = ["role", "database"].into_iter().find(|kind| message.contains(&format!("for {kind} \"")));
    let setting = setting(sqlstate).map(|setting| ("setting", setting));
    let values: Vec<_> = named.map(|kind| (kind, name.as_str())).into_iter().chain(setting).collect();
    Some(cause.hint(&values))
}

fn cause(sqlstate: &str, message: &str, whose: Whose) -> Option<&'static Cause> {
    let says = |words: &str| message.contains(words);
    match sqlstate {
        "53300" if says("for role \"") => Some(&ROLE_CROWDED),
        "53300" if says("for database \"") => Some(&DATABASE_CROWDED),
        "53300" if says("reserved") => Some(&RESERVED_SLOTS),
        "57014" if says("statement timeout") && whose == Whose::Ours => Some(&OWN_STATEMENT_TIMEOUT),
        "57014" if says("statement timeout") => Some(&STATEMENT_TIMEOUT),
        "22021" if whose == Whose::Ours => Some(&NOT_UTF8),
        _ if whose == Whose::Ours && !is_the_servers(sqlstate) => None,
        "0A000" if says("used by a view") || says("used by a generated column") || says("used in a policy") => {
            Some(&USED_BY_A_VIEW)
        }
        "0A000" if says("extension \"") => Some(&EXTENSION_MISSING),
        "55006" if says("pending trigger events") => Some(&PENDING_TRIGGERS),
        "58P01" if !says("extension") => None,
        _ => of_code(sqlstate).filter(|cause| server::ALL.iter().any(|one| one.name == cause.name)),
    }
}

/// What befalls any statement, whatever it says: a lack of connections, memory or room, an end from outside, another session in its way.
fn is_the_servers(sqlstate: &str) -> bool {
    let classes = ["53", "57", "40"];
    classes.iter().any(|class| sqlstate.starts_with(class)) || ["25P03", "25P04", "25006"].contains(&sqlstate)
}

/// Whether it is the script that has to become another one, and not the server, the role or the moment. What a server that is broken says
/// (XX000) calls for nothing that is known.
pub fn is_the_scripts(sqlstate: &str, message: &str) -> bool {
    match sqlstate {
        "42501" | "55P03" | "58P01" => false,
        "0A000" => !message.contains("extension \""),
        "55006" => message.contains("pending trigger events"),
        _ => {
            !is_the_servers(sqlstate) && !["08", "58", "F0", "HV", "XX"].iter().any(|class| sqlstate.starts_with(class))
        }
    }
}

fn setting(sqlstate: &str) -> Option<&'static str> {
    match sqlstate {
        "57P05" => Some("idle_session_timeout"),
        "25P03" => Some("idle_in_transaction_session_timeout"),
        "25P04" => Some("transaction_timeout"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use postgres::{Client, NoTls};

    use super::*;
    use crate::postgres::connection::failure;
    use crate::postgres::server::{Database, open, url};

    fn advice(error: postgres::Error) -> String {
        let failure = failure("ask", error);
        let cause = failure.causes().next().unwrap_or_default();
        let hint = failure.hint.map(|hint| hint.line(&crate::hint::Aim::default()));
        format!("{cause}\n  {}", hint.unwrap_or_default())
    }

    #[allow(clippy::disallowed_methods, reason = "the errors of a login, as the server words them")]
    fn refused(role: &str, database: &str) -> String {
        advice(Client::connect(&url(role, database), NoTls).err().unwrap())
    }

    /// In the words of a real server.
    #[test]
    fn each_cause_has_a_fix_of_its_own() {
        let mut database = Database::new();
        let name = database.name.clone();
        database.run(&format!("alter database {name} connection limit 0"));
        let mut said = vec![refused("crowded", "postgres"), refused("clerk", &name)];

        let mut client = open(&name);
        client.client().batch_execute("set statement_timeout = '50ms'").unwrap();
        said.push(advice(client.client().batch_execute("select pg_catalog.pg_sleep(9)").unwrap_err()));
        client.client().batch_execute("set statement_timeout = 0").unwrap();
        let pid: i32 = client.client().query_one("select pg_catalog.pg_backend_pid()", &[]).unwrap().get(0);
        let other = std::thread::spawn(move || {
            let asleep =
                "select exists (select from pg_catalog.pg_stat_activity where pid = $1 and wait_event = 'PgSleep')";
            while !database.connection.client().query_one(asleep, &[&pid]).unwrap().get::<_, bool>(0) {}
            database.ask::<bool>(&format!("select pg_catalog.pg_cancel_backend({pid})"));
        });
        said.push(advice(client.client().batch_execute("select pg_catalog.pg_sleep(9)").unwrap_err()));
        other.join().unwrap();
        let text = said.join("\n").replace(&name, "NAME");
        insta::assert_snapshot!(text, @r#"
        FATAL: too many connections for role "crowded" (SQLSTATE 53300)
          alter role "crowded" connection limit -1; -- see docs/failures/role-connections-used-up
        FATAL: too many connections for database "NAME" (SQLSTATE 53300)
          alter database "NAME" connection limit -1; -- see docs/failures/database-connections-used-up
        ERROR: canceling statement due to statement timeout (SQLSTATE 57014)
          raise `query` under `[timeouts]` in drill.toml, or `snapshot` there for the rows of a table; see docs/failures/statement-timeout-of-the-drill
        ERROR: canceling statement due to user request (SQLSTATE 57014)
          run this again: another session cancelled it (pg_cancel_backend); see docs/failures/statement-cancelled
        "#);
    }

    /// What cannot be made here without breaking the server for other tests: its words are from PostgreSQL's sources.
    #[test]
    fn what_the_server_words_alike_is_told_apart_too() {
        let slots = "remaining connection slots are reserved for roles with the SUPERUSER attribute";
        let table = [
            ("53300", "sorry, too many clients already"),
            ("53300", slots),
            ("53300", "too many connections for role \"app\""),
            ("57P01", "terminating connection due to administrator command"),
            ("57P03", "the database system is starting up"),
            ("53100", "could not extend file \"base/5/1\": No space left on device"),
            ("57014", "canceling statement due to statement timeout"),
            ("42P01", "relation \"x\" does not exist"),
            (
                "22P05",
                "character with byte sequence 0xe2 0x80 0xa6 in encoding \"UTF8\" has no equivalent in encoding \"LATIN1\"",
            ),
        ];
        let lines = table.map(|(sqlstate, message)| {
            let hint = fix(sqlstate, message, Whose::Childs).map(|hint| hint.line(&crate::hint::Aim::default()));
            format!("{sqlstate} {message}: {}", hint.unwrap_or_default())
        });
        insta::assert_snapshot!(lines.join("\n"), @r#"
        53300 sorry, too many clients already: close other clients of the server, or raise its max_connections; see docs/failures/server-connections-used-up
        53300 remaining connection slots are reserved for roles with the SUPERUSER attribute: close other clients of the server: what is left of max_connections is reserved for superusers; see docs/failures/server-connections-reserved
        53300 too many connections for role "app": alter role "app" connection limit -1; -- see docs/failures/role-connections-used-up
        57P01 terminating connection due to administrator command: run this again once the server is up: it was stopped, or somebody ended the session (pg_terminate_backend); see docs/failures/session-ended-by-the-server
        57P03 the database system is starting up: wait until the server has started, then run this again; see docs/failures/server-not-ready
        53100 could not extend file "base/5/1": No space left on device: make room on the server's disk (not on this machine's), then run this again; see docs/failures/server-disk-full
        57014 canceling statement due to statement timeout: alter role <role> set statement_timeout = 0; -- see docs/failures/statement-timeout
        42P01 relation "x" does not exist: make it above that statement, or correct its name (`"User"` and `User` are two); see docs/failures/script-names-what-is-missing
        22P05 character with byte sequence 0xe2 0x80 0xa6 in encoding "UTF8" has no equivalent in encoding "LATIN1": write that text with characters which the database's encoding has, or make the database anew in UTF-8; see docs/failures/text-of-another-encoding
        "#);
    }

    const THERE: &str = "create table parent (id int primary key, n text);
                     create table child (id int, parent_id int, kind text, big bigint);
                     insert into child values (1, 7, null, 5000000000), (1, 8, 'long', 1);
                     create view seen as select n from parent; create schema here;
                     create type level as enum ('low'); create function f() returns int language sql as 'select 1';
                     create table deferred (id int references parent deferrable initially deferred)";
    const SCRIPTS: [&str; 33] = [
        "alter table child alter kind set not null",
        "alter table child add foreign key (parent_id) references parent",
        "create unique index on child (id)",
        "alter table child add check (big < 9)",
        "alter table child alter kind type varchar(2)",
        "alter table child alter big type int",
        "alter table child alter kind type int using kind::int",
        "alter table child alter kind type int",
        r"alter table child alter kind set default E'\xe9'",
        "alter table child alter parent_id set default 'x'",
        "drop table parent",
        "alter table parent alter n type varchar(9)",
        "select 1; create index concurrently on child (id)",
        "begin; select 1/0; commit",
        "create table elsewhere.t ()",
        "creat table t ()",
        "alter table nowhere add x int",
        "alter table child drop nothing",
        "alter table child add x citext",
        "select nothing(1)",
        "create table child ()",
        "alter table child add kind text",
        "create type level as enum ()",
        "create function f() returns int language sql as 'select 1'",
        "create schema here",
        "alter table child add foreign key (kind) references parent (n)",
        "create extension postgis",
        "begin; alter type level add value 'high'; select 'high'::level",
        "begin; insert into parent values (1, ''); insert into deferred values (1); alter table deferred add x int",
        "begin read only; create table t ()",
        "set role reader; create table public.t ()",
        "do $$ begin raise exception 'its own'; end $$",
        "do $$ begin raise exception 'broken' using errcode = 'XX000'; end $$",
    ];

    /// Each SQLSTATE that a migration meets, brought about on a real server: what it says, and which cause that is.
    #[test]
    fn each_error_of_a_script_is_brought_about_and_has_its_cause() {
        let mut database = Database::new();
        database.run(THERE);
        let lines = SCRIPTS.map(|script| {
            let mut session = open(&database.name);
            session.impersonate_prisma("public").unwrap();
            let error = session.client().batch_execute(script).expect_err(script);
            let answer = error.as_db_error().unwrap();
            let (code, message) = (answer.code().code(), answer.message());
            let cause = cause(code, message, Whose::Childs).map_or("-", |cause| cause.name);
            let whose = if is_the_scripts(code, message) { "script" } else { "not the script" };
            format!("{code} {message}: {cause} ({whose})")
        });
        insta::assert_snapshot!(lines.join("\n"), @r#"
        23502 column "kind" of relation "child" contains null values: rows-have-nulls (script)
        23503 insert or update on table "child" violates foreign key constraint "child_parent_id_fkey": rows-refer-to-nothing (script)
        23505 could not create unique index "child_id_idx": rows-are-there-twice (script)
        23514 check constraint "child_big_check" of relation "child" is violated by some row: rows-break-a-check (script)
        22001 value too long for type character varying(2): values-do-not-fit (script)
        22003 integer out of range: values-do-not-fit (script)
        22P02 invalid input syntax for type integer: "long": values-do-not-fit (script)
        42804 column "kind" cannot be cast automatically to type integer: type-not-converted (script)
        22021 invalid byte sequence for encoding "UTF8": 0xe9: text-of-another-encoding (script)
        22P02 invalid input syntax for type integer: "x": values-do-not-fit (script)
        2BP01 cannot drop table parent because other objects depend on it: others-depend-on-it (script)
        0A000 cannot alter type of a column used by a view or rule: column-used-by-a-view (script)
        25001 CREATE INDEX CONCURRENTLY cannot run inside a transaction block: not-in-a-transaction (script)
        22012 division by zero: - (script)
        3F000 schema "elsewhere" does not exist: script-names-what-is-missing (script)
        42601 syntax error at or near "creat": sql-syntax (script)
        42P01 relation "nowhere" does not exist: script-names-what-is-missing (script)
        42703 column "nothing" of relation "child" does not exist: script-names-what-is-missing (script)
        42704 type "citext" does not exist: script-names-what-is-missing (script)
        42883 function nothing(integer) does not exist: script-names-what-is-missing (script)
        42P07 relation "child" already exists: script-makes-what-is-there (script)
        42701 column "kind" of relation "child" already exists: script-makes-what-is-there (script)
        42710 type "level" already exists: script-makes-what-is-there (script)
        42723 function "f" already exists with same argument types: script-makes-what-is-there (script)
        42P06 schema "here" already exists: script-makes-what-is-there (script)
        42830 there is no unique constraint matching given keys for referenced table "parent": no-key-to-refer-to (script)
        0A000 extension "postgis" is not available: extension-not-on-the-server (not the script)
        55P04 unsafe use of new value "high" of enum type level: enum-value-too-new (script)
        55006 cannot ALTER TABLE "deferred" because it has pending trigger events: pending-trigger-events (script)
        25006 cannot execute CREATE TABLE in a read-only transaction: server-read-only (not the script)
        42501 permission denied for schema public: statement-not-permitted (not the script)
        P0001 its own: - (script)
        XX000 broken: - (not the script)
        "#);
    }

    /// Those that take two sessions, or two statements.
    #[test]
    fn what_comes_of_other_sessions_and_statements_has_its_cause_too() {
        let mut database = Database::new();
        database.run("create table t (id int primary key); insert into t values (1), (2)");
        let (mut one, mut other) = (open(&database.name), open(&database.name));
        let (one, other) = (one.client(), other.client());
        let mut codes = Vec::new();
        let mut noted = |error: postgres::Error| {
            let answer = error.as_db_error().unwrap().clone();
            let cause = cause(answer.code().code(), answer.message(), Whose::Childs).map_or("-", |cause| cause.name);
            codes.push(format!("{} {cause}", answer.code().code()));
        };
        one.batch_execute("begin; lock table public.t").unwrap();
        noted(other.batch_execute("begin; lock table public.t nowait").unwrap_err());
        other.batch_execute("rollback").unwrap();
        noted(one.batch_execute("select 1/0").unwrap_err());
        noted(one.batch_execute("select 1").unwrap_err());
        one.batch_execute("rollback; begin isolation level serializable; select * from public.t").unwrap();
        other.batch_execute("update public.t set id = 3 where id = 1").unwrap();
        noted(one.batch_execute("update public.t set id = 4 where id = 1").unwrap_err());
        let told = ["55P03 lock-not-given", "22012 -", "25P02 transaction-aborted", "40001 changed-meanwhile"];
        assert_eq!(codes, told);
    }

    #[test]
    fn of_our_own_statements_only_what_befalls_any_statement_is_told() {
        let ours = |sqlstate| fix(sqlstate, "m", Whose::Ours).and_then(|hint| hint.page());
        assert_eq!(["42P01", "23505", "42601", "0A000", "42501", "XX000"].map(ours), [None; 6]);
        assert_eq!(
            ["40P01", "25006", "57P01"].map(ours),
            [Some("deadlock"), Some("server-read-only"), Some("session-ended-by-the-server")]
        );
    }
}
