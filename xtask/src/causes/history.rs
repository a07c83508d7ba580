//! Where the ledger and the folder of migrations do not agree, and where the schema is not what they make.

use crate::causes::Fix::{Advice, Run, Sql};

causes! {
    RUNNING {
        name: "migration-running",
        title: "A migration is running in another session",
        codes: &[],
        fix: Advice("wait for it to end, then run this again"),
        more: "Its row in the ledger is unfinished, and a session holds Prisma's lock.",
    }
    EDITED {
        name: "migration-edited",
        title: "A migration was edited after it was applied",
        codes: &[],
        fix: Advice("restore `{file}` from git, and put the change into a new migration"),
        more: "Prisma does not say so, neither in `deploy` nor in `status`, and the database is not what the file says.",
    }
    MISSING {
        name: "migration-missing",
        title: "A migration is applied, and its folder is not here",
        codes: &[],
        fix: Advice("check out the branch that has `{migration}`, or bring its folder back"),
        more: "Another branch was deployed to this database, or the folder was removed. Prisma does not say so.",
    }
    RENAMED {
        name: "migration-renamed",
        title: "A migration is applied under another name than its folder has now",
        codes: &[],
        fix: Sql("update {ledger} set migration_name = {new} where migration_name = {old}"),
        more: "Prisma would apply the same script a second time. The other way is to give the folder its old name.",
    }
    OUT_OF_ORDER {
        name: "migration-out-of-order",
        title: "A migration is pending although a later one is applied",
        codes: &[],
        fix: Run("forward --plan"),
        more: "As after a merge: it was not written for the schema that it will meet. Prisma applies it all the same; the plan shows what it does.",
    }
    DRIFT {
        name: "drift",
        title: "The schema is not the one that the applied migrations make",
        codes: &[],
        fix: Run("forward --plan"),
        more: "Somebody changed it behind the migrations' back: `{first}` and so on. A forward verifies against the migrations and would end with `different`. \
               Take the change back, or put it into a migration.",
    }
}
