//! Causes on the server: rights, limits, locks, the ledger, the schema, the mirror.

use postgres::Client;

use super::patient::{Patient, Row, as_written, copied};
use crate::postgrest::{Fault, Postgrest, SECRET_KEY, legacy_key};
use crate::project::DRILL_TOML;
use crate::server;

/// Undoes with SQL what the fix does not have to.
fn then(statement: String) -> impl FnOnce(&mut Patient, &Row) {
    move |patient, row| {
        as_written(patient, row);
        patient.sql(&statement);
    }
}

#[test]
fn of_the_claim() {
    let mut patient = Patient::new("claim");
    patient.case("unclaimed", |patient| patient.sql("drop schema staging_drill cascade"), as_written);
    let (url, own) = (patient.url(), patient.database.name.clone());
    patient.case(
        "claim-of-another",
        |patient| {
            let copy = copied(&patient.database, "copy");
            patient.env_file(&copy.url());
        },
        as_written,
    );
    patient.env_file(&url);
    let system: String = patient.database.one("select system_identifier::text from pg_control_system()");
    patient.case(
        "other-server",
        |patient| patient.project.drill_toml(&format!("{DRILL_TOML}deny_systems = [\"{system}\"]\n")),
        |patient, row| {
            assert!(row.message.contains("deny_systems"), "{row:?}");
            patient.project.drill_toml(DRILL_TOML);
        },
    );
    let said = patient.said.replace(&system, "SYSTEM").replace(&own, "NAME");
    insta::assert_snapshot!(said);
}

#[test]
fn of_what_the_role_may_do() {
    let mut patient = Patient::new("rights");
    let (name, role) = (patient.database.name.clone(), patient.database.user.clone());
    let owner = format!("alter schema public owner to {role}");
    patient.case(
        "no-create-on-schema",
        |patient| patient.sql("alter schema public owner to postgres; revoke create on schema public from public"),
        |patient, row| {
            // The schema is still another's, which is a cause of its own.
            patient.sql(row.hint.split("; --").next().unwrap());
            let left = patient.ails();
            assert_eq!(left.iter().map(|row| row.cause.as_str()).collect::<Vec<_>>(), ["not-schema-owner"]);
            as_written(patient, &left[0]);
        },
    );
    patient.case(
        "not-schema-owner",
        |patient| patient.sql(&format!("alter schema public owner to postgres; grant all on schema public to {role}")),
        then(owner.clone()),
    );
    patient.project.drill_toml(&DRILL_TOML.replace("allow_databases", "allow_schemas = [\"shop\"]\nallow_databases"));
    patient.env_file(&format!("{}?schema=shop", patient.url()));
    patient.sql(&format!("alter database {name} owner to postgres"));
    let rows = patient.ails();
    assert_eq!(rows[0].cause, "no-create-in-database", "{rows:#?}");
    as_written(&mut patient, &rows[0]);
    assert!(patient.ails().iter().all(|row| row.cause != "no-create-in-database"));
    patient.sql(&format!("alter database {name} owner to {role}"));
    patient.project.drill_toml(DRILL_TOML);
    patient.env_file(&patient.url());
    patient.case("not-table-owner", |patient| patient.sql("alter table \"DecisionLog\" owner to postgres"), as_written);
    patient.case("no-createdb", |patient| patient.sql(&format!("alter role {role} nocreatedb")), as_written);
    for (cause, place) in [
        ("read-only", format!("alter role {role} set default_transaction_read_only = on")),
        ("read-only", format!("alter database {name} set default_transaction_read_only = on")),
        ("limit-on-statements", format!("alter role {role} in database {name} set statement_timeout = '2s'")),
        ("limit-on-statements", format!("alter role {role} set transaction_timeout = '20s'")),
        ("limit-on-idle-sessions", format!("alter database {name} set idle_in_transaction_session_timeout = '5s'")),
        ("limit-on-idle-sessions", format!("alter role {role} set idle_session_timeout = '1s'")),
        ("role-connection-limit", format!("alter role {role} connection limit 5")),
        ("database-connection-limit", format!("alter database {name} connection limit 4")),
    ] {
        patient.case(
            cause,
            |patient| {
                let mut superuser = server::shared().superuser("postgres");
                superuser.batch_execute(&place).unwrap();
                assert!(!patient.as_user);
            },
            as_written,
        );
    }
    insta::assert_snapshot!(patient.said);
}

/// A session of somebody else, for as long as it lives.
fn session(patient: &Patient, statement: &str) -> Client {
    let mut client = server::shared().superuser(&patient.database.name);
    client.batch_execute(statement).unwrap();
    client
}

#[test]
fn of_who_holds_a_lock() {
    const RUN_LOCK: i64 = 0x7374_6764_7269_6c6c;
    let mut patient = Patient::new("locks");
    for (cause, statement) in [
        ("prisma-lock-held", "select pg_advisory_lock(72707369)".to_owned()),
        ("ledger-locked", "begin; lock _prisma_migrations".to_owned()),
        (
            "ledger-locked",
            "begin; delete from _prisma_migrations where false; lock _prisma_migrations in share mode".to_owned(),
        ),
        ("tables-locked", "begin; lock \"Session\"".to_owned()),
        ("tables-locked", "begin; select from \"Session\"".to_owned()),
        ("another-run", format!("select pg_advisory_lock({RUN_LOCK})")),
    ] {
        let holder = std::cell::RefCell::new(None);
        patient.case(
            cause,
            |patient| *holder.borrow_mut() = Some(session(patient, &statement)),
            |patient, row| {
                match cause {
                    "another-run" => assert!(row.hint.starts_with("wait for it to end"), "{row:?}"),
                    _ => as_written(patient, row),
                }
                *holder.borrow_mut() = None;
                std::thread::sleep(std::time::Duration::from_millis(50));
            },
        );
    }
    insta::assert_snapshot!(patient.said);
}

#[test]
fn of_the_rest_api() {
    let mut patient = Patient::new("rest");
    patient.database.grant_supabase_roles();
    patient.sql("grant usage on schema public to service_role; grant select on facts to service_role");
    let api = Postgrest::start(&patient.database);
    let with_key = |patient: &Patient, url: &str, key: &str| {
        let database = patient.url();
        patient.write_env_file(&format!("DATABASE_URL={database}\nSUPABASE_URL={url}\nSUPABASE_SERVICE_KEY={key}\n"));
    };
    let key = legacy_key("service_role");
    with_key(&patient, &api.url, &key);
    patient.healthy();
    patient.case(
        "rest-key-rejected",
        |patient| with_key(patient, &api.url, &SECRET_KEY.replace('7', "8")),
        |patient, _| with_key(patient, &api.url, &key),
    );
    patient.case(
        "supabase-project-paused",
        |_| api.fail([Fault::Status(540, None), Fault::Status(540, None)]),
        |_, _| {},
    );
    let nobody = format!("http://127.0.0.1:{}", server::free_port("127.0.0.1"));
    patient.case(
        "rest-unreachable",
        |patient| with_key(patient, &nobody, &key),
        |patient, _| with_key(patient, &api.url, &key),
    );
    api.clock_ahead(600);
    patient.case("clock-off", |_| {}, |_, _| api.clock_ahead(0));
    insta::assert_snapshot!(patient.said.replace(&nobody, "NOBODY"));
}
