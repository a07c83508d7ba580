use super::*;
use crate::hint::Aim;

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn shown(standing: &MigrationStatus) -> String {
    let line = |row: Check| {
        let fix = row.hint.as_ref().map(|hint| format!(" -> {}", hint.line(&Aim::default()))).unwrap_or_default();
        format!("{} {} [{}]: {}{fix}", row.mark.word(), row.name, row.status.word(), row.message)
    };
    of_standing(standing).into_iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn each_question_has_a_row_and_what_is_not_well_differs() {
    let well = MigrationStatus { applied: names(&["1_a", "2_b"]), ..MigrationStatus::default() };
    let all_at_once = MigrationStatus {
        pending: names(&["2_b", "4_d"]),
        failed: names(&["5_e"]),
        running: names(&["6_f"]),
        edited_after_apply: names(&["1_a"]),
        out_of_order: names(&["2_b"]),
        ..MigrationStatus { applied: names(&["1_a"]), ..MigrationStatus::default() }
    };
    insta::assert_snapshot!([well, all_at_once].map(|standing| shown(&standing)).join("\n\n"), @"
    ok failed [ok]: no migration has failed
    ok running [ok]: no migration is running
    ok history [ok]: every applied migration is as its folder has it
    ok pending [ok]: nothing, and 2 migrations applied

    fail failed [different]: 1 failed migration (P3009): `5_e` -> cargo xtask backward --failed  # see docs/failures/migration-failed-before
    fail running [different]: in another session: `6_f` -> wait for it to end, then run this again; see docs/failures/migration-running
    fail history [different]: migration `1_a` was edited after it was applied: Prisma does not say so, and the database is not what the file says -> restore `1_a/migration.sql` from git, and put the change into a new migration; see docs/failures/migration-edited
    fail pending [different]: 2 migrations: `2_b`, `4_d`; `2_b` is older than one that is applied -> cargo xtask forward --plan
    ");
}
