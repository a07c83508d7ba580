//! SIGKILL within `reset` and `restore`: what is typed then ends with everything as it was. A few places; `cargo chore ci-long` tries all.

use crate::killing::Staging;

#[test]
fn what_a_kill_leaves_is_put_right_by_what_the_next_run_says() {
    let staging = Staging::new("killed");
    let gates = [("DROP SCHEMA", "public"), ("CREATE TABLE", "\"DecisionLog\"")];
    let mut said = staging.killed_at(&gates);
    staging.kill(&["reset", "--confirm"], ("CREATE TRIGGER", "greet_new"));
    let status = staging.project.run(&["status", "--json"]).expect(5).json();
    let row = status["checks"].as_array().unwrap().iter().find(|check| check["name"] == "reset").unwrap();
    insta::assert_snapshot!(row, @r#"{"name":"reset","status":"fail","message":"one was cut short, and not all that it took is back","hint":"cargo xtask restore --confirm","hint_command":"cargo xtask restore --confirm","cause":null}"#);
    staging.kill(&["restore", "--confirm"], ("ALTER TABLE", "add constraint"));
    said.push(format!("reset, and its restore: {}", staging.came_back("restore --confirm")));
    insta::assert_snapshot!(said.join("\n"), @r#"
    DROP SCHEMA public: restore --confirm
    CREATE TABLE "DecisionLog": restore --confirm
    reset, and its restore: restore --confirm
    "#);
}
