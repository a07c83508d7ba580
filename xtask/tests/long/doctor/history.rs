//! Causes in the ledger and in the schema; some are mended by Prisma and by Supabase's CLI.

use super::patient::{Patient, as_written};

#[test]
fn of_the_history() {
    const LAST: &str = "20251008090000_add_session_collaborator";
    let mut patient = Patient::new("history");
    let folder = |name: &str| format!("prisma/postgres/migrations/{name}");
    let script = format!("{}/migration.sql", folder(LAST));
    let whole = patient.project.read(&script);
    patient.case(
        "migration-edited",
        |patient| patient.project.write(&script, &format!("{whole}-- more\n")),
        |patient, row| {
            assert!(row.hint.contains(&format!("restore `{LAST}/migration.sql` from git")), "{row:?}");
            patient.project.write(&script, &whole);
        },
    );
    patient.case(
        "migration-missing",
        |patient| std::fs::rename(patient.project.path(&folder(LAST)), patient.project.path("away")).unwrap(),
        |patient, row| {
            assert!(row.hint.contains(&format!("the branch that has `{LAST}`")), "{row:?}");
            std::fs::rename(patient.project.path("away"), patient.project.path(&folder(LAST))).unwrap();
        },
    );
    let renamed = folder("20251009090000_renamed");
    patient.case(
        "migration-renamed",
        |patient| std::fs::rename(patient.project.path(&folder(LAST)), patient.project.path(&renamed)).unwrap(),
        |patient, row| {
            as_written(patient, row);
            // The folder goes back, and so does the name.
            std::fs::rename(patient.project.path(&renamed), patient.project.path(&folder(LAST))).unwrap();
            patient.sql(&format!(
                "update _prisma_migrations set migration_name = '{LAST}' where migration_name like '%renamed'"
            ));
        },
    );
    patient.case(
        "migration-out-of-order",
        |patient| patient.project.write(&format!("{}/migration.sql", folder("20251001000000_late")), "select 1;"),
        |patient, row| {
            assert_eq!(row.command.as_deref(), Some("cargo xtask forward --plan"));
            std::fs::remove_dir_all(patient.project.path(&folder("20251001000000_late"))).unwrap();
        },
    );
    insta::assert_snapshot!(patient.said);
}

#[test]
fn of_the_schema() {
    let mut patient = Patient::new("schema");
    let folder = |name: &str| format!("prisma/postgres/migrations/{name}");
    patient.case(
        "drift",
        |patient| patient.sql("alter table \"Session\" add \"surprise\" text"),
        |patient, row| {
            assert!(row.message.contains("surprise"), "{row:?}");
            patient.sql("alter table \"Session\" drop \"surprise\"");
        },
    );
    patient.case(
        "database-without-ledger",
        |patient| patient.sql("alter table _prisma_migrations rename to kept"),
        |patient, row| {
            assert!(row.hint.contains("baseline this one"), "{row:?}");
            patient.sql("alter table kept rename to _prisma_migrations");
        },
    );
    patient.case(
        "migration-failed-before",
        |patient| {
            patient.config_back();
            patient.project.write(&format!("{}/migration.sql", folder("20270101000000_broken")), "select 1/0;");
            patient.sql(
                "insert into _prisma_migrations (id, checksum, migration_name, started_at, logs, applied_steps_count) \
                 values ('broken', repeat('0', 64), '20270101000000_broken', now(), 'ERROR', 0)",
            );
        },
        |patient, row| {
            as_written(patient, row);
            std::fs::remove_dir_all(patient.project.path(&folder("20270101000000_broken"))).unwrap();
        },
    );
    patient.case("mirror-table-missing", |patient| patient.sql("drop table facts"), as_written);
    insta::assert_snapshot!(patient.said);
}
