//! `init` in a repo with nothing of this one: shown, written with consent, without effect a second time, and enough for a drill.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;

use crate::project::Project;
use crate::stranger::{AUTH, AUTH_HISTORY, CONFIG, HEAD, repo};

/// Every file that is the repo's own.
fn tree(project: &Project) -> BTreeMap<String, String> {
    let files = project.files().into_iter();
    files.map(|path| (path.display().to_string(), fs::read_to_string(path).unwrap_or_default())).collect()
}

fn written(json: &Value) -> Vec<String> {
    let files = json["init"]["files"].as_array().unwrap().iter();
    files.map(|file| format!("{} {}", file["does"].as_str().unwrap(), file["path"].as_str().unwrap())).collect()
}

#[test]
fn a_stranger_goes_from_nothing_to_a_drill_without_editing_a_file() {
    let schema = format!("{HEAD}{AUTH}");
    let project = repo(
        &[("prisma.config.ts", CONFIG), ("prisma/schema.prisma", &schema), (".gitlab-ci.yml", "")],
        "prisma/migrations",
        &AUTH_HISTORY,
    );
    let before = tree(&project);
    let shown = project.run(&["init"]).expect(0);
    assert_eq!(tree(&project), before, "it was only shown");
    let (files, scripts) = shown.stdout.split_once("--- package.json").unwrap();
    assert_eq!(files.matches("--- /dev/null\n").count(), 3);
    insta::assert_snapshot!(format!("{}{scripts}", shown.stderr), @r#"
    schema: `prisma/schema.prisma`, of Prisma 7.10.0, installed by npm
    history: 2 in `prisma/migrations`
    config: `prisma.config.ts`
    variable: DATABASE_URL
    Nothing was changed. To write it: cargo xtask init --confirm

    +++ package.json
    @@ -3,4 +3,14 @@
       "devDependencies": {
         "prisma": "7.10.0"
    +  },
    +  "scripts": {
    +    "drill-sandbox": "xtask drill --sandbox",
    +    "check-staging": "xtask env check",
    +    "migrate-staging": "xtask forward",
    +    "rollback-staging": "xtask backward",
    +    "drill-staging": "xtask drill",
    +    "drill-pr": "xtask drill --branch",
    +    "reset-staging": "xtask reset",
    +    "restore-staging": "xtask restore"
       }
     }
    "#);

    project.write("prisma/schema.prisma", &schema.replace("expires      DateTime", "expires      Datetime"));
    let broken = project.run(&["init", "--confirm"]).expect(4);
    insta::assert_snapshot!(broken.said(), @r#"
    error: Prisma cannot read `prisma/schema.prisma`: `prisma validate` exited with code 1
    caused by: Error: Prisma schema validation - (validate wasm)
    caused by: Error code: P1012
    caused by: error: Type "Datetime" is neither a built-in type, nor refers to another model, composite type, or enum. Did you mean "DateTime"?
    caused by: -->  prisma/schema.prisma:32
    caused by: 31 |   userId       String
    caused by: 32 |   expires      Datetime
    hint: npx prisma validate --schema prisma/schema.prisma
    "#);
    project.write("prisma/schema.prisma", &schema);
    assert_eq!(tree(&project), before, "nothing was written");

    let first = project.run(&["init", "--confirm", "--json"]).expect(0);
    let all = ["create drill.toml", "create .env.staging.example", "create .gitignore", "change package.json"];
    assert_eq!(written(&first.json()), all);
    let after = tree(&project);
    let second = project.run(&["init", "--confirm", "--json"]).expect(0);
    assert_eq!((written(&second.json()), tree(&project)), (Vec::new(), after));

    let drill = project.run(&["drill", "--sandbox", "--json"]).expect(0);
    let json = drill.json();
    let stage = |stage: &Value| format!("{} {}", stage["name"].as_str().unwrap(), stage["status"].as_str().unwrap());
    let stages: Vec<String> = json["stages"].as_array().unwrap().iter().map(stage).collect();
    assert_eq!(stages, ["forward ok", "backward ok", "forward ok", "mirror skipped", "parity skipped"]);
    let counts = &json["counts"]["after"];
    let filled = ["User", "Account", "Session", "ApiKey"].map(|table| counts[format!("public.{table}")].as_u64());
    assert_eq!(filled, [Some(1000); 4], "{counts}");
    let usage = [&["init", "--drill"][..], &["init", "--allow-host", "*"]];
    let said = usage.map(|args| project.run(args).expect(2).prose());
    insta::assert_snapshot!(said.join("\n"), @"
    error: `--drill` drills what `--confirm` has written
    hint: cargo xtask init --confirm --drill
    error: `*` in `allow_hosts` of target `staging` cannot be used
    note: write `[user@]host[:port]`: a lower-case host name, `*.` before at least two labels, `localhost`, or an address
    ");
}
