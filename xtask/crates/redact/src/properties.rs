//! What holds for every password, encoding and chunking, not only for those of the corpus.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::stream::REGION;
use super::{Redactor, percent_encoded};
use crate::Secret;

#[derive(Debug, Clone, Copy)]
enum Encoding {
    Percent,
    PercentEverything,
    Json,
    JsonAscii,
    Html,
    SqlQuotes,
    ShellQuotes,
    Base64,
    Base64Url,
    Base64Behind(&'static str),
    Hex,
    Coloured,
    Utf16,
}

fn encoding() -> impl Strategy<Value = Encoding> {
    use Encoding::*;
    prop::sample::select(vec![
        Percent,
        PercentEverything,
        Json,
        JsonAscii,
        Html,
        SqlQuotes,
        ShellQuotes,
        Base64,
        Base64Url,
        Base64Behind("hotdash:"),
        Base64Behind("ab"),
        Hex,
        Coloured,
        Utf16,
    ])
}

fn encoded(text: &str, encoding: Encoding) -> String {
    match encoding {
        Encoding::Percent => percent_encoded(text),
        Encoding::PercentEverything => text.bytes().map(|byte| format!("%{byte:02x}")).collect(),
        Encoding::Json => {
            let quoted = serde_json::Value::from(text).to_string();
            quoted[1..quoted.len() - 1].replace('/', "\\/")
        }
        Encoding::JsonAscii => text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect(),
        Encoding::Html => text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;").replace('\'', "&#39;"),
        Encoding::SqlQuotes => text.replace('\'', "''"),
        Encoding::ShellQuotes => text.replace('\'', "'\\''"),
        Encoding::Base64 => STANDARD.encode(text),
        Encoding::Base64Url => URL_SAFE_NO_PAD.encode(text),
        Encoding::Base64Behind(before) => STANDARD.encode(format!("{before}{text}")),
        Encoding::Hex => text.bytes().map(|byte| format!("{byte:02X}")).collect(),
        Encoding::Coloured => text.chars().map(|character| format!("\x1b[3{}m{character}", text.len() % 8)).collect(),
        Encoding::Utf16 => text.chars().flat_map(|character| [character, '\0']).collect(),
    }
}

/// Strong passwords of any printable characters, a letter with an accent among them.
fn password() -> impl Strategy<Value = String> {
    "[ -~]{0,9}[A-Z][0-9][ -~]{6,20}[aä][!-~]".prop_filter("DSNs and logs trim white space", |password| {
        password.trim() == password && !password.starts_with(['"', '\'', '`'])
    })
}

fn redactor(password: &str) -> Redactor {
    let dsn = format!("postgresql://hotdash:{}@db.example.org:5432/shop_staging", percent_encoded(password));
    Redactor::new(&[("DATABASE_URL".to_owned(), Secret::new(dsn))], &[])
}

fn in_chunks(redactor: &Redactor, text: &[u8], cuts: &[usize]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut stream = redactor.stream();
    let mut rest = text;
    for cut in cuts.iter().cycle() {
        let (chunk, after) = rest.split_at((*cut).min(rest.len()));
        stream.push(chunk, &mut out);
        rest = after;
        if rest.is_empty() {
            break;
        }
    }
    stream.finish(&mut out);
    out
}

/// Without a purse, which a mask in a long line may empty sooner than the secret did.
fn whatever_it_costs(redactor: &Redactor, text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut stream = redactor.stream().of_a_file();
    stream.push(text, &mut out);
    stream.finish(&mut out);
    out
}

/// What rules and decoders react to, whole and in halves.
const FRAGMENTS: &[&str] = &[
    "a1B2-c3D4",
    "a1B2%2Dc3D4",
    "YTFCMi1jM0Q0",
    "a1B2-c3",
    "2-c3D4",
    "\n",
    "postgres://",
    "https://u:",
    "p4ss",
    "@h/d ",
    ":5432:",
    "password",
    "=",
    "\"",
    "\\",
    ": ",
    "'",
    " ",
    "secret",
    "authorization: ",
    "Bearer ",
    "--token ",
    "eyJhbGciOi.eyJyb2xlIj.sig",
    "SCRAM-SHA-256$",
    "-----BEGIN PRIVATE KEY-----",
    "[REDACTED]",
    "[REDACTED",
    "%5c",
    "&quot;",
    "''",
    "\u{1b}[1m",
];

/// The same inputs in every run, so that a change fails for what it changed; with `FUZZ_TIMES` others in each.
#[expect(clippy::disallowed_methods, reason = "a test's own, which no settings have")]
pub(super) fn rng_seed() -> RngSeed {
    if std::env::var_os("FUZZ_TIMES").is_some() { RngSeed::Random } else { RngSeed::Fixed(20_261_127) }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 250, failure_persistence: None, rng_seed: rng_seed(), ..ProptestConfig::default() })]

    #[test]
    fn no_encoding_hides_a_password_and_the_text_around_it_stays(
        password in password(),
        encodings in prop::collection::vec(encoding(), 0..=3).prop_filter("nobody colours colours", |encodings| {
            encodings.iter().filter(|encoding| matches!(encoding, Encoding::Coloured)).count() <= 1
        }),
        cuts in prop::collection::vec(1usize..40, 1..5),
    ) {
        let redactor = redactor(&password);
        let hidden = encodings.iter().fold(password.clone(), |text, encoding| encoded(&text, *encoding));
        let text = format!("before it {hidden} after it\nuntouched\n");
        let out = String::from_utf8_lossy(&in_chunks(&redactor, text.as_bytes(), &cuts)).into_owned();
        prop_assert!(!out.contains(&password) && !out.contains(&hidden), "{encodings:?} {out:?}");
        // Three in each other may be too dear to read for the length of their line, which is masked whole then.
        let too_dear = encodings.len() == 3 && out.starts_with("[REDACTED") && out.ends_with("]\nuntouched\n");
        let stays = out.starts_with("before it ") && out.ends_with(" after it\nuntouched\n");
        prop_assert!(stays || too_dear, "{encodings:?} {out:?}");
        prop_assert!(out.contains("[REDACTED"), "{encodings:?} {out:?}");
    }

    #[test]
    fn chunking_never_shows(
        parts in prop::collection::vec(
            prop_oneof![
                "[ -~]{0,20}",
                prop::sample::select(FRAGMENTS).prop_map(str::to_owned),
            ],
            0..40,
        ),
        long in 0usize..3,
        end in prop::sample::select(vec!["", "\n", "\\x41%41\n"]),
        cuts in prop::collection::vec(1usize..200_000, 1..5),
    ) {
        let redactor = redactor("a1B2-c3D4");
        let long_text = format!("pw a1B2-c3D4 {}{end}", "so on, ".repeat(60)).repeat(long * 250);
        let text = [parts.concat(), long_text, parts.concat()].concat();
        let whole = redactor.bytes(text.as_bytes());
        prop_assert_eq!(&in_chunks(&redactor, text.as_bytes(), &cuts), &whole);
        prop_assert_eq!(redactor.scan(&whole), None);
        let whole = whatever_it_costs(&redactor, text.as_bytes());
        prop_assert_eq!(whatever_it_costs(&redactor, &whole), whole);
    }
}

