//! `env matrix`: the document says what the variables say, keeps what a person wrote, and never holds a value.

use crate::project::{DRILL_TOML, Project};

const PATH: &str = "docs/deployment/env_matrix.md";
const KEY: &str = "sb_secret_0123456789abcdefghijkl_mnopqrst";

fn staging(project: &Project, host: &str, more: &str) {
    let url = format!("DATABASE_URL=postgresql://hotdash:Hunter2%2FZ%40q%23x%25y%247Kp@{host}:5432/hotdash_test\n");
    project.write(".env.staging", &format!("{url}{more}"));
}

fn project() -> Project {
    let project = Project::new();
    let hosts = DRILL_TOML.replace("[\"127.0.0.1\"]", "[\"*.staging.hotdash.app\"]");
    project.drill_toml(&format!("{hosts}allow_projects = [\"stagingrefabcdefghij\"]\n"));
    project
}

#[test]
fn it_is_written_kept_and_tells_of_a_rotation() {
    let project = project();
    project.write(PATH, "# Where staging is\n\nAsk the deployment agent for access.\n");
    staging(&project, "db.staging.hotdash.app", "SHOPIFY_API_KEY=abcdef0123456789\nFEATURE_FLAG=on\n");
    let first = project.run(&["env", "matrix"]).expect(0);
    let written = project.read(PATH);
    assert!(written.starts_with("# Where staging is\n\nAsk the deployment agent for access.\n"), "{written}");
    assert!(project.run(&["env", "matrix", "--check"]).expect(0).stderr.contains("is up to date"));
    project.run(&["env", "matrix"]).expect(0);
    assert_eq!(project.read(PATH), written, "nothing new, so nothing is written");

    let supabase = format!("SUPABASE_URL=https://stagingrefabcdefghij.supabase.co\nSUPABASE_SERVICE_KEY={KEY}\n");
    staging(&project, "pg.staging.hotdash.app", &supabase);
    let differs = project.run(&["env", "matrix", "--check", "--json"]).expect(5);
    assert_eq!(project.read(PATH), written, "a check writes nothing");
    let changes = differs.json()["matrix"]["changes"].as_array().unwrap().len();
    assert_eq!(changes, 8, "{}", differs.stdout);
    let second = project.run(&["env", "matrix"]).expect(0);
    insta::assert_snapshot!(undated(&project.read(PATH)), @"
    # Where staging is

    Ask the deployment agent for access.

    <!-- staging drill: written by `cargo xtask env matrix` from here on -->

    ## Variables: where each comes from

    | variable | what it is | staging |
    |---|---|---|
    | DATABASE_URL | the database (secret) | `.env.staging` |
    | DIRECT_URL | the database past a pooler (secret) | not set |
    | SHADOW_DATABASE_URL | Prisma's shadow database (secret) | not set |
    | SUPABASE_URL | the API of the Supabase project that holds the mirror | `.env.staging` |
    | SUPABASE_SERVICE_KEY | its service key (secret) | `.env.staging` |
    | SHOPIFY_API_KEY | the application's | not set |
    | SHOPIFY_API_SECRET | the application's | not set |
    | SHOPIFY_APP_URL | the application's | not set |
    | FEATURE_FLAG | the application's | not set |

    ## Targets: as last seen

    | target | database | host | Supabase project | API | service key | since |
    |---|---|---|---|---|---|---|
    | staging | `hotdash_test` | `pg.staging.hotdash.app:5432` | `stagingrefabcdefghij` | `stagingrefabcdefghij.supabase.co` | a secret key (the new kind) | (today) |

    ## Rotations: newest first

    - (today) staging: host was `db.staging.hotdash.app:5432`, is `pg.staging.hotdash.app:5432`
    - (today) staging: Supabase project was none, is `stagingrefabcdefghij`
    - (today) staging: API was none, is `stagingrefabcdefghij.supabase.co`
    - (today) staging: service key was none, is a secret key (the new kind)

    <!-- staging drill: yours again from here on -->
    ");
    for text in [&differs.stdout, &second.stderr, &project.read(PATH)] {
        assert!(!text.contains(KEY) && !text.contains("abcdef0123456789"), "{text}");
    }
    project.assert_no_secret(&[&first, &differs, &second]);
}

/// Today is another day each time.
fn undated(text: &str) -> String {
    let word = |word: &str| {
        if word.starts_with("20") && word.matches('-').count() == 2 { "(today)".to_owned() } else { word.to_owned() }
    };
    let line = |line: &str| line.split(' ').map(word).collect::<Vec<_>>().join(" ");
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_refused_target_a_merge_conflict_and_a_folder_that_cannot_be_leave_it_as_it_is() {
    let project = project();
    staging(&project, "db.production.example.com", "");
    project.run(&["env", "matrix"]).expect(3);
    assert!(!project.path(PATH).exists());
    staging(&project, "db.staging.hotdash.app", "");
    let conflict = "# Matrix\n<<<<<<< HEAD\nours\n=======\ntheirs\n>>>>>>> branch\n";
    project.write(PATH, conflict);
    let answer = project.run(&["env", "matrix"]).expect(4);
    insta::assert_snapshot!(answer.said(), @"
    error: the environment matrix is not in a shape that can be updated
    caused by: it holds the marks of a merge conflict
    note: put right, or remove, the part between `<!-- staging drill: written by `cargo xtask env matrix` from here on -->` and `<!-- staging drill: yours again from here on -->`
    ");
    assert_eq!(project.read(PATH), conflict);
    std::fs::remove_dir_all(project.path("docs")).unwrap();
    project.write("docs", "a file where the folder should be");
    let answer = project.run(&["env", "matrix"]).expect(4);
    insta::assert_snapshot!(answer.said(), @r"
    error: cannot read or write `docs/deployment/env_matrix.md`
    caused by: Not a directory (os error 20)
    hint: chmod u+rw docs/deployment/env_matrix.md
    ");
    let sandbox = project.run(&["--sandbox", "env", "matrix"]).expect(2);
    insta::assert_snapshot!(sandbox.said(), @"
    error: `env matrix` is about the variables of a target, and the sandbox has none
    note: leave out `--sandbox`, or name another target
    ");
}

#[test]
fn the_next_run_says_what_has_rotated() {
    let (project, database) = Project::on_staging("matrix_rotation");
    project.drill_toml(&DRILL_TOML.replace("[\"127.0.0.1\"]", "[\"127.0.0.1\", \"localhost\"]"));
    let claim = || project.run(&["claim", "--confirm", &database.name, "--json"]).expect(0).json();
    assert_eq!(claim().get("notes"), None);
    project.write(".env.staging", &format!("DATABASE_URL={}\n", database.url_at("localhost")));
    let note = claim()["notes"][0].as_str().unwrap().to_owned();
    let expected = format!("host was `127.0.0.1:{0}`, is `localhost:{0}` (cargo xtask env matrix)", database.port);
    assert!(note.starts_with("rotated since ") && note.ends_with(&expected), "{note}");
    assert_eq!(claim().get("notes"), None, "it is told once");
}
