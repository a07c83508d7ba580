//! Prisma 6 the whole way, in a project as its users have it: URLs under names of its own, no config.

use serde_json::Value;

use crate::prisma_six::project;
use crate::project::{Answer, Project};

/// What the run's record says that ran.
fn tools(project: &Project, answer: &Answer) -> [String; 2] {
    let folder = answer.json()["evidence"].as_str().unwrap().to_owned();
    let record: Value = serde_json::from_str(&project.read(&format!("{folder}/run.json"))).unwrap();
    ["prisma", "engine"].map(|tool| record["tools"][tool].as_str().unwrap().to_owned())
}

#[test]
fn prisma_six_goes_forward_and_back_and_is_reset_and_rehearsed() {
    let (project, database) = project("six");
    let columns = "select string_agg(attname, ',' order by attnum) from pg_attribute
        where attrelid = '\"Shop\"'::regclass and attnum > 0 and not attisdropped";
    let ledger = "select count(*) from _prisma_migrations where finished_at is not null";
    let claim = project.run(&["claim", "-q", "--confirm", &database.name]).expect(0);

    let forward = project.run(&["forward", "--json"]).expect(0);
    assert_eq!(database.one::<String>(columns), "id,name");
    assert_eq!(tools(&project, &forward), ["6.19.3", "wasm (7.1.1-3.c2990dca591cba766e3b7ef5d9e8a84796e47ab7)"]);
    // No package of the project has it: the drill has brought it, and keeps it.
    assert!(project.path(".drill/engines/7.1.1-3.c2990dca591cba766e3b7ef5d9e8a84796e47ab7").is_dir());
    assert!(project.path("prisma/generated/client.ts").is_file());

    // Only Prisma's diff knows the way back of a drop.
    let backward = project.run(&["backward"]).expect(0);
    assert_eq!(database.one::<String>(columns), "id,name,city");
    assert_eq!(database.one::<i64>(ledger), 2);

    database.execute("insert into \"Shop\" (name) values ('corner'), ('market')");
    let again = project.run(&["forward"]).expect(0);
    assert_eq!(database.one::<String>(columns), "id,name");

    let reset = project.run(&["reset", "-q", "--confirm"]).expect(0);
    assert_eq!((database.one::<i64>("select count(*) from \"Shop\""), database.one::<i64>(ledger)), (0, 3));
    let restore = project.run(&["restore", "-q", "--confirm"]).expect(0);
    assert_eq!(database.one::<i64>("select count(*) from \"Shop\""), 2);

    let each = project.run(&["drill", "--each", "--json"]).expect(0);
    let json = each.json();
    let verdicts: Vec<_> = json["rehearsal"].as_array().unwrap().iter().map(|one| &one["verdict"]).collect();
    assert_eq!(verdicts, ["reversible", "reversible", "lossy"], "{}", json["rehearsal"]);
    project.assert_no_secret(&[&claim, &forward, &backward, &again, &reset, &restore, &each]);
}
