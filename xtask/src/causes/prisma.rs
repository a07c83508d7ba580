//! Prisma's own codes. Source of what they mean: its error reference (prisma.io/docs, "Error message reference").

use crate::causes::Fix::Run;

causes! {
    FAILED_BEFORE {
        name: "migration-failed-before",
        title: "A migration failed before, and Prisma goes no further until it is settled",
        codes: &["P3009"],
        fix: Run("backward --failed"),
        more: "The ledger has a row that was begun and never finished. What the migration left behind decides how it is settled: `backward --failed` \
               looks at the server and says which of the two it is.",
    }
}