#[test]
fn a_secret_across_any_seam_of_an_endless_line_is_masked() {
    let redactor = redactor("a1B2-c3D4");
    for before in REGION - 12..REGION + 3 {
        let line =
            format!("{}a1B2-c3D4{}", "x y ".repeat(before / 4 + 1).split_off(4 - before % 4), " .".repeat(50_000));
        let out = redactor.text(&line);
        assert!(!out.contains("a1B2") && !out.contains("c3D4"), "{before}");
        assert_eq!(out.matches("[REDACTED_DATABASE_URL]").count(), 1, "{before}");
        assert_eq!(out.len(), line.len() - 9 + 23, "{before}");
    }
}

/// A known secret in place of a line of a key is no base64, and a mask may be one: both must lead on to the same next line.
#[test]
fn what_is_masked_within_a_private_key_is_masked_no_further_when_it_is_read_again() {
    let redactor = redactor("a1B2-c3D4");
    for line in [
        "a1B2-c3D4",
        " a1B2-c3D4",
        "a1B2-c3D4 ",
        "a1B2-c3D4x",
        "a1B2-c3D4\r",
        "a1B2-c3D4a1B2-c3D4",
        "password=a1B2-c3D4",
    ] {
        let text = format!("-----BEGIN PRIVATE KEY-----\nMIIE\n{line}\npassword\nMIIE\n");
        let masked = redactor.bytes(text.as_bytes());
        assert_eq!(redactor.scan(&masked), None, "{line:?}: {}", String::from_utf8_lossy(&masked));
        assert!(!String::from_utf8_lossy(&masked).contains("a1B2"), "{line:?}");
    }
}

/// A child may print how a mask begins, and cut its output anywhere.
#[test]
fn what_looks_like_a_mask_hides_nothing_of_the_next_line() {
    let redactor = redactor("a1B2-c3D4");
    for text in ["[REDACTED\npassword=p4ssw0rd\n", "[REDACTED_X\n\n x postgres://u:p4ssw0rd@h/d\n"] {
        let whole = redactor.text(text);
        assert!(!whole.contains("p4ssw0rd"), "{whole}");
        let lines: Vec<usize> = text.split_inclusive('\n').map(str::len).collect();
        assert_eq!(String::from_utf8_lossy(&in_chunks(&redactor, text.as_bytes(), &lines)), whole);
    }
}

#[test]
fn memory_does_not_grow_with_the_length_of_a_line() {
    let mut stream = redactor("a1B2-c3D4").stream();
    let mut out = Vec::new();
    for _ in 0..1000 {
        stream.push(&[b'x'; 8192], &mut out);
        assert!(stream.held_back() <= 4 * REGION);
        out.clear();
    }
}

