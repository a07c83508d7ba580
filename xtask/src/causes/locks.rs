//! Who holds what a migration needs.

use crate::causes::Fix::{Advice, Sql};

causes! {
    PRISMA_LOCK {
        name: "prisma-lock-held",
        title: "Another session holds Prisma's migration lock",
        codes: &[],
        fix: Sql("{remedy}"),
        more: "`migrate deploy` and `migrate resolve` take the advisory lock 72707369, wait ten seconds for it, and end with P1002. Where a deploy is at work, \
               let it end; a session that a killed one left behind is ended with the statement.",
    }
    RUN_LOCK {
        name: "another-run",
        title: "Another run of the drill is at work on this database",
        codes: &[],
        fix: Advice("wait for it to end, then run this again"),
        more: "One run at a time changes a database. The lock is on the server and ends with its session, so a run that was killed leaves none.",
    }
    LEDGER_LOCKED {
        name: "ledger-locked",
        title: "Another session holds a lock on Prisma's ledger",
        codes: &[],
        fix: Sql("{remedy}"),
        more: "Prisma reads and writes `_prisma_migrations` at each step, and would wait for as long as the lock is held.",
    }
    TABLES_LOCKED {
        name: "tables-locked",
        title: "Another session holds locks on tables of the schema",
        codes: &[],
        fix: Sql("{remedy}"),
        more: "A migration that alters one of them waits for the session to end its transaction, and everybody who comes after waits behind the migration. \
               Most often it is a transaction that somebody forgot to end.",
    }
}
