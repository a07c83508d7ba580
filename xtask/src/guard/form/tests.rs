use proptest::prelude::*;
use redact::Secret;

use super::*;
use crate::guard::fuzz::{assert_same_place, to_url};

fn read(text: &str) -> Dsn {
    parse("DATABASE_URL", text).unwrap_or_else(|refusals| panic!("{text}: {refusals:?}"))
}

fn refused(text: &str) -> String {
    let refusals = parse("DATABASE_URL", text).map(|dsn| dsn.identity()).expect_err(text);
    refusals.iter().map(|r| format!("{}: {} -> {}\n", r.check, r.message, r.hint)).collect()
}

/// `url` and the Postgres driver read `text` as `dsn` says.
fn assert_agreement(text: &str, dsn: &Dsn) {
    assert_same_place(text, dsn);
    assert_same_parameters(&url::Url::parse(text).expect("url reads it"), dsn);
}

/// Each parameter once, and what is left out stands for the default.
fn assert_same_parameters(url: &url::Url, dsn: &Dsn) {
    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let mut named: BTreeMap<String, String> = pairs.iter().cloned().collect();
    assert_eq!(named.len(), pairs.len());
    assert_eq!(named.remove("sslmode").unwrap_or_else(|| "prefer".into()), dsn.sslmode.word());
    assert_eq!(named.remove("schema").unwrap_or_else(|| "public".into()), dsn.schema);
    assert_eq!(named, dsn.parameters);
}

#[test]
fn the_parts_come_out_decoded_once_and_the_host_in_lower_case() {
    let dsn = read("postgres://me%40a.com:a%2540b%2f@DB.Staging.HotDash.App/hd_test?sslmode=require&pool_timeout=3");
    assert_eq!(dsn.user, "me@a.com");
    assert_eq!(dsn.password.as_ref().map(Secret::expose), Some("a%40b/"));
    assert_eq!(dsn.identity(), "db.staging.hotdash.app:5432/hd_test");
    assert_eq!(
        to_url(&dsn).expose(),
        "postgresql://me%40a.com:a%2540b%2F@db.staging.hotdash.app:5432/hd_test?sslmode=require&pool_timeout=3"
    );
}

#[test]
fn loopback_has_three_spellings() {
    for host in ["localhost", "127.0.0.1", "127.0.0.2", "[::1]"] {
        assert!(read(&format!("postgresql://u@{host}:5433/a_test")).host.is_loopback(), "{host}");
    }
    for host in [
        "127.1",
        "0x7f.1",
        "0127.0.0.1",
        "127.0.0.01",
        "2130706433",
        "0",
        "[::]",
        "[0:0:0:0:0:0:0:1]",
        "[::1%25lo]",
        "[::ffff:127.0.0.1]",
        "[::1",
        "[::1]x",
        "0.0.0.0",
        "255.255.255.255",
        "239.1.2.3",
        "10.0.0.05",
        "10.0.5",
    ] {
        refused(&format!("postgresql://u@{host}:5433/a_test"));
    }
}

#[test]
fn characters_that_break_a_password_are_named_with_their_escape_and_nothing_else() {
    let told = refused("postgresql://hotdash:hun#ter/2@se?cret%zz@db.staging.hotdash.app/hotdash_staging");
    assert_eq!(
        told,
        "url: `DATABASE_URL` has a character in the user name or password that clients read as the end of it -> \
         in the user name and the password write `#` as `%23`, `%` as `%25`, `/` as `%2F`, `?` as `%3F`, \
         `@` as `%40`\n"
    );
    assert!(refused("postgresql://u:pä ss@h/d_test").contains("` ` as `%20`, `ä` as `%C3%A4`"));
}

#[test]
fn a_parameter_that_could_redirect_is_refused_with_the_list_of_those_allowed() {
    assert_eq!(
        refused("postgresql://u:hunter2@h/d_test?host=prod.example.com"),
        "parameter: `DATABASE_URL` has the parameter `host`, which could redirect or change the session -> \
         remove it; allowed are `sslmode`, `schema`, `connection_limit`, `pool_timeout`, `connect_timeout`, \
         `socket_timeout`, `statement_cache_size`, `pgbouncer`, `application_name`, `sslaccept`, `channel_binding`\n"
    );
    assert_eq!(
        refused("postgresql://u:hunter2@h/d_test?sslmode=no-verify"),
        "parameter: `DATABASE_URL` has a value of `sslmode` that is not allowed -> write `sslmode=` and one of \
         `disable`, `allow`, `prefer`, `require`, `verify-ca`, `verify-full`\n"
    );
}

#[test]
fn every_bad_part_is_reported_at_once() {
    assert_eq!(refused("postgresql://:@h..x:0/a%5Fb?x=1").lines().count(), 5);
}

