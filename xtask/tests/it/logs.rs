//! A child's log that cannot be written whole, in a run.

use serde_json::json;

use crate::project::Project;

/// A limit on the size of files stands for a disk that is full for the log alone: Prisma's config says more than it takes.
#[test]
fn a_log_that_is_not_whole_fails_its_step() {
    let (project, database) = Project::on_staging("logs_cut");
    let config = project.read("prisma/postgres.config.ts");
    project.write("prisma/postgres.config.ts", &format!("{config}\n{LOUD}"));
    let mut command = project.shell("trap '' XFSZ; ulimit -f 16384; exec \"$@\"", &["forward", "--json"]);
    let answer = Project::answer(&mut command).expect(1);
    let json = answer.json();
    let deploy = &json["stages"][0]["steps"][3];
    let said = ["status", "exit", "detail"].map(|key| &deploy[key]);
    let message = "cannot write the whole of `04-migrate-deploy.log`";
    assert_eq!(said, [&json!("failed"), &json!("success"), &json!(message)]);
    assert_eq!(
        json["error"],
        json!({
            "message": message,
            "causes": [
                "File too large (os error 27)",
                "the program itself exited 0",
            ],
        })
    );
    // The child went on to its end.
    assert_eq!(database.one::<i64>("select count(*) from _prisma_migrations where finished_at is not null"), 4);
}

const LOUD: &str = r#"
if (process.argv.includes("deploy")) process.stderr.write("more than a log of a few megabytes takes\n".repeat(500_000));
"#;
