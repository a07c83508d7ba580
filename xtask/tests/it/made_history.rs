//! A staging database with a history of the test's own, and a ledger as Prisma would have left it.

use sha2::{Digest, Sha256};

use crate::project::Project;
use crate::server::Database;

/// As Prisma 7.10 creates it.
const LEDGER: &str = r#"create table "_prisma_migrations" (
    id varchar(36) primary key not null, checksum varchar(64) not null, finished_at timestamptz,
    migration_name varchar(255) not null, logs text, rolled_back_at timestamptz,
    started_at timestamptz not null default now(), applied_steps_count integer not null default 0)"#;

/// A claimed staging database with a history of its own, applied without the seconds that Prisma needs: each has a name,
/// a script, and a down.sql unless that is empty.
pub fn with_history(name: &str, migrations: &[(&str, &str, &str)]) -> (Project, Database) {
    let (project, database) = Project::on_staging(name);
    std::fs::remove_dir_all(project.path("prisma/postgres/migrations")).unwrap();
    project.write("prisma/postgres/migrations/migration_lock.toml", "provider = \"postgresql\"\n");
    for (name, up, down) in migrations {
        project.migration(name, up);
        if !down.is_empty() {
            project.write(&format!("prisma/postgres/migrations/{name}/down.sql"), down);
        }
    }
    apply(&project, &database);
    (project, database)
}

pub fn apply(project: &Project, database: &Database) {
    let mut folders: Vec<String> = std::fs::read_dir(project.path("prisma/postgres/migrations"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "migration_lock.toml")
        .collect();
    folders.sort();
    database.execute(LEDGER);
    for name in folders {
        let sql = project.read(&format!("prisma/postgres/migrations/{name}/migration.sql"));
        database.execute(&sql);
        record(database, &name, &sql, "now()", "null");
    }
    project.run(&["claim", "-q", "--confirm", &database.name]).expect(0);
}

/// A row of the ledger, as Prisma would have written it.
pub fn record(database: &Database, name: &str, sql: &str, finished_at: &str, logs: &str) {
    let checksum: String = Sha256::digest(sql).iter().map(|byte| format!("{byte:02x}")).collect();
    let name = name.replace('\'', "''");
    database.execute(&format!(
        "insert into _prisma_migrations (id, checksum, migration_name, finished_at, logs, applied_steps_count)
         values (gen_random_uuid(), '{checksum}', '{name}', {finished_at}, {logs}, 1)"
    ));
}

pub fn applied(database: &Database) -> Vec<String> {
    let sql = "select coalesce(array_agg(migration_name::text order by migration_name), '{}') from _prisma_migrations
                where finished_at is not null and rolled_back_at is null";
    database.one(sql)
}
