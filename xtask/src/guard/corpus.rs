//! Tests of `check` as a whole: every line of the corpus of measured targets, what a refusal may never say, and the
//! conflicts that need more than one variable.

use std::collections::BTreeMap;

use jiff::Timestamp;
use pin::dsn::Dsn;
use redact::Secret;
use serde::Deserialize;

use crate::guard::*;

/// One second after the corpus's expired key ended.
const NOW: Timestamp = Timestamp::constant(1_795_348_800, 0);

#[derive(Default, Deserialize)]
struct Case {
    id: String,
    expect: String,
    hard: bool,
    exported: BTreeMap<String, String>,
    env_file: Option<String>,
    #[serde(default)]
    project_files: BTreeMap<String, String>,
    #[serde(default)]
    acceptable_if_scrubbed: Vec<String>,
    #[serde(default)]
    must_forward: Vec<String>,
    decoded_password: Option<String>,
}

fn cases() -> Vec<Case> {
    let lines = include_str!("../../tests/corpus/targets.jsonl").lines();
    lines.map(|line| serde_json::from_str(line).expect("the corpus is JSON lines")).collect()
}

/// The policy that the corpus assumes.
pub fn policy() -> Policy {
    let mut policy = Policy::new("staging");
    policy.allow_hosts = ["*.staging.hotdash.app", "localhost", "127.0.0.1", "::1"].map(String::from).into();
    policy.allow_projects = vec!["stagingrefabcdefghij".into()];
    policy.application_variables = vec!["SHOPIFY_API_KEY".into()];
    policy
}

fn answer(case: &Case) -> Result<Candidate, Vec<Refusal>> {
    answer_by(&policy(), case)
}

fn answer_by(policy: &Policy, case: &Case) -> Result<Candidate, Vec<Refusal>> {
    let files: Vec<_> =
        case.project_files.iter().map(|(name, text)| (name.clone(), text.clone().into_bytes())).collect();
    check(&Declared {
        policy,
        env_file: case.env_file.as_ref().map(|text| (".env.staging", text.as_bytes())),
        exported: &case.exported,
        project_files: &files,
        now: NOW,
    })
}

/// The answer to an environment, or to an env file, as one line of code in a test.
pub fn ask(
    env_file: Option<&str>,
    exported: &[(&str, &str)],
    files: &[(&str, &str)],
) -> Result<Candidate, Vec<Refusal>> {
    ask_with(&policy(), env_file, exported, files)
}

pub fn ask_with(
    policy: &Policy,
    env_file: Option<&str>,
    exported: &[(&str, &str)],
    files: &[(&str, &str)],
) -> Result<Candidate, Vec<Refusal>> {
    let map =
        |pairs: &[(&str, &str)]| pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    let case = Case {
        id: String::new(),
        expect: String::new(),
        hard: true,
        exported: map(exported),
        env_file: env_file.map(str::to_owned),
        project_files: map(files),
        acceptable_if_scrubbed: Vec::new(),
        must_forward: Vec::new(),
        decoded_password: None,
    };
    answer_by(policy, &case)
}

fn refused(env_file: Option<&str>, exported: &[(&str, &str)], files: &[(&str, &str)]) -> String {
    told(&ask(env_file, exported, files).map(|candidate| candidate.dsn().identity()).expect_err("refused"))
}

pub fn told(refusals: &[Refusal]) -> String {
    refusals.iter().map(|refusal| format!("{}: {}\n  {}\n", refusal.check, refusal.message, refusal.hint)).collect()
}