/// What floods the rules, the decoders and the literals.
const FLOODS: &[&str] = &[
    "eyJa",
    "postgres://",
    "x://",
    "password",
    "password=\\\"",
    "secret_key-",
    "%25",
    "\\",
    "\u{1b}[",
    "%41 \\x41 &amp; '' \u{1b}[1m \0 Zm9vYmFyYmF6cXV1eGZvbw== ",
    "a1B2-c3D",
    // The triggers of rules that read far, with nothing that ends what they read.
    ":*:aa1B2-c3D4",
    ":5432:a:b:x[REDACTED",
    "password=a[REDACTED",
    "==secretpassword",
    "postgres://u:a[REDACTED",
    "identified by '\\'",
    "authorization:",
    "-----BEGIN ",
    "eyJhbGciOi.eyJa",
    "md5a",
    "authorization",
    "--tokenpassword",
    "resql://:",
    "npm_",
    "github_pat_ghp_",
    "_pass=",
    "bearer ",
    "SCRAM-SHA-256$",
    "-----BEGIN PRIVATE KEY-----",
    "\0",
    "'",
    "48 75 6e 74 ",
    "72,117,110,",
    // Short lines.
    "\0\x1b\n",
    "pwd:\0a\n",
    "{sb_secret_\\\\\n",
];

/// How much of its own length a text may cost at most: what is searched, decoded, and read by rules and comparisons.
const COST: usize = 60;

/// As `COST`, of a text that holds all encodings and many names of secrets side by side: each is read in each view.
const DENSE: usize = 400;

/// Proves that the cost grows as the text does, and no faster, whatever is in it: no clock is asked, bytes are counted.
#[test]
fn no_flood_costs_more_than_its_length_allows() {
    let redactor = redactor("a1B2-c3D4");
    for flood in FLOODS {
        assert_linear(&redactor, flood, COST);
    }
}

fn assert_linear(redactor: &Redactor, block: &str, most: usize) {
    let cost = |len: usize| redactor.0.work(block.repeat(len.div_ceil(block.len())).as_bytes());
    // Several times what is searched at once, or the short one's share of what is searched twice, where two of these meet, is another.
    let [short, long] = [2 * REGION, 8 * REGION].map(cost);
    assert!(long <= most * 8 * REGION && long <= 5 * short, "{block:?} costs {short} and {long}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, rng_seed: rng_seed(), ..ProptestConfig::default() })]

    /// Of what rules, decoders and literals react to, in any order, over and over.
    #[test]
    fn no_mixture_costs_more_than_its_length_allows(
        parts in prop::collection::vec(prop::sample::select([FRAGMENTS, FLOODS].concat()), 1..8),
    ) {
        assert_linear(&redactor("a1B2-c3D4"), &parts.concat(), DENSE);
    }
}

/// What is masked whole once the purse is spent; the second has as many triggers as a line can hold in each of its views.
const DENSE_LINES: [&str; 2] = [
    "%41 \\x41 &amp; \x1b[1m so on, and on, and on\n",
    "resql://=\x1b[1msb_secret_sb_secret_\\x41resql://=\x1b[1msb_secret_sb_secret_\\x41\r\n",
];

/// Proves that a stream of lines, each of which may be decoded, is not decoded without end: no clock is asked, bytes are counted.
#[test]
fn an_endless_stream_of_encodings_costs_little_more_than_its_length() {
    for line in DENSE_LINES {
        let redactor = redactor("a1B2-c3D4");
        let flood = line.repeat((64 << 10) / line.len());
        let mut stream = redactor.stream();
        let mut last = Vec::new();
        let mut costs = Vec::new();
        for _ in 0..32 {
            last.clear();
            crate::work::taken();
            stream.push(flood.as_bytes(), &mut last);
            costs.push(crate::work::taken() / flood.len());
        }
        assert!(costs[0] > 4 && costs[31] <= 2, "{costs:?}");
        let shown = String::from_utf8_lossy(&last);
        assert!(shown.lines().all(|line| line == "[REDACTED]"), "{shown}");
        // What is not encoded, or once, is shown all the same, and earns what the next line may cost.
        let plain = "a line as logs have them\n100% of it\n".repeat(1 << 20);
        last.clear();
        stream.push(plain.as_bytes(), &mut last);
        assert_eq!(last, plain.as_bytes());
        last.clear();
        stream.push(line.as_bytes(), &mut last);
        assert_eq!(String::from_utf8_lossy(&last), redactor.text(line));
    }
}

#[test]
fn a_line_of_more_encodings_than_can_be_read_is_masked_whole() {
    let line = "%41 \\x41 &amp; '' \u{1b}[1m \0 Zm9vYmFyYmF6cXV1eGZvbw== ".repeat(3);
    assert_eq!(redactor("a1B2-c3D4").text(&format!("before\n{line}\nafter\n")), "before\n[REDACTED]\nafter\n");
}
