//! `forward --deployed`: the client of another commit, before the migrations and after them.

use std::process::Command;

use serde_json::Value;

use crate::project::Project;

/// In a repo of the project's own, that knows nothing of the developer's settings.
fn git(project: &Project, args: &[&str]) {
    let mut command = Command::new("git");
    command.args(["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"]).args(args);
    command.current_dir(project.path("")).env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Rows that need others, a value from a list, and a name that is taken once.
const MORE: &str = r#"
enum Mood {
  CALM
  BUSY
}

model Parent { // as no pattern expects it
  id     String   @id @default(uuid()) @db.Uuid
  name   String   @unique @db.VarChar(5)
  mood   Mood
  amount Decimal  @db.Decimal(10, 2)
  bytes  Bytes
  tags   String[]
  at     DateTime @db.Date
  kids   Kid[]
}

model Kid {
  a        BigInt
  b        String
  parent   Parent @relation(fields: [parentId], references: [id])
  parentId String @db.Uuid
  notes    Json
  size     Int    @db.SmallInt

  @@id([a, b], name: "both")
}
"#;
const MORE_SQL: &str = r#"
create type "Mood" as enum ('CALM', 'BUSY');
create table "Parent" (id uuid primary key, name varchar(5) not null unique, mood "Mood" not null, amount decimal(10, 2) not null,
    bytes bytea not null, tags text[], at date not null);
create table "Kid" (a bigint, b text, "parentId" uuid not null references "Parent" (id), notes jsonb not null, size smallint not null, primary key (a, b));
"#;
/// Of the release alone: nothing of it is started again.
const GONE: &str = "\ngenerator gone {\n  provider = \"no-such-program\"\n  output   = \"../gone\"\n}\n";
/// A value that the older client does not know is a value, and none that a message may show.
const BREAKING: &str = r#"
alter table "Session" drop column scope;
alter table "Kid" add column later int;
alter table "DecisionLog" add column room text not null;
alter table "Parent" alter column mood type text, add check (mood <> 'CALM');
insert into "Parent" values (gen_random_uuid(), 'x', 's3cret', 1, '', '{}', now());
"#;

/// One of another major, and the one that is running.
fn releases(project: &Project, schema: &str) {
    git(project, &["init", "-q"]);
    let package = project.read("package.json");
    for (tag, text) in [("older", package.replace("\"7.10.0\"", "\"^6.19.0\"")), ("live", package.clone())] {
        project.write("package.json", &text);
        project.write("prisma/schema.postgres.prisma", &(schema.to_owned() + GONE));
        git(project, &["add", "prisma", "package.json"]);
        git(project, &["commit", "-q", "-m", tag]);
        git(project, &["tag", tag]);
    }
}

/// The new client, before the migrations.
fn the_other_way_round(json: &Value) {
    let early = json["notes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|note| note.as_str().unwrap())
        .find(|note| note.contains("new client"));
    insta::assert_snapshot!(early.unwrap_or_default(), @"the new client does not go with the database before the migrations, so they have to come first: `Kid` (reads: P2022: The column `Kid.later` does not exist in the current database.)");
    let next = json["deployed"]["next"].as_array().unwrap();
    assert_eq!(
        next.iter().filter(|model| model["reads"] == "compatible" && model["writes"] == "compatible").count(),
        2,
        "{json}"
    );
}

#[test]
fn the_client_of_the_release_that_is_running_is_tried_before_and_after() {
    let (project, database) = Project::on_staging("deployed");
    let schema = project.read("prisma/schema.postgres.prisma") + MORE;
    project.write("prisma/schema.postgres.prisma", &schema);
    project.migration("20260101000000_more", MORE_SQL);
    releases(&project, &schema);
    project.write("prisma/schema.postgres.prisma", &schema);
    project.run(&["forward", "-q"]).expect(0);
    let room = schema.replacen("  scope         String?\n", "", 1).replacen(
        "  notes    Json\n",
        "  notes    Json\n  later    Int?\n",
        1,
    );
    project.write("prisma/schema.postgres.prisma", &room);
    project.migration("20260102000000_room", BREAKING);

    let refused = [("nowhere", 2), ("-nowhere", 2), ("older", 4)]
        .map(|(reference, code)| project.run(&["forward", &format!("--deployed={reference}")]).expect(code).failure());
    insta::assert_snapshot!(refused.join("\n"), @"
    error: there is no commit `nowhere` in this repo
    note: nothing was changed
    note: fetch it first, or name another commit, tag or branch with `--deployed`
    error: there is no commit `-nowhere` in this repo
    note: nothing was changed
    note: fetch it first, or name another commit, tag or branch with `--deployed`
    error: the client of `older` cannot be tried: it has Prisma 6, and 7 is installed here
    note: nothing was changed
    note: leave out `--deployed`
    ");

    let answer = project.run(&["forward", "--deployed", "live", "--json"]).expect(5);
    insta::assert_snapshot!(answer.failure(), @r#"
    error: the migrations break the release that is running (`live`)
    caused by: `Session`: breaks reads and writes: P2022: The column `Session.scope` does not exist in the current database.
    caused by: `DecisionLog`: breaks writes: P2011: Null constraint violation on the (not available): null value in column "room" of relation "DecisionLog" violates not-null constraint
    caused by: `Parent`: breaks reads and writes: P2023: what Prisma says is left out, since it may hold a value
    caused by: `Kid`: breaks writes: P2039: Database error. Code: `23514`. Message: `new row for relation "Parent" violates check constraint "Parent_mood_check"`
    note: add first, and take away once no release uses it any more: two migrations, with a release between them
    note: the database now: 1 migration applied by this run, 0 pending
    hint: cargo xtask forward --accept-breaking --deployed live
    "#);
    let json = answer.json();
    the_other_way_round(&json);
    let can = |model: &Value| [&model["reads"], &model["writes"]].map(|can| can == "compatible");
    let models = json["deployed"]["models"].as_array().unwrap();
    let can: Vec<_> = models.iter().map(|model| (model["model"].as_str().unwrap(), can(model))).collect();
    let (yes, no) = ([true, true], [false, false]);
    let expected = [
        ("Session", no),
        ("DashboardFact", yes),
        ("DecisionLog", [true, false]),
        ("Parent", no),
        ("Kid", [true, false]),
    ];
    assert_eq!(can, expected, "{json}");
    assert!(models.iter().all(|model| !model.to_string().contains("not_tried")), "{json}");
    assert!(project.files().iter().all(|path| {
        !path.ends_with("deployed-after.log") || !std::fs::read_to_string(path).unwrap().contains("s3cret")
    }));
    let rows =
        r#"select (select count(*) from "Session") + (select count(*) from "Parent") + (select count(*) from "Kid")"#;
    assert_eq!(database.one::<i64>(rows), 1);
    let left = project.files().into_iter().filter(|path| path.to_string_lossy().contains("/.drill/deployed/"));
    assert_eq!(left.count(), 0);
    let again = project.run(&["forward", "--deployed", "live", "--json"]).expect(0).json();
    assert!(again["notes"].to_string().contains("the client of `live` was not tried: nothing is pending"), "{again}");
}

#[test]
fn a_drill_tries_the_release_that_its_branch_came_from_where_the_migrations_do_more_than_add() {
    let (project, database) = Project::on_staging("deployed_drill");
    project.run(&["claim", "-q", "--confirm", &database.name]).expect(0);
    git(&project, &["init", "-q", "-b", "main"]);
    git(&project, &["add", "prisma", "package.json"]);
    git(&project, &["commit", "-q", "-m", "live"]);
    git(&project, &["checkout", "-q", "-b", "work"]);
    project.run(&["forward", "-q"]).expect(0);
    let mut schema = project.read("prisma/schema.postgres.prisma");
    let mut pending = |name: &str, sql: &str, from: &str, to: &str| {
        project.migration(name, sql);
        project.write(&format!("prisma/postgres/migrations/{name}/down.sql"), "select 1;");
        schema = schema.replacen(from, to, 1);
        project.write("prisma/schema.postgres.prisma", &schema);
    };
    let column = "  state         String\n";
    pending(
        "20260101000000_add",
        "alter table \"Session\" add column room text;",
        column,
        &format!("{column}  room          String?\n"),
    );
    let drill =
        |more: &[&str]| project.run(&[&["drill", "--no-mirror", "--accept-data-loss", "--json"], more].concat());
    let tried = |json: &Value| json["stages"][0]["steps"].to_string().contains("generate deployed");
    let down = "alter table \"Session\" drop column room;";
    project.write("prisma/postgres/migrations/20260101000000_add/down.sql", down);
    assert!(!tried(&drill(&[]).expect(0).json()), "it only adds");

    pending("20260102000000_drop", "alter table \"Session\" drop column scope;", "  scope         String?\n", "");
    project.write(
        "prisma/postgres/migrations/20260102000000_drop/down.sql",
        "alter table \"Session\" add column scope text;",
    );
    let told = |text: String| regex::Regex::new("`[0-9a-f]{12}`").unwrap().replace_all(&text, "`COMMIT`").into_owned();
    insta::assert_snapshot!(told(drill(&[]).expect(5).failure()), @"
    error: the migrations break the release that is running (`COMMIT`)
    caused by: `Session`: breaks reads and writes: P2022: The column `Session.scope` does not exist in the current database.
    note: add first, and take away once no release uses it any more: two migrations, with a release between them
    note: the database now: 1 migration applied by this run, 0 pending
    note: the drill stopped in stage 1 of 5: the first forward
    hint: cargo xtask drill --accept-breaking
    ");

    pending("20260103000000_drop", "alter table \"Session\" drop column locale;", "  locale        String?\n", "");
    project.write(
        "prisma/postgres/migrations/20260103000000_drop/down.sql",
        "alter table \"Session\" add column locale text;",
    );
    let plan = drill(&["--plan", "--no-deployed"]).expect(0);
    assert!(!plan.stdout.contains("generate deployed"));
    std::fs::remove_dir_all(project.path(".git")).unwrap();
    let json = drill(&[]).expect(0).json();
    let note = json["notes"].as_array().unwrap().iter().find(|note| note.to_string().contains("not tried")).unwrap();
    insta::assert_snapshot!(note.as_str().unwrap(), @"whether the migrations break the release that is running was not tried: git knows no merge base with a main branch, as in a clone that is cut off or has no such branch");
}