#[test]
fn what_stands_where_a_port_or_host_belongs_is_never_quoted() {
    for text in [
        "postgresql://me:x@hunter2/hunter2/x",
        "postgresql://me@h:hunter2/d",
        "postgresql://me:x@hunter2%20/d",
        "hunter2",
        "postgresql://me:x@h/hunter2%00",
        "postgresql://me:x@h/d?hunter2%20=1",
        "postgresql://me:x@h/d?schema=hunter2'",
        "hunter2@x",
        "postgresql://me:hunter2 @h/d",
        "postgresql://me:hunter2@h/d\n",
        "postgresql://hunter2",
        "postgresql://me:hunter2@",
    ] {
        assert!(!refused(text).contains("hunter2"), "{text}: {}", refused(text));
    }
}

#[test]
fn strict_certificates_are_checked_or_refused_and_never_forgotten() {
    let contradiction = |query: &str| refused(&format!("postgresql://u:p@h/d_test?{query}"));
    for mode in SslMode::ALL.map(SslMode::word) {
        let both = [format!("sslmode={mode}&sslaccept=strict"), format!("sslaccept=strict&sslmode={mode}")];
        for query in both {
            if ["disable", "allow"].contains(&mode) {
                assert!(contradiction(&query).contains("write `sslmode=verify-full`"), "{query}");
            } else {
                let dsn = read(&format!("postgresql://u:p@h/d_test?{query}"));
                assert_eq!(dsn.sslmode, SslMode::VerifyFull, "{query}");
                assert_eq!(dsn.parameters, BTreeMap::new());
            }
        }
        let lax = format!("sslmode={mode}&sslaccept=accept_invalid_certs");
        match mode {
            "verify-ca" | "verify-full" => assert!(contradiction(&lax).contains("remove `sslaccept="), "{lax}"),
            _ => assert_eq!(read(&format!("postgresql://u:p@h/d_test?{lax}")).sslmode.word(), mode),
        }
    }
    assert_eq!(read("postgresql://u:p@h/d_test?sslaccept=strict").sslmode, SslMode::VerifyFull);
}

/// What is neither of the target's own nor passed on would be a parameter that says something and does nothing.
#[test]
fn no_allowed_parameter_is_ignored_but_the_name_that_the_drill_gives_its_sessions_itself() {
    let ours = ["sslmode", "sslaccept", "schema", "channel_binding"];
    let ignored = PARAMETERS
        .map(|(name, _)| name)
        .into_iter()
        .filter(|name| !ours.contains(name) && !pin::PASSED_ON.contains(name));
    assert_eq!(ignored.collect::<Vec<_>>(), ["application_name"]);
}

#[test]
fn the_table_and_the_type_know_the_same_modes() {
    for mode in SslMode::ALL {
        assert_eq!(read(&format!("postgresql://u:p@h/d_test?sslmode={}", mode.word())).sslmode, mode);
    }
}

const USER: &str = "([a-z0-9._~!$&'()*+,;=-]|%[2-7][0-9a-eA-E]|%C3%A4){1,20}";
const PASSWORD: &str = "([a-z0-9._~!$&'()*+,;=:-]|%[2-7][0-9a-eA-E]|%C3%A4){1,20}";

proptest! {
    #[test]
    fn whatever_is_allowed_is_read_alike_by_url_and_the_driver(
        scheme in "postgres(ql)?",
        user in USER,
        password in proptest::option::of(PASSWORD),
        host in "([a-zA-Z0-9-]{1,6}\\.){0,3}[a-zA-Z]{2,5}|127\\.[0-9]{1,3}\\.0\\.1|\\[::1\\]|localhost",
        port in proptest::option::of(0u32..70000),
        database in "[A-Za-z0-9_-]{1,64}",
        query in "(\\?(sslmode=(require|prefer|verify-full)|schema=[a-z_]{1,8}|pool_timeout=[0-9]{1,3}))?(&pgbouncer=true)?",
    ) {
        let password = password.map(|password| format!(":{password}")).unwrap_or_default();
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        let text = format!("{scheme}://{user}{password}@{host}{port}/{database}{query}");
        if let Ok(dsn) = parse("U", &text) {
            assert_agreement(&text, &dsn);
            let canonical = to_url(&dsn);
            assert_agreement(canonical.expose(), &dsn);
            let again = read(canonical.expose());
            assert_eq!(to_url(&again).expose(), canonical.expose());
        }
    }

    #[test]
    fn mutilated_urls_never_panic_and_what_survives_is_read_alike(
        at in 0usize..80, cut in 0usize..3, junk in "[@:/?#&=%,. \\[\\]\\\\a0-]{0,3}|\\PC{0,2}|[\0-\u{1f}]",
    ) {
        let sound = "postgresql://hotdash:s3cret@db.staging.hotdash.app:5432/hotdash_staging?schema=public";
        let mut bytes = sound.as_bytes().to_vec();
        bytes.splice(at..at + cut, junk.into_bytes());
        let text = String::from_utf8(bytes).expect("spliced at ASCII");
        if let Ok(dsn) = parse("U", &text) {
            assert_agreement(&text, &dsn);
            assert_agreement(to_url(&dsn).expose(), &dsn);
        }
    }

    #[test]
    fn arbitrary_text_never_panics(text in any::<String>()) {
        let _ = parse("U", &text);
        let _ = parse("U", &format!("postgresql://{text}"));
        let _ = parse("U", &format!("postgresql://u:p@{text}"));
    }
}
