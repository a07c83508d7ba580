//! What a platform made and no migration did: a replay knows it, and it is neither drift nor ever dropped.

use crate::project::Project;
use crate::server::{self, Database};

/// As on Supabase: schemas of another owner, with a type, a function and extensions in them.
fn make_platform(database: &Database) {
    let sql = format!(
        "create schema auth; create type auth.level as enum ('one', 'two');
         create table auth.users (id uuid primary key, email text unique, level auth.level not null, bits bit(3)[]);
         create table auth.odd (); create view auth.active as select id, email from auth.users;
         create function auth.uid() returns uuid language sql stable as 'select null::uuid';
         create function auth.both(a int, out b int, out c text) language sql as 'select 1, ''''';
         create schema extensions; create extension pg_trgm with schema extensions; create extension citext with schema extensions;
         insert into auth.users values (gen_random_uuid(), 'a@b', 'one');
         grant usage on schema auth, extensions to {user}; grant references, select on auth.users to {user};
         grant select on auth.active to {user}",
        user = database.user
    );
    server::shared().superuser(&database.name).batch_execute(&sql).unwrap();
}

const NOTES: &str = r#"
    create extension if not exists citext with schema extensions;
    CREATE TABLE notes (id int primary key, name extensions.citext, level "auth"."level", odd_owner uuid,
        owner uuid REFERENCES auth.users (id) ON DELETE CASCADE);
    alter table notes enable row level security;
    create policy mine on notes using (auth.uid() = owner);
    create index notes_name on notes using gin ((name::text) extensions.gin_trgm_ops);"#;

#[test]
fn a_history_that_refers_to_the_platform_goes_forward_and_back() {
    let (project, database) = Project::on_staging("platform");
    make_platform(&database);
    project.migration("20260101000000_notes", NOTES);
    project.migration(
        "20260102000000_key",
        r#"
        alter table notes add constraint again foreign key (odd_owner) references auth.users (id);
        alter table notes force row level security; alter table notes no force row level security;"#,
    );
    project.run(&["forward"]).expect(0);
    project.run(&["claim", "--confirm", &database.name]).expect(0);
    project.run(&["backward", "--steps", "2"]).expect(0);
    assert_eq!(database.one::<i64>("select count(*) from auth.users"), 1);
    project.run(&["forward"]).expect(0);
}

/// The sandbox has neither the platform nor the roles that a dump names as owners.
#[test]
fn a_role_without_createdb_replays_with_the_platform_and_the_roles_of_its_target() {
    let (project, database) = Project::on_staging("platform_clerk");
    make_platform(&database);
    let keeper = format!("{}_keeper", database.name);
    let prepare = format!(
        "alter role {user} nocreatedb; create role {keeper} nologin; grant {keeper} to {user};
         grant usage, create on schema public to {keeper}",
        user = database.user
    );
    server::shared().superuser(&database.name).batch_execute(&prepare).unwrap();
    database.execute("create schema if not exists archive");
    let sql = format!(
        "{NOTES} create table ours (id int); alter table ours owner to {user}; grant select on ours to {keeper};
         create table theirs (id int); alter table theirs owner to {keeper};
         create schema if not exists archive; create table archive.old (id int); alter table archive.old add column more int;
         create view kept as select more from archive.old",
        user = database.user
    );
    project.migration("20260101000000_notes", &sql);
    let answer = project.run(&["forward"]);
    project.run(&["sandbox", "down"]).expect(0);
    answer.expect(0);
}

#[test]
fn what_the_config_says_of_the_platform_comes_first() {
    let (project, database) = Project::on_staging("platform_init");
    make_platform(&database);
    let config = project.read("prisma/postgres.config.ts");
    let init = "initShadowDb: \"create schema auth; create table auth.users (id uuid primary key); broken\",";
    project.write(
        "prisma/postgres.config.ts",
        &config.replacen(
            "migrations: {",
            &format!("experimental: {{ externalTables: true }}, migrations: {{ {init}"),
            1,
        ),
    );
    project.migration("20260101000000_notes", NOTES);
    let refused = project.run(&["forward"]);
    let said = refused.prose();
    assert!(
        said.contains("`migrations.initShadowDb` of the Prisma config does not run in an empty database"),
        "{said}"
    );
    project.write("prisma/postgres.config.ts", &project.read("prisma/postgres.config.ts").replace("; broken", ""));
    project.run(&["forward"]).expect(0);
    project.run(&["claim", "--confirm", &database.name]).expect(0);
    project.run(&["backward"]).expect(0);
}

/// In the schema of the migrations itself: Prisma passes over it, and so does every comparison; only a reset takes it along.
#[test]
fn what_the_config_calls_external_is_no_drift_and_named_before_a_reset() {
    let (project, database) = Project::on_staging("platform_external");
    let config = project.read("prisma/postgres.config.ts").replacen(
        "migrations: {",
        "experimental: { externalTables: true }, tables: { external: [\"public.users\"] },
         enums: { external: [\"public.level\"] }, migrations: {",
        1,
    );
    project.write("prisma/postgres.config.ts", &config);
    database.execute(
        "create type level as enum ('low', 'high');
         create table users (id serial primary key, level level not null default 'low', name text unique);
         create index users_level on users (level); insert into users (name) values ('a'), ('b')",
    );
    project.run(&["forward"]).expect(0);
    project.run(&["claim", "--confirm", &database.name]).expect(0);
    let plan = project.run(&["reset", "--plan", "--json"]).expect(0).json();
    assert_eq!(
        plan["plan"]["losses"],
        serde_json::json!([
            "4 rows of `public._prisma_migrations`",
            "2 rows of `public.users`",
            "type \"public\".\"level\": no migration makes it",
            "table \"public\".\"users\": no migration makes it"
        ])
    );
    project.migration(
        "20990101000000_note",
        "create table note (id int primary key, level level not null, user_id int references users (id))",
    );
    project.run(&["forward"]).expect(0);
    project.run(&["backward"]).expect(0);
    project.run(&["forward"]).expect(0);
    assert_eq!(database.one::<i64>("select count(*) from users"), 2);
    insta::assert_snapshot!(project.run(&["reset", "--confirm"]).expect(4).failure(), @r#"
    error: a reset would not come back: the migration `20990101000000_note` does not apply again after `public` was dropped
    caused by: ERROR: type "level" does not exist (SQLSTATE 42704), line 1 of the script
    note: nothing was dropped: this was tried in a throw-away database
    note: the reset would drop what `tables.external` names in these schemas, too: public.users
    note: where the history needs one of these tables, have it in a schema that the reset does not drop
    "#);
}

/// The sandbox does not know the role, nor what is set for it.
#[test]
fn what_is_set_for_the_role_decides_in_a_replay_on_the_sandbox_too() {
    let (project, database) = Project::on_staging("role_setting");
    let role = &database.user;
    let set = format!("alter role {role} nocreatedb; alter role {role} set standard_conforming_strings = off");
    server::shared().superuser("postgres").batch_execute(&set).unwrap();
    project.migration("20990101000000_notes", r"create table notes (a text not null default 'x\ty')");
    project.run(&["forward"]).expect(0);
    database.execute("insert into notes values (default)");
    assert_eq!(database.one::<String>("select a from notes"), "x\ty");
}
