//! What the server answers, by its SQLSTATE: which of several with one code it is, `postgres::causes` decides by its words. Source of what the
//! codes mean: the manual of PostgreSQL, appendix A.

use crate::causes::Fix::{Advice, Sql};

causes! {
    // What the server is in.

    SERVER_CROWDED {
        name: "server-connections-used-up",
        title: "The server has no connection left",
        codes: &["53300"],
        fix: Advice("close other clients of the server, or raise its max_connections"),
        more: "`select usename, application_name, state, count(*) from pg_stat_activity group by 1, 2, 3 order by 4 desc` says whose they are. A pool \
               that an app holds open is closed with the app.",
    }
    RESERVED_SLOTS {
        name: "server-connections-reserved",
        title: "The connections that the server has left are reserved for superusers",
        codes: &[],
        fix: Advice("close other clients of the server: what is left of max_connections is reserved for superusers"),
        more: "SQLSTATE 53300, with `reserved` in its words: `superuser_reserved_connections`, or `reserved_connections` from Postgres 16 on.",
    }
    ROLE_CROWDED {
        name: "role-connections-used-up",
        title: "The role has a connection limit, and all of it is in use",
        codes: &[],
        fix: Sql("alter role {role} connection limit -1"),
        more: "SQLSTATE 53300, with the role in its words. Where the limit is meant, close the other sessions of the role instead.",
    }
    DATABASE_CROWDED {
        name: "database-connections-used-up",
        title: "The database has a connection limit, and all of it is in use",
        codes: &[],
        fix: Sql("alter database {database} connection limit -1"),
        more: "SQLSTATE 53300, with the database in its words. Where the limit is meant, close the other sessions of the database instead.",
    }
    OWN_STATEMENT_TIMEOUT {
        name: "statement-timeout-of-the-drill",
        title: "A statement of the drill took longer than drill.toml allows",
        codes: &[],
        fix: Advice("raise `query` under `[timeouts]` in drill.toml, or `snapshot` there for the rows of a table"),
        more: "SQLSTATE 57014 in a session of the drill. The drill sets the limits of its own sessions, whatever the role's are.",
    }
    STATEMENT_TIMEOUT {
        name: "statement-timeout",
        title: "A statement took longer than the role, the database or the server allows",
        codes: &[],
        fix: Sql("alter role {role} set statement_timeout = 0"),
        more: "SQLSTATE 57014, `canceling statement due to statement timeout`, in a program's own session. What is set for the role wins over what is set for \
               the database and the server. `statement_timeout` under `[prisma]` in drill.toml is another limit, which a run tells by that name.",
    }
    STATEMENT_CANCELLED {
        name: "statement-cancelled",
        title: "Another session cancelled the statement",
        codes: &["57014"],
        fix: Advice("run this again: another session cancelled it (pg_cancel_backend)"),
        more: "A person at a console did it, or a watchdog of the provider. Nothing of the statement is there.",
    }
    SESSION_ENDED {
        name: "session-ended-by-the-server",
        title: "The server ended the session",
        codes: &["57P01"],
        fix: Advice("run this again once the server is up: it was stopped, or somebody ended the session (pg_terminate_backend)"),
        more: "A restart, a failover or a provider's maintenance looks like this too. The server took back the transaction that was open.",
    }
    SERVER_CRASHED {
        name: "server-crashed",
        title: "A process of the server crashed, and it ended all sessions",
        codes: &["57P02"],
        fix: Advice("read the server's log: one of its processes crashed, and it ended all sessions"),
        more: "Most often the machine of the server had no memory left, and its kernel ended the process. The server recovers by itself; the cause does not.",
    }
    SERVER_STARTING {
        name: "server-not-ready",
        title: "The server starts, stops or recovers",
        codes: &["57P03"],
        fix: Advice("wait until the server has started, then run this again"),
        more: "A run waits a while for a server that starts. After a crash recovery can take minutes.",
    }
    SESSION_TIMEOUT {
        name: "session-timeout",
        title: "A timeout of the role, the database or the server ended the session",
        codes: &["57P05", "25P03", "25P04"],
        fix: Sql("alter role {role} set {setting} = 0"),
        more: "57P05 is `idle_session_timeout`, 25P03 `idle_in_transaction_session_timeout`, 25P04 `transaction_timeout` (Postgres 17). What is set for the role wins \
               over what is set for the database and the server.",
    }
    SERVER_DISK_FULL {
        name: "server-disk-full",
        title: "The server's disk is full",
        codes: &["53100"],
        fix: Advice("make room on the server's disk (not on this machine's), then run this again"),
        more: "A rewrite of a table needs room for a second copy of it and of its indexes. `temp_file_limit` of the role is told in other words (53400).",
    }
    SERVER_OUT_OF_MEMORY {
        name: "server-out-of-memory",
        title: "The server has no memory left for the statement",
        codes: &["53200"],
        fix: Advice("give the server more memory, or lower its work_mem; then run this again"),
        more: "`out of shared memory` with a hint at `max_locks_per_transaction` is the same code: there one transaction locks too many tables.",
    }
    READ_ONLY {
        name: "server-read-only",
        title: "The session is read-only",
        codes: &["25006"],
        fix: Advice("name the primary in the env file (a replica takes no writes), or reset `default_transaction_read_only` of the role"),
        more: "`select pg_is_in_recovery()` is true on a replica. Where it is false, `select * from pg_db_role_setting` says who set \
               `default_transaction_read_only`; a provider sets it when the disk is nearly full.",
    }
    IN_EACH_OTHERS_WAY {
        name: "deadlock",
        title: "Two transactions waited for each other, and the server ended one",
        codes: &["40P01"],
        fix: Advice("run this again while nothing else writes to those tables"),
        more: "The server's log names both statements. A migration that takes its tables in the order in which the app takes them gets into no deadlock.",
    }
    CHANGED_MEANWHILE {
        name: "changed-meanwhile",
        title: "Another transaction changed the same rows first",
        codes: &["40001"],
        fix: Advice("run this again while nothing else writes to those tables"),
        more: "A transaction above `read committed` gives up where another was faster. On a replica it is `conflict with recovery`: what the statement read was removed on the \
               primary.",
    }
    LOCK_NOT_GIVEN {
        name: "lock-not-given",
        title: "Another session holds a lock on the table, and the wait for it was given up",
        codes: &["55P03"],
        fix: Advice("run this again once the session that holds the lock is done"),
        more: "`lock_timeout` of the role or the database ended the wait, or the statement says NOWAIT. `lock_timeout` under `[prisma]` in drill.toml is another limit: \
               after that one a run tries again by itself.",
    }
    IN_USE {
        name: "object-in-use",
        title: "Other sessions use what the statement changes",
        codes: &["55006"],
        fix: Advice("end the other sessions that use it, then run this again"),
        more: "`select pid, usename, application_name, query from pg_stat_activity where datname = current_database()` says which they are.",
    }
    NOT_PERMITTED {
        name: "statement-not-permitted",
        title: "The role may not do what the statement does",
        codes: &["42501"],
        fix: Advice("give the role of the env file what the message names: the ownership, or a grant"),
        more: "`must be owner of` wants ownership (`alter table … owner to …`), which no grant replaces; `permission denied for schema` wants \
               `grant create, usage on schema … to …`, which Postgres 15 no longer gives to everybody for `public`. Migrations that two roles applied in turn leave tables \
               of two owners.",
    }
    EXTENSION_MISSING {
        name: "extension-not-on-the-server",
        title: "The server does not have the extension",
        codes: &["58P01"],
        fix: Advice("install the extension on the server, or switch it on in the provider's console"),
        more: "`CREATE EXTENSION` needs the extension's files on the server. For a sandbox, `bin_dir` under `[sandbox]` in drill.toml names a Postgres that has them.",
    }

    // What the script is in.

    NULLS_THERE {
        name: "rows-have-nulls",
        title: "Rows have no value where the script wants one",
        codes: &["23502"],
        fix: Advice("above that statement, fill the column: `UPDATE … SET … WHERE … IS NULL`"),
        more: "A new column that is required needs a default, or three steps: add it nullable, fill it, then `SET NOT NULL`.",
    }
    ORPHANS {
        name: "rows-refer-to-nothing",
        title: "Rows refer to rows that are not there",
        codes: &["23503"],
        fix: Advice("above that statement, remove or repair the rows without a parent; DETAIL names one"),
        more: "All of them: `select * from child c where c.parent_id is not null and not exists (select from parent p where p.id = c.parent_id)`.",
    }
    DUPLICATES {
        name: "rows-are-there-twice",
        title: "Rows have the same value where the script wants it once",
        codes: &["23505"],
        fix: Advice("above that statement, merge or remove the duplicates; DETAIL names one"),
        more: "All of them: `select column, count(*) from table group by 1 having count(*) > 1`. Which row stays is for the app to say, not for the migration.",
    }
    CHECK_VIOLATED {
        name: "rows-break-a-check",
        title: "Rows break a check that the script adds",
        codes: &["23514"],
        fix: Advice("above that statement, correct those rows, or add the constraint `NOT VALID` first"),
        more: "`ALTER TABLE … ADD CONSTRAINT … NOT VALID` holds for new rows alone; `VALIDATE CONSTRAINT` in a later migration looks at the old ones.",
    }
    OVERLAPS {
        name: "rows-overlap",
        title: "Rows overlap where the script lets none",
        codes: &["23P01"],
        fix: Advice("above that statement, change the rows that overlap; DETAIL names two"),
        more: "An exclusion constraint holds for old rows from the moment that it is there: it has no `NOT VALID`.",
    }
    VALUES_DO_NOT_FIT {
        name: "values-do-not-fit",
        title: "Values do not fit the type that they are to have",
        codes: &["22001", "22003", "22P02", "22007", "22008"],
        fix: Advice("above that statement, correct or shorten those values, or choose a wider type"),
        more: "Too long (22001), out of range (22003), or not in the form of the type (22P02, 22007, 22008).",
    }
    OTHER_ENCODING {
        name: "text-of-another-encoding",
        title: "The script has characters that the database's encoding does not",
        codes: &["22021", "22P05"],
        fix: Advice("write that text with characters which the database's encoding has, or make the database anew in UTF-8"),
        more: "`select pg_encoding_to_char(encoding) from pg_database where datname = current_database()` says which it is. A database keeps its encoding: \
               `create database … template template0 encoding 'UTF8'`, then move the rows by pg_dump.",
    }
    NOT_UTF8 {
        name: "text-not-utf8",
        title: "A name, a comment or a default in the database is no UTF-8",
        codes: &[],
        fix: Advice("give what has these bytes another name, comment or default, in UTF-8: rows may keep theirs"),
        more: "SQLSTATE 22021 in a session of the drill: a database in SQL_ASCII takes any bytes, and says nothing of what they mean. In psql \
               `set client_encoding = 'sql_ascii'` shows them: `select objoid::regclass, objsubid, description from pg_description` has the comments.",
    }
    NOT_CONVERTIBLE {
        name: "type-not-converted",
        title: "The server does not know how to turn one type into the other",
        codes: &["42804", "42846"],
        fix: Advice("say how values are converted: `ALTER COLUMN … TYPE … USING …::…`"),
        more: "A default of the old type is in the way as well: drop it above that statement and set it anew below.",
    }
    DEPENDENTS {
        name: "others-depend-on-it",
        title: "Something else depends on what the script drops",
        codes: &["2BP01"],
        fix: Advice("above that statement, drop or change what DETAIL names"),
        more: "`CASCADE` drops it too, whatever it is: a view of another team is gone then, and no migration brings it back.",
    }
    USED_BY_A_VIEW {
        name: "column-used-by-a-view",
        title: "A view, a rule or a policy uses the column that the script changes",
        codes: &[],
        fix: Advice("drop what uses the column above that statement, and make it again below it"),
        more: "SQLSTATE 0A000, `cannot alter type of a column used by a view or rule`. `pg_get_viewdef('view'::regclass)` has its text.",
    }
    UNSUPPORTED {
        name: "statement-not-supported",
        title: "The server does not support what the script asks for",
        codes: &["0A000"],
        fix: Advice("write it as this server's version knows it"),
        more: "Most often the script was written for a newer Postgres than the target's: `select version()`.",
    }
    NOT_IN_A_TRANSACTION {
        name: "not-in-a-transaction",
        title: "The statement does not run inside a transaction",
        codes: &["25001"],
        fix: Advice("let that statement be the only one of a migration"),
        more: "`CREATE INDEX CONCURRENTLY`, `VACUUM` and `ALTER SYSTEM` run by themselves only. Up to Prisma 7.3 a file of several statements is one transaction \
               (docs/failed-migrations.md).",
    }
    ALREADY_ABORTED {
        name: "transaction-aborted",
        title: "An earlier statement of the transaction failed",
        codes: &["25P02"],
        fix: Advice("correct the statement before it that failed: this error is only its echo"),
        more: "Within a transaction the server ignores all statements after the first that failed. A `DO` block that catches its errors hides which that was.",
    }
    NEW_ENUM_VALUE {
        name: "enum-value-too-new",
        title: "A new value of an enum is used in the transaction that adds it",
        codes: &["55P04"],
        fix: Advice("use the new value in a migration of its own, after the one that adds it"),
        more: "`ALTER TYPE … ADD VALUE` takes effect with its commit. A default with the new value is a use as well.",
    }
    PENDING_TRIGGERS {
        name: "pending-trigger-events",
        title: "The table has changes whose deferred checks are still to come",
        codes: &[],
        fix: Advice("write `SET CONSTRAINTS ALL IMMEDIATE;` above that statement"),
        more: "SQLSTATE 55006, `because it has pending trigger events`: rows and definition of a table with deferrable keys were changed in one transaction.",
    }
    SYNTAX {
        name: "sql-syntax",
        title: "The script is not SQL that the server can read",
        codes: &["42601"],
        fix: Advice("correct the script at the line that is named"),
        more: "A missing `;` is seen at the beginning of the next statement. Prisma ends no statement by itself.",
    }
    NOT_THERE {
        name: "script-names-what-is-missing",
        title: "The script names something that is not there",
        codes: &["42P01", "42703", "42704", "42883", "3F000"],
        fix: Advice("make it above that statement, or correct its name (`\"User\"` and `User` are two)"),
        more: "A table (42P01), a column (42703), a type, role or index (42704), a function or operator (42883), a schema (3F000). What the replay finds and the target does not \
               was dropped there by hand, or lies in a schema that is not on the role's search_path.",
    }
    THERE_ALREADY {
        name: "script-makes-what-is-there",
        title: "The script makes something that is there already",
        codes: &["42P07", "42701", "42710", "42723", "42P06", "42P04"],
        fix: Advice("drop on staging what no migration made, or rename it in that migration"),
        more: "Somebody made it by hand (`db push` does), or an earlier try of this migration left it behind. `backward --failed` names what is in the schema beside what the migrations make.",
    }
    NO_KEY_TO_REFER_TO {
        name: "no-key-to-refer-to",
        title: "A foreign key refers to columns that are not unique",
        codes: &["42830"],
        fix: Advice("add a unique constraint on the referred columns above that statement"),
        more: "A unique index with a `WHERE` does not count as one.",
    }
}
