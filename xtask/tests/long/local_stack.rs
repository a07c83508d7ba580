//! A target of the kind `supabase-start`. Docker cannot run here, so a Postgres with the stack's own password stands in for it.

use crate::project::Project;
use crate::server::Server;

#[test]
fn the_local_stack_is_a_target_without_an_env_file() {
    let server = Server::start();
    server.superuser("postgres").batch_execute("alter role postgres password 'postgres'").unwrap();
    let project = Project::new();
    project.drill_toml("[targets.local]\nkind = \"supabase-start\"\n");
    project.write("supabase/config.toml", &format!("[db]\nport = {}\n", server.port));
    let forward = project.run(&["forward", "--target", "local", "--json"]).expect(0);
    let target = &forward.json()["target"];
    assert_eq!((&target["database"], &target["port"]), (&"postgres".into(), &server.port.into()), "{target}");
    let refused = project.run(&["reset", "--confirm", "--target", "local"]).expect(3);
    assert!(
        refused.prose().contains("nothing in the database `postgres` says that it may lose data"),
        "{}",
        refused.prose()
    );
    server.stop();
    let down = project.run(&["status", "--target", "local"]).expect(4);
    assert!(down.prose().contains("hint: npx supabase start"), "{}", down.prose());
}
