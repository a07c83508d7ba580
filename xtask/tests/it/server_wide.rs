//! Migrations that change what is of the whole server: the replay leaves it alone, and the deploy alone does it.

use crate::project::Project;
use crate::server;

/// Beside a target on a shared server, a role in a `DO` block, a setting of it, and its membership.
#[test]
fn what_is_of_the_server_is_made_by_the_deploy_alone() {
    let (project, database) = Project::on_staging("server_wide");
    let mut superuser = server::shared().superuser("postgres");
    superuser.execute(&format!("alter role \"{}\" createrole", database.user), &[]).unwrap();
    let role = format!("{}_reader", database.name);
    let roles = |like: &str| database.one::<i64>(&format!("select count(*) from pg_roles where rolname = '{like}'"));
    project.migration(
        "20260101000000_role",
        &format!(
            "do $$ begin execute format('create role %I', '{role}'); end $$;\n\
             alter role {role} set statement_timeout = '5s';\ngrant select on \"Session\" to {role};\n"
        ),
    );
    project.migration("20260102000000_broken", "select nothing from nowhere;");
    let broken = project.run(&["forward"]).expect(4);
    assert!(broken.stderr.contains("`20260102000000_broken` does not apply to an empty database"), "{}", broken.stderr);
    assert_eq!(roles(&role), 0, "the replay made it");

    std::fs::remove_dir_all(project.path("prisma/postgres/migrations/20260102000000_broken")).unwrap();
    let applied = project.run(&["forward"]).expect(0);
    let why = "5 migrations replayed on a server of their own, since `20260101000000_role` (ALTER ROLE) acts on the whole server";
    assert!(applied.stderr.contains(why), "{}", applied.stderr);
    assert_eq!(roles(&role), 1);
    let running = std::fs::read_dir(project.path(".drill/ephemeral/0/cluster")).is_ok();
    assert!(!running, "the server is thrown away");

    project.migration("20260103000000_more", "alter table \"Session\" add column more text;");
    project.run(&["forward"]).expect(0);
    let mut superuser = server::shared().superuser(&database.name);
    superuser.batch_execute(&format!("drop owned by {role}; drop role {role}")).unwrap();
}

#[test]
fn where_there_is_no_server_to_know_it_on_nothing_is_deployed() {
    let (project, database) = Project::on_staging("server_wide_blocked");
    project.migration("20260101000000_role", "create role never_made;");
    std::fs::create_dir_all(project.path(".drill")).unwrap();
    project.write(".drill/ephemeral", "a file where the folder should be");
    let blocked = project.run(&["forward"]).expect(4);
    for part in
        ["what the history makes cannot be known", "`20260101000000_role` (CREATE ROLE) acts on the whole server"]
    {
        assert!(blocked.stderr.contains(part), "{}", blocked.stderr);
    }
    assert_eq!(database.one::<i64>("select count(*) from pg_tables where schemaname = 'public'"), 0);
}
