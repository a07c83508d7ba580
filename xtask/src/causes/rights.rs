//! What the role may do on the server, and what is set for it.

use crate::causes::Fix::{Advice, Sql};

causes! {
    SERVER_TOO_OLD {
        name: "server-too-old",
        title: "The server is of a major version that is not supported",
        codes: &[],
        fix: Advice("move staging to a server of the major version that production has, or will have"),
        more: "The oldest that is supported is 14.",
    }
    SERVER_END_OF_LIFE {
        name: "server-end-of-life",
        title: "The server's major version gets no more fixes",
        codes: &[],
        fix: Advice("plan the upgrade of Postgres {major}, which got its last fixes on {date}"),
        more: "A major version is mended for five years after its first release (postgresql.org, \"Versioning Policy\"). The drill works on it as before.",
    }
    NO_CREATE_ON_SCHEMA {
        name: "no-create-on-schema",
        title: "The role may not create tables in the schema",
        codes: &[],
        fix: Sql("grant usage, create on schema {schema} to {role}"),
        more: "Since Postgres 15 nobody but the database's owner may create in `public` by default (release notes of 15). The schema's owner, or a \
               superuser, grants it.",
    }
    NO_CREATE_IN_DATABASE {
        name: "no-create-in-database",
        title: "The schema is not there, and the role may not create it",
        codes: &[],
        fix: Sql("grant create on database {database} to {role}"),
        more: "Prisma creates the schema of the URL with the first migration.",
    }
    NOT_SCHEMA_OWNER {
        name: "not-schema-owner",
        title: "The role does not own the schema, so a reset could not drop it",
        codes: &[],
        fix: Sql("alter schema {schema} owner to {role}"),
        more: "`forward` and `backward` work without. `public` of a new database belongs to whoever owns the database.",
    }
    NOT_TABLE_OWNER {
        name: "not-table-owner",
        title: "Tables of the schema belong to another role",
        codes: &[],
        fix: Sql("{statements}"),
        more: "`alter table … owner to …` for each, by who owns them or a superuser. Only an owner, or a member of the owner, may alter or drop a table: a migration that does ends with `must be owner` (42501). As a rule they \
               were made by hand, or by another tool, as a superuser.",
    }
    NO_CREATEDB {
        name: "no-createdb",
        title: "The role may not create databases",
        codes: &[],
        fix: Sql("alter role {role} createdb"),
        more: "Histories are replayed in a throw-away database. Where the role may create one, it is one of the same server; else the replay runs on the \
               embedded sandbox, which is slower the first time, and has none of the server's extensions.",
    }
    READ_ONLY {
        name: "read-only",
        title: "Sessions of the role are read-only",
        codes: &[],
        fix: Sql("{statement}"),
        more: "`default_transaction_read_only` is on: for the role, the database or the server. Prisma's session takes it as it is, and the first migration \
               ends with 25006. Providers set it on a full disk: look there first.",
    }
    STATEMENT_TIMEOUT {
        name: "limit-on-statements",
        title: "A limit on statements is set for the role's sessions",
        codes: &[],
        fix: Sql("{statement}"),
        more: "A migration that takes longer than `statement_timeout` or `transaction_timeout` fails half way (57014). The other way is to give \
               `statement_timeout` under `[prisma]` in drill.toml, which counts for the deploy alone.",
    }
    IDLE_TIMEOUT {
        name: "limit-on-idle-sessions",
        title: "The server ends the role's idle sessions",
        codes: &[],
        fix: Sql("{statement}"),
        more: "`idle_session_timeout` or `idle_in_transaction_session_timeout` is short: Prisma's session may be ended between two statements (57P05, 25P03).",
    }
    ROLE_SLOTS {
        name: "role-connection-limit",
        title: "The role may not open as many sessions as a drill needs",
        codes: &[],
        fix: Sql("alter role {role} connection limit {needed}"),
        more: "A run has up to {needed} sessions at once: its own two, Prisma's, and those of a replay.",
    }
    DATABASE_SLOTS {
        name: "database-connection-limit",
        title: "The database lets in fewer sessions than a drill needs",
        codes: &[],
        fix: Sql("alter database {database} connection limit {needed}"),
        more: "A run has several sessions at once: its own two, Prisma's, and the application's beside it.",
    }
    SERVER_SLOTS {
        name: "server-almost-full",
        title: "Almost all connections of the server are taken",
        codes: &[],
        fix: Advice("close other clients of the server, or raise its max_connections: {free} of {all} are free"),
        more: "A run needs several at once, and what is reserved for superusers is not for it.",
    }
}