#[test]
fn every_line_of_the_corpus_gets_its_answer() {
    let mut wrong = Vec::new();
    let mut preferred_otherwise = Vec::new();
    for case in cases() {
        let answer = answer(&case);
        let left_behind = |candidate: &Candidate| {
            let scrubbed = &case.acceptable_if_scrubbed;
            !scrubbed.is_empty() && scrubbed.iter().all(|name| candidate.unforwarded().contains(name))
        };
        match (&answer, case.expect.as_str()) {
            (Ok(_), "allow") | (Err(_), "refuse") => {}
            (Ok(candidate), _) if left_behind(candidate) => {}
            _ if !case.hard => preferred_otherwise.push(case.id),
            (answer, _) => {
                wrong.push(format!("{}: {}", case.id, answer.as_ref().err().map(|r| told(r)).unwrap_or_default()))
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert_eq!(preferred_otherwise, Vec::<String>::new());
}

#[test]
fn an_allowed_password_is_decoded_exactly_once() {
    for case in cases().iter().filter(|case| case.decoded_password.is_some()) {
        let Ok(candidate) = answer(case) else { continue };
        assert_eq!(
            candidate.dsn().password.as_ref().map(Secret::expose),
            case.decoded_password.as_deref(),
            "{}",
            case.id
        );
    }
}

#[test]
fn markers_are_forwarded() {
    for name in cases().iter().flat_map(|case| &case.must_forward) {
        assert!(forwarded_markers().contains(&name.as_str()), "{name}");
    }
}

/// What stands between `:` and `@` of any URL, and every key, of a case; parts long enough to be told from prose.
fn secrets(case: &Case) -> Vec<String> {
    let values =
        case.exported.values().cloned().chain(case.env_file.clone()).chain(case.project_files.values().cloned());
    let text: String = values.collect::<Vec<_>>().join("\n");
    let passwords = regex::Regex::new(r"://[^:/@\s]*:([^\s@]+)@").expect("compiles");
    let keys = regex::Regex::new(r"eyJ[A-Za-z0-9_.-]+|sb[a-z]*_[A-Za-z0-9_]{20,}|api_key=\S+").expect("compiles");
    let passwords = passwords.captures_iter(&text).map(|found| found[1].to_owned());
    let mut secrets: Vec<String> =
        passwords.chain(keys.find_iter(&text).map(|found| found.as_str().to_owned())).collect();
    secrets.extend(["s3cret", "prodpw", "pa#ss", "w0rd"].map(String::from));
    secrets.retain(|secret| secret.len() > 3 && secret != "postgres" && !secret.contains("hotdash.app"));
    secrets
}

#[test]
fn no_refusal_holds_a_password_or_a_key() {
    for case in cases() {
        let Err(refusals) = answer(&case) else { continue };
        assert!(!refusals.is_empty(), "{}", case.id);
        for secret in secrets(&case) {
            assert!(!told(&refusals).contains(&secret), "{}: {}", case.id, told(&refusals));
        }
    }
}

pub const STAGING: &str = "postgresql://hotdash:s3cret@db.staging.hotdash.app:5432/hotdash_staging";
const POOLED: &str =
    "postgresql://postgres.stagingrefabcdefghij:s3cret@aws-0-eu-central-1.pooler.supabase.com:5432/postgres";
const DIRECT: &str = "postgresql://postgres:s3cret@db.stagingrefabcdefghij.supabase.co/postgres";
const LOOPBACK: &str = "postgresql://hotdash:s3cret@127.0.0.1:5432/hotdash_staging";
const PUNYCODE: &str = "postgresql://hotdash:s3cret@xn--bcher-kva.staging.hotdash.app:5432/hotdash_staging";

fn file(lines: &[(&str, &str)]) -> String {
    lines.iter().map(|(name, value)| format!("{name}={value}\n")).collect()
}

#[test]
fn a_target_in_two_places_is_refused_unless_both_say_the_same() {
    let staging = file(&[("DATABASE_URL", STAGING)]);
    assert!(ask(Some(&staging), &[("DATABASE_URL", STAGING), ("SUPABASE_URL", "")], &[]).is_ok());
    let prod = "postgresql://hotdash:prodpw@prod.example.com/hotdash";
    assert_eq!(
        refused(Some(&staging), &[("DATABASE_URL", prod), ("DIRECT_URL", STAGING)], &[]),
        "source: `DATABASE_URL` is exported with a value that differs from `.env.staging`'s\n  unset DATABASE_URL\n\
         source: `DIRECT_URL` is exported, but `.env.staging` does not set it\n  unset DIRECT_URL\n"
    );
}

#[test]
fn without_an_env_file_the_environment_is_the_source() {
    let candidate = ask(None, &[("DATABASE_URL", STAGING), ("SHOPIFY_API_KEY", "k"), ("EDITOR", "vi")], &[]).unwrap();
    assert_eq!(*candidate.source(), Source::Process);
    assert_eq!(candidate.variables().iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["SHOPIFY_API_KEY"]);
}

#[test]
fn children_get_application_variables_and_no_address_or_key() {
    let text = file(&[
        ("DATABASE_URL", POOLED),
        ("DIRECT_URL", DIRECT),
        ("SUPABASE_URL", "https://stagingrefabcdefghij.supabase.co/"),
        ("SUPABASE_SERVICE_KEY", "sb_secret_AbCdEfGhIjKlMnOpQrStUv_1a2b3c4d"),
        ("SUPABASE_ACCESS_TOKEN", "sbp_0000000000000000000000000000000000000000"),
        ("POSTGRES_URL", POOLED),
        ("SHOPIFY_APP_URL", "https://staging.hotdash.app"),
        ("EMPTY", ""),
    ]);
    let candidate = ask(Some(&text), &[("PGHOST", "x"), ("CLAUDECODE", "1"), ("HOME", "/h")], &[]).unwrap();
    let names: Vec<_> = candidate.variables().iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["SHOPIFY_APP_URL", "EMPTY"]);
    assert_eq!(candidate.unforwarded(), ["PGHOST", "POSTGRES_URL", "SUPABASE_ACCESS_TOKEN"]);
    assert_eq!(candidate.project_ref(), Some("stagingrefabcdefghij"));
    assert_eq!(
        candidate.direct().map(Dsn::identity).as_deref(),
        Some("db.stagingrefabcdefghij.supabase.co:5432/postgres")
    );
    let api = candidate.supabase().expect("was given");
    assert_eq!(api.url, "https://stagingrefabcdefghij.supabase.co");
    assert_eq!(api.key.as_ref().map(|key| key.kind), Some(KeyKind::Secret));
}

#[test]
fn an_env_file_may_not_move_a_tool_or_answer_a_gate() {
    for name in [
        "PGHOST",
        "NODE_OPTIONS",
        "PATH",
        "LD_LIBRARY_PATH",
        "CLAUDECODE",
        "SUPABASE_YES",
        "RES_OPTIONS",
        "PRISMA_USER_CONSENT_FOR_DANGEROUS_AI_ACTION",
    ] {
        let told = refused(Some(&file(&[("DATABASE_URL", STAGING), (name, "hunter2")])), &[], &[]);
        assert!(told.contains(&format!("`{name}`")) && !told.contains("hunter2"), "{told}");
    }
}

#[test]
fn a_url_or_key_of_production_under_any_name_is_refused() {
    let token =
        cases().iter().find(|case| case.id == "sbx-key-anon").expect("in the corpus").exported["SUPABASE_SERVICE_KEY"]
            .clone();
    let other = "prodrefabcdefghijklm";
    assert!(ask(Some(&file(&[("DATABASE_URL", STAGING), ("ANON_KEY", &token)])), &[], &[]).is_ok());
    for value in [
        "postgresql://u:hunter2@prod.example.com/hotdash",
        "POSTGRES://u:hunter2@prod.example.com/hotdash_test",
        "jdbc:postgresql://prod.example.com/hotdash",
        "https://prodrefabcdefghijklm.supabase.co",
        "postgresql://hotdash:s3cret@db.staging.hotdash.app:5432/other_staging",
    ] {
        let told = refused(Some(&file(&[("DATABASE_URL", STAGING), ("REPORTS", value)])), &[], &[]);
        assert!(told.contains("`REPORTS`") && !told.contains("hunter2"), "{told}");
    }
    assert!(refused(None, &[("DATABASE_URL", STAGING), ("SUPABASE_PROJECT_REF", other)], &[]).starts_with("project: "));
}

#[test]
fn the_local_stack_goes_together_and_with_nothing_hosted() {
    let header = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";
    let demo = "eyJpc3MiOiJzdXBhYmFzZS1kZW1vIiwicm9sZSI6InNlcnZpY2Vfcm9sZSIsImV4cCI6MTk4MzgxMjk5Nn0";
    let demo = format!("{header}.{demo}.c2ln");
    let local = "postgresql://postgres:postgres@127.0.0.1:54322/hotdash_test";
    let (here, hosted) = ("http://127.0.0.1:54321", "https://stagingrefabcdefghij.supabase.co");
    let ask_for =
        |url, api| ask(None, &[("DATABASE_URL", url), ("SUPABASE_URL", api), ("SUPABASE_SERVICE_KEY", &demo)], &[]);
    assert!(ask_for(local, here).is_ok());
    assert!(ask_for(POOLED, here).is_err());
    assert!(ask_for(STAGING, here).is_err());
    assert!(ask_for(local, hosted).is_err());
}

#[test]
fn a_key_without_an_address_opens_nobody_knows_what() {
    let key = "sb_secret_AbCdEfGhIjKlMnOpQrStUv_1a2b3c4d";
    assert!(
        refused(None, &[("DATABASE_URL", POOLED), ("SUPABASE_SERVICE_KEY", key)], &[]).starts_with("service-key: ")
    );
}

#[test]
fn a_shadow_database_is_never_the_target_by_another_name() {
    let refuse = |shadow: &str| refused(None, &[("DATABASE_URL", STAGING), ("SHADOW_DATABASE_URL", shadow)], &[]);
    for shadow in [
        "postgresql://other:s3cret@DB.staging.hotdash.app/hotdash_staging",
        "postgresql://hotdash:s3cret@alias.staging.hotdash.app:6432/hotdash_staging",
    ] {
        assert!(refuse(shadow).starts_with("shadow-url: "), "{shadow}");
    }
    assert!(refuse(DIRECT).starts_with("database: "), "a project's own `postgres` must not be wiped");
}

#[test]
fn a_direct_url_leads_to_the_same_project_and_side_of_loopback() {
    let local = "postgresql://hotdash@localhost/hotdash_staging";
    let own = "postgresql://hotdash:s3cret@pool.staging.hotdash.app:6432/hotdash_staging";
    let ask_for = |url, direct| ask(None, &[("DATABASE_URL", url), ("DIRECT_URL", direct)], &[]);
    assert!(ask_for(own, STAGING).is_ok() && ask_for(POOLED, DIRECT).is_ok());
    assert!(refused(None, &[("DATABASE_URL", STAGING), ("DIRECT_URL", local)], &[]).starts_with("direct-url: "));
}

#[test]
fn a_supabase_host_answers_for_a_project_on_two_ports_and_to_a_plain_user_only() {
    let pooler = "s3cret@aws-0-eu-central-1.pooler.supabase.com";
    for (url, known) in [
        (format!("postgresql://postgres.stagingrefabcdefghij:{pooler}:6543/postgres"), true),
        (format!("postgresql://postgres.stagingrefabcdefghij:{pooler}:5433/postgres"), false),
        (format!("postgresql://postgres%2Estagingrefabcdefghij:{pooler}/postgres"), false),
        (format!("postgresql://a.cluster.stagingrefabcdefghij:{pooler}/postgres"), false),
        ("postgresql://postgres:s3cret@db.stagingrefabcdefghij.supabase.co:80/postgres".into(), false),
    ] {
        assert_eq!(ask(None, &[("DATABASE_URL", &url)], &[]).is_ok(), known, "{url}");
    }
}

#[test]
fn what_moves_our_own_resolver_is_refused() {
    let exported =
        [("DATABASE_URL", STAGING), ("LOCALDOMAIN", "evil.example.com"), ("HOSTALIASES", "/x"), ("RES_OPTIONS", "")];
    let told = refused(None, &exported, &[]);
    assert_eq!(told.matches("resolver: ").count(), 2, "{told}");
}

#[test]
fn a_production_file_that_shares_the_target_is_refused() {
    let key =
        cases().iter().find(|case| case.id == "sbx-key-anon").expect("in the corpus").exported["SUPABASE_SERVICE_KEY"]
            .clone();
    for (url, text) in [
        (STAGING, format!("DATABASE_URL={STAGING}")),
        (STAGING, "PGHOST=DB.staging.hotdash.app\nPGDATABASE='hotdash_staging'".into()),
        (POOLED, "SUPABASE_PROJECT_REF=stagingrefabcdefghij".into()),
        (POOLED, format!("DATABASE_URL={DIRECT}")),
        (DIRECT, format!("DATABASE_URL={POOLED}")),
        (POOLED, format!("SUPABASE_ANON_KEY=\"{key}\"")),
        (STAGING, "URL=postgresql://u@DB.Staging.HotDash.App./hotdash_staging".into()),
        (STAGING, "URL=postgresql://u@db.staging.hotdash.app:6543/hotdash_staging".into()),
        (STAGING, "URL=postgresql://u@db%2Estaging.hotdash.app/hotdash%5Fstaging".into()),
        (STAGING, "URL=postgresql://u@db\u{3002}staging\u{ff0e}hotdash.app/hotdash_staging".into()),
        (STAGING, "URL=postgresql://hotdash_staging:pw@db.staging.hotdash.app".into()),
        (STAGING, "URL=postgresql:///hotdash_staging?host=db.staging.hotdash.app".into()),
        (LOOPBACK, "URL=postgresql://u@localhost/hotdash_staging".into()),
        (LOOPBACK, "URL=postgresql://u@127.1:5432/hotdash_staging".into()),
        (LOOPBACK, "URL=postgresql://u@0x7f.1/hotdash_staging".into()),
        (LOOPBACK, "URL=postgresql://u@2130706433/hotdash_staging".into()),
        (LOOPBACK, "URL=postgresql://u@0/hotdash_staging".into()),
        (LOOPBACK, "PGHOST='::1'\nPGDATABASE=hotdash_staging".into()),
        (LOOPBACK, "URL=postgresql://u@[::ffff:127.0.0.1]:5432/hotdash_staging".into()),
        (PUNYCODE, "URL=postgresql://u@B\u{dc}cher.staging.hotdash.app/hotdash_staging".into()),
        (
            DIRECT,
            "URL=postgres://postgres%2Estagingrefabcdefghij:pw@aws-0-eu-central-1.pooler.supabase.com/postgres".into(),
        ),
        (POOLED, "URL=postgres://postgres@DB.STAGINGREFABCDEFGHIJ.supabase.co./postgres".into()),
    ] {
        let told = refused(None, &[("DATABASE_URL", url)], &[(".env.production.local", &text)]);
        assert!(told.starts_with("production-file: `.env.production.local`"), "{told}");
        assert!(!told.contains("s3cret"), "{told}");
    }
    for (url, text) in [
        (STAGING, "DATABASE_URL=postgresql://hotdash:prodpw@db.staging.hotdash.app/hotdash"),
        (STAGING, "# like postgresql://x@db.staging.hotdash.app/hotdash_staging"),
        (LOOPBACK, "PORT=5432\nN=0\nURL=postgresql://u@db.hotdash.app:5432/hotdash_staging"),
        (LOOPBACK, "REDIS=redis://localhost:6379\nURL=postgresql://u@db.hotdash.app/hotdash"),
        (STAGING, "URL=postgresql://u@xdb.staging.hotdash.app/hotdash_staging"),
        (STAGING, "URL=postgresql://u@db.staging.hotdash.app.evil.com/hotdash_staging"),
        (POOLED, "URL=postgresql://postgres.prodrefabcdefghijklm:pw@aws-0-eu-central-1.pooler.supabase.com/postgres"),
    ] {
        assert!(ask(None, &[("DATABASE_URL", url)], &[(".env.production", text)]).is_ok(), "{text}");
    }
}

#[test]
fn prisma_may_not_find_in_dotenv_what_the_target_leaves_open() {
    let dotenv = [("prisma/.env", "DIRECT_URL=postgresql://hotdash:prodpw@prod.example.com:5432/hotdash\n")];
    let told = refused(None, &[("DATABASE_URL", STAGING)], &dotenv);
    assert!(told.contains("`prisma/.env` sets `DIRECT_URL`") && !told.contains("prodpw"), "{told}");
    assert!(ask(None, &[("DATABASE_URL", STAGING), ("DIRECT_URL", STAGING)], &dotenv).is_ok());
}

#[test]
fn all_refusals_come_at_once_and_say_what_to_do() {
    let exported = [
        ("DATABASE_URL", "postgresql://hotdash@prod.example.com/hotdash?schema=auth"),
        ("DIRECT_URL", "postgresql://hotdash:<password>@db.staging.hotdash.app/hotdash_staging"),
        ("SUPABASE_URL", "https://api.hotdash.app"),
        ("RES_OPTIONS", "ndots:10"),
    ];
    assert_eq!(
        refused(None, &exported, &[]),
        "\
host: `DATABASE_URL` leads to `prod.example.com`, which is not an allowed host of target `staging`
  correct `DATABASE_URL`; or, if that host is staging, add \"prod.example.com\" to `allow_hosts` in drill.toml
database: `DATABASE_URL` names the database `hotdash`, which target `staging` does not allow
  name a database that fits `allow_databases` in drill.toml: `*_staging`, `*_test`, `*_sandbox`; or, if that database is staging, add \"hotdash\" to it
password: `DATABASE_URL` has no password
  write `user:password@` in `DATABASE_URL`; only loopback does without
schema: `DATABASE_URL` names the schema `auth`, which a reset would drop and target `staging` does not allow
  write `schema=` and one of `public`, or leave it out; or, if the schema is yours, add it to `allow_schemas` in drill.toml
source: `DIRECT_URL` still holds a placeholder in the environment
  replace every part of `DIRECT_URL` with the real value
supabase-url: `SUPABASE_URL` is not the address of one Supabase project
  write `SUPABASE_URL=https://<project ref>.supabase.co`, all lower case and nothing behind it
resolver: `RES_OPTIONS` is exported: it can lead the host's name elsewhere, for this program too
  unset RES_OPTIONS
"
    );
}

#[test]
fn the_variables_of_supabase_are_judged_alike_under_any_name() {
    let own = |text: &str| {
        let text = text.replace("SUPABASE_SERVICE_KEY", "SUPABASE_SERVICE_ROLE_KEY");
        text.replace("SUPABASE_URL", "NEXT_PUBLIC_SUPABASE_URL")
    };
    let own_policy = Policy { api_url_env: own("SUPABASE_URL"), api_key_env: own("SUPABASE_SERVICE_KEY"), ..policy() };
    let mut seen = 0;
    for case in cases() {
        let owned = |map: &BTreeMap<String, String>| map.iter().map(|(name, value)| (own(name), own(value))).collect();
        let theirs = Case {
            exported: owned(&case.exported),
            env_file: case.env_file.as_deref().map(own),
            project_files: owned(&case.project_files),
            ..Case::default()
        };
        let said = |answer: Result<Candidate, Vec<Refusal>>| answer.err().map(|refusals| told(&refusals));
        let [usual, theirs] = [said(answer(&case)), said(answer_by(&own_policy, &theirs))];
        seen += usize::from(usual.as_ref().is_some_and(|text| text != &own(text)));
        assert_eq!(usual.as_deref().map(own), theirs, "{}", case.id);
    }
    assert!(seen > 5, "refusals that name one: {seen}");
}

#[test]
fn a_policy_that_allows_everything_allows_nothing() {
    let mut policy = policy();
    policy.allow_databases.push("*".into());
    let exported = BTreeMap::from([("DATABASE_URL".to_owned(), STAGING.to_owned())]);
    let declared = Declared { policy: &policy, env_file: None, exported: &exported, project_files: &[], now: NOW };
    assert!(
        told(&check(&declared).map(|_| ()).expect_err("refused"))
            .starts_with("policy: drill.toml: `*` in `allow_databases`")
    );
}

proptest::proptest! {
    #[test]
    fn no_input_panics(
        text in "(DATABASE_URL|DIRECT_URL|SUPABASE_URL|X)=(postgresql://)?\\PC{0,30}\n?", value in "\\PC{0,40}",
        file in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..60),
    ) {
        let names = ["SUPABASE_SERVICE_KEY", "SUPABASE_URL", "POSTGRES_URL", "SUPABASE_PROJECT_REF"];
        let others = names.iter().map(|name| (*name, value.as_str()));
        let exported: Vec<_> = others.chain([("DATABASE_URL", STAGING)]).collect();
        let known = "hotdash_staging DIRECT_URL=é db.staging.hotdash.app schemas=[";
        let file = String::from_utf8_lossy(&file).into_owned() + known;
        for name in [".env", ".env.production", "prisma.config.ts", "prisma/schema.prisma"] {
            let _ = ask(Some(&text), &exported, &[(name, &file)]);
            let _ = ask(None, &exported, &[(name, &file)]);
            let _ = ask(None, &exported[4..], &[(name, &file)]);
        }
    }
}

/// As Supabase's page for Prisma gives the two: the application's pooler, and the session's.
#[test]
fn migrations_go_over_the_direct_url_where_the_other_is_a_pooler_in_transaction_mode() {
    let host = "aws-0-eu-west-1.pooler.supabase.com";
    let at = |port: u16, query: &str| {
        format!("postgresql://postgres.stagingrefabcdefghij:s3cret-Pw@{host}:{port}/postgres{query}")
    };
    let asked = |url: &str, direct: &str, files: &[(&str, &str)]| {
        ask(None, &[("DATABASE_URL", url), ("DIRECT_URL", direct)], files)
            .map(|candidate| (candidate.dsn().identity(), candidate.pooled().map(|pooled| pooled.identity())))
            .map_err(|refusals| told(&refusals))
    };
    let session = format!("{host}:5432/postgres");
    let over = asked(&at(6543, "?pgbouncer=true"), &at(5432, ""), &[]).unwrap();
    assert_eq!(over, (session.clone(), Some(format!("{host}:6543/postgres"))));
    assert_eq!(asked(&at(6543, ""), &at(5432, ""), &[]).unwrap().0, session, "the port says so, too");
    assert_eq!(asked(&at(5432, ""), &at(5432, ""), &[]).unwrap(), (session, None));
    let none_is_better = [(at(6543, ""), at(6543, "")), (at(6543, "?schema=public"), at(5432, "?schema=app"))];
    for (url, direct) in none_is_better {
        let kept = asked(&url, &direct, &[]);
        assert!(kept.is_err() || kept == Ok((format!("{host}:6543/postgres"), None)), "{kept:?}");
    }
    let elsewhere = asked(&at(6543, ""), "postgresql://u:s3cret-Pw@db.staging.hotdash.app:5432/postgres", &[]);
    assert!(elsewhere.unwrap_err().starts_with("d"), "another server's database is refused");
    let production = format!("DATABASE_URL={}", at(5432, ""));
    let named = asked(&at(6543, ""), &at(5432, ""), &[(".env.production", &production)]);
    assert!(named.unwrap_err().starts_with("production-file: "));
}
