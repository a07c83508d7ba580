//! Prisma's own codes. Source of what they mean: its error reference (prisma.io/docs, "Error message reference").

use crate::causes::Fix::{Advice, Run, Sql};

causes! {
    FAILED_BEFORE {
        name: "migration-failed-before",
        title: "A migration failed before, and Prisma goes no further until it is settled",
        codes: &["P3009"],
        fix: Run("backward --failed"),
        more: "The ledger has a row that was begun and never finished. What the migration left behind decides how it is settled: `backward --failed` \
               looks at the server and says which of the two it is.",
    }
    MIGRATION_FAILED {
        name: "migration-failed",
        title: "A migration failed on the target",
        codes: &["P3018"],
        fix: Run("backward --failed"),
        more: "The script applied in a throw-away database, so it failed on what only the target has: its rows, its rights, its other sessions. The SQLSTATE beside it has a page of \
               its own. `backward --failed` settles the ledger; [when a migration fails](../failed-migrations.md) says how. It was never applied, so editing it is right.",
    }
    NO_SESSION {
        name: "prisma-cannot-connect",
        title: "Prisma gets no session with the server",
        codes: &["P1000", "P1001", "P1003", "P1010", "P1011", "P1013"],
        fix: Run("doctor"),
        more: "Prisma reaches the server through the drill, which had a session of its own a moment before. So something changed in between, as a server that \
               stopped or a password that was given anew: not reached (P1001), the role's login refused (P1000, P1010), no such database (P1003), no TLS (P1011), an address that it \
               cannot read (P1013).",
    }
    WAITED_TOO_LONG {
        name: "prisma-lock-timeout",
        title: "Another migration holds Prisma's own lock",
        codes: &["P1002"],
        fix: Advice("wait for the other migration to end, then run this again"),
        more: "Each `migrate deploy` takes the advisory lock 72707369 and gives up after ten seconds. `select pid from pg_locks where locktype = 'advisory' and objid = 72707369` says who \
               has it. A pooler that keeps a dead client's session open holds it as well.",
    }
    TIMED_OUT {
        name: "prisma-timed-out",
        title: "The server took longer than Prisma waits",
        codes: &["P1008"],
        fix: Advice("run this again when the server has less to do"),
        more: "Prisma's own limit, not one of drill.toml: that one is told by its name.",
    }
    SESSION_LOST {
        name: "prisma-session-ended",
        title: "The server closed Prisma's session",
        codes: &["P1017"],
        fix: Advice("read the server's log: it ended the session, as a restart, a crash or pg_terminate_backend does"),
        more: "What a statement had done is rolled back by the server; statements before it may have stayed, and `backward --failed` finds out.",
    }
    TOO_MANY_SESSIONS {
        name: "prisma-no-connection-left",
        title: "The server has no connection left for Prisma",
        codes: &["P2037"],
        fix: Advice("close other clients of this role and of the server, then run this again"),
        more: "The limit is the role's, the database's or the server's: see [server-connections-used-up](server-connections-used-up.md).",
    }
    ANOTHER_DATABASE {
        name: "database-there-already",
        title: "Prisma wants to make a database that is there already",
        codes: &["P1009"],
        fix: Advice("run this again: another program made the database at the same moment"),
        more: "Prisma makes a database that it does not find, and found it made meanwhile.",
    }
    LEDGER_NOT_FOUND {
        name: "search-path-left-empty",
        title: "A migration left the session without the ledger's schema",
        codes: &["P1014"],
        // In the answer of `migrate deploy` it is the ledger that is not found: the session in which a script ran writes it, too.
        fix: Advice("end that script with `SET search_path = \"{schema}\";`: it left the session's search_path without the ledger's schema, \
                     as pg_dump's first lines do"),
        more: "`set_config('search_path', '', false)` stays for all scripts of the same `migrate deploy`, and for Prisma's own ledger.",
    }
    FEATURE_OF_ANOTHER_SERVER {
        name: "prisma-server-too-old",
        title: "The schema uses what the server's version does not have",
        codes: &["P1015"],
        fix: Advice("take that feature out of the schema, or raise the server's version"),
        more: "Prisma names the feature. `select version()` says what the server is.",
    }
    WRONG_PARAMETERS {
        name: "prisma-raw-query",
        title: "A raw query of the program has another number of parameters than it is given",
        codes: &["P1016"],
        fix: Advice("correct the raw query that the program sends"),
        more: "`$queryRaw` as a tagged template counts them by itself.",
    }
    NOT_EMPTY {
        name: "database-without-ledger",
        title: "The database has tables and no ledger",
        codes: &["P3005"],
        fix: Advice("name an empty database, or baseline this one: `npx prisma migrate resolve --applied <migration>` for each that it has"),
        more: "Tables that `db push` or a restore made have no history. To keep them, mark the migrations that they correspond to with `prisma migrate resolve --applied`, one by one, \
               as Prisma's guide to baselining says.",
    }
    SHADOW_FAILED {
        name: "history-does-not-apply",
        title: "A migration does not apply to an empty database",
        codes: &["P3006"],
        fix: Run("forward"),
        more: "Prisma applies the history to a shadow database, and one script failed there. `forward` begins with a replay in a throw-away database, which names the statement and its line before the target is touched. What a provider made and \
               no migration did is missing there: `migrations.initShadowDb` of the Prisma config makes it.",
    }
    SETTLED_ALREADY {
        name: "migration-settled-already",
        title: "The ledger says already what was to be settled",
        codes: &["P3008", "P3011", "P3012"],
        fix: Run("forward --plan"),
        more: "It is recorded as applied (P3008), was never applied (P3011) or has not failed (P3012): somebody settled it since the drill looked.",
    }
    NO_SHADOW {
        name: "shadow-database-refused",
        title: "The role may not make a shadow database",
        codes: &["P3014"],
        fix: Sql("alter role {role} createdb"),
        more: "The drill makes throw-away databases, too, and needs the same right. Where the provider gives it to nobody, rehearse in the sandbox.",
    }
    NO_SUCH_MIGRATION {
        name: "migration-folder-missing",
        title: "The migration that is to be settled has no folder",
        codes: &["P3017"],
        fix: Advice("bring the migration's folder back from git, under the name that the ledger has"),
        more: "`git log --diff-filter=DR --summary -- prisma/migrations` says where it went.",
    }
    SHADOW_DISABLED {
        name: "shadow-database-not-made",
        title: "The provider makes no shadow database by itself",
        codes: &["P3020"],
        fix: Advice("name an empty database of the provider as `shadowDatabaseUrl` in the Prisma config"),
        more: "Prisma says so of Azure SQL. The drill gives Prisma a throw-away database of its own.",
    }
}
