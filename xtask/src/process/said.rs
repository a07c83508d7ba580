//! Of what a program said, the line that says why it failed.

use std::sync::LazyLock;

use anstream::adapter::strip_str;
use regex::Regex;

/// How a line begins that tells of an error: a name that ends so and a colon, as Node, Prisma, npm, Postgres and git write it; or the words
/// of a program that has no such form.
#[expect(clippy::expect_used, reason = "the pattern is a constant, which a test compiles")]
static ERROR: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r#"(?x) ^\s*(
            (uncaught\s)? \[? ([\w./-]+:\s)? ( [\w.$]*(Error|Exception|Rejection|panic) | (?i:error|fatal|fatal\serror|panic|err!?) )
                ( \s? \[[^\]]*\] )? :
          | npm\s(error|ERR!)\s
          | [!✖✘×✗❌]\s
          | (?i:failed\sto|could\snot|cannot|can't|unable\sto|unrecognized|unknown)\s
          | thread\s'.*'\spanicked\sat
          | (Segmentation\sfault|Aborted|Killed|Bus\serror|Terminated)\b
          | (/[\w/]+/)?(sh|bash|dash|node|env|npx|npm):\s
          | Config\sfile\snot\sfound
          | \{.*"_tag":"Error"
        )"#,
    )
    .expect("the pattern is a constant that a test uses")
});

/// What no failure is: banners, stacks, the marks below a quoted line, warnings, help.
#[expect(clippy::expect_used, reason = "the pattern is a constant, which a test compiles")]
static NOISE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r#"(?x) ^\s*(
            [\s^~|\-=<>{}\[\](),;.'"`]* $
          | at\s | \.\.\.\s\d+\slines\smatching | -+\sNative\sstack
          | Node\.js\sv\d | Prisma\sCLI\sVersion | \(Use\s`node\s--
          | \(node:\d+\) | \[DEP\d+\] | (?i:warn(ing)?)\b | prisma:(warn|info) | npm\s(warn|notice)
          | npm\s(error|ERR!)\s?(A\scomplete\slog|(code|syscall|errno|path)\s|$)
          | Loaded\sPrisma\sconfig | Prisma\sschema\sloaded | Prisma\sconfig\sdetected | Environment\svariables\sloaded | Datasource\s"
          | \[Context: | Validation\sError\sCount
          | Try\srerunning\sthe\scommand
          | (errno|code|syscall|path|address|port|requireStack|generatedMessage|clientVersion)\s?:
        )"#,
    )
    .expect("the pattern is a constant that a test uses")
});

/// `line` without colours.
pub fn plain(line: &str) -> String {
    strip_str(line).to_string()
}

pub fn is_an_error(line: &str) -> bool {
    ERROR.is_match(line) && !is_noise(line)
}

/// Whether `is_an_error` may say yes to what is shown of `line`. It is asked of every line that a program prints, and a program may print a
/// gigabyte: this looks at how a line begins, and at what stands before its first two colons.
pub fn may_be_an_error(line: &[u8]) -> bool {
    const BEGINNINGS: [&[u8]; 17] = [
        b"npm ",
        b"failed",
        b"could",
        b"cannot",
        b"can't",
        b"unable",
        b"unrecognized",
        b"unknown",
        b"thread",
        b"segmentation",
        b"aborted",
        b"killed",
        b"bus",
        b"terminated",
        b"config",
        b"!",
        b"{",
    ];
    const NAMES: [&[u8]; 15] = [
        b"error",
        b"exception",
        b"rejection",
        b"panic",
        b"fatal",
        b"err",
        b"err!",
        b"]",
        b"sh",
        b"bash",
        b"dash",
        b"node",
        b"env",
        b"npx",
        b"npm",
    ];
    let begins = |text: &[u8]| {
        let start = |word: &&[u8]| text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
        BEGINNINGS.iter().any(start)
    };
    let ends = |text: &[u8]| {
        let text = text.trim_ascii_end();
        let end = |word: &&[u8]| text.len() >= word.len() && text[text.len() - word.len()..].eq_ignore_ascii_case(word);
        NAMES.iter().any(end)
    };
    let line = line.trim_ascii_start();
    // Colours and marks, and what is white only to Unicode.
    let Some(first) = line.first().filter(|first| first.is_ascii_graphic()) else { return !line.is_empty() };
    let mut parts = line.splitn(3, |&byte| byte == b':');
    let mut before_colon = || parts.next().filter(|part| part.len() < line.len()).is_some_and(ends);
    *first == b'[' || begins(line) || before_colon() || before_colon()
}

fn is_noise(line: &str) -> bool {
    NOISE.is_match(line)
}

/// Where in `lines` the first error is told.
pub fn first_error(lines: &[String]) -> Option<usize> {
    lines.iter().position(|line| is_an_error(line))
}

/// The first line that tells of an error; the last one that is no banner where none does.
pub fn why(lines: &[String]) -> String {
    let told = |line: &&String| !is_noise(line);
    if let Some(at) = first_error(lines) {
        let line = lines[at].trim();
        let below = lines[at + 1..].iter().find(told).filter(|_| line.ends_with(':'));
        return below.map_or_else(|| line.to_owned(), |below| format!("{line} {}", below.trim()));
    }
    let nothing =
        if lines.iter().any(|line| !line.trim().is_empty()) { "it did not say why" } else { "it said nothing" };
    lines.iter().rev().find(told).map_or(nothing, |line| line.trim()).to_owned()
}

#[cfg(test)]
pub mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::hint::Aim;
    use crate::process::NodeError;
    use crate::process::tail::Tail;

    /// What a run keeps of `bytes` on one stream.
    pub fn kept(bytes: &[u8]) -> Vec<String> {
        let mut tail = Tail::default();
        bytes.chunks(1000).for_each(|chunk| tail.remember(1, chunk));
        tail.finish()
    }

    /// What the real programs said when they failed (Prisma 7.10, Supabase 3.1, Node 20.20, npm 10), by what was done to them; the paths are others.
    pub fn recorded() -> impl Iterator<Item = (String, Vec<String>)> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/process/outputs");
        let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths.into_iter().map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, kept(&fs::read(&path).unwrap()))
        })
    }

    fn row(name: &str, lines: &[String]) -> String {
        let known = NodeError::of(lines).map(|known| format!("\n    {}", known.hint().line(&Aim::default())));
        format!("{name}: {}{}", why(lines), known.unwrap_or_default())
    }

    #[test]
    fn the_line_that_says_why_is_found_in_what_real_programs_said() {
        let rows: Vec<String> = recorded().map(|(name, lines)| row(&name, &lines)).collect();
        insta::assert_snapshot!(rows.join("\n"));
    }

    #[test]
    fn and_in_what_is_made_up_to_be_hard() {
        let stack = "    at f (file.js:1)\n".repeat(60);
        let long = format!("Error: {}\n{stack}", "long ".repeat(1 << 18));
        let table: [(&str, &[u8]); 12] = [
            ("nothing", b""),
            ("blank lines", b"\n \n\t\n"),
            ("a banner alone", b"Prisma CLI Version : 7.10.0\nNode.js v20.20.2\n"),
            ("no word of an error", b"one\ntwo\n\nNode.js v20.20.2\n"),
            ("colours", b"\x1b[1;31mError\x1b[0m: \x1b[1mred\x1b[22m\n"),
            ("a label alone", b"Error:\n\n  the rest\nmore\n"),
            ("no newline at the end", b"note\nfatal: cut off"),
            ("not UTF-8", b"\xff\xfe\nError: caf\xe9\n"),
            ("a warning before it", b"npm warn Error: old\nWarning: Error: old\nTypeError: new\n"),
            ("the word alone", b"2 errors were corrected\nErrors: 0\nno error here: done\nthe end\n"),
            (
                "a program's name before it",
                b"Running in noninteractive mode\ninitdb: error: no room\ninitdb: removing\n",
            ),
            ("a panic", b"thread 'main' panicked at src/a.rs:1:1:\nindex out of bounds\nnote: run with\n"),
        ];
        let mut rows: Vec<String> =
            table.iter().map(|(name, bytes)| format!("{name}: {}", why(&kept(bytes)))).collect();
        let longest = why(&kept(long.as_bytes()));
        rows.push(format!("a line of a megabyte: {}… ({} bytes)", &longest[..16], longest.len()));
        insta::assert_snapshot!(rows.join("\n"), @"
        nothing: it said nothing
        blank lines: it said nothing
        a banner alone: it did not say why
        no word of an error: two
        colours: Error: red
        a label alone: Error: the rest
        no newline at the end: fatal: cut off
        not UTF-8: Error: caf�
        a warning before it: TypeError: new
        the word alone: the end
        a program's name before it: initdb: error: no room
        a panic: thread 'main' panicked at src/a.rs:1:1: index out of bounds
        a line of a megabyte: Error: long long… (4096 bytes)
        ");
    }

    #[test]
    fn no_line_is_passed_over_that_tells_of_an_error() {
        let samples = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/process/outputs")).unwrap();
        let samples = samples.filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok()).collect::<Vec<_>>();
        let mut lines: Vec<String> = samples.iter().flat_map(|text| text.lines().map(str::to_owned)).collect();
        let ways = [
            "Error: x",
            "Uncaught TypeError: x",
            "[PrismaClientError: x",
            "./a/b-c.js: SyntaxError: x",
            "a.Exception [ERR_X]: x",
            "go panic: x",
            "UnhandledPromiseRejection: x",
            "FATAL: x",
            "fatal error: x",
            "fatal error : x",
            "err!: x",
            "ERR: x",
            "Panic[1]: x",
            "npm error x",
            "npm ERR! x",
            "! x",
            "✖ x",
            "× x",
            "❌ x",
            "Failed to x",
            "COULD NOT x",
            "cannot x",
            "Can't x",
            "unable to x",
            "unrecognized x",
            "Unknown x",
            "thread 'main' panicked at x",
            "Segmentation fault",
            "Aborted (core dumped)",
            "Killed",
            "Bus error",
            "Terminated",
            "/usr/bin/bash: x",
            "sh: 1: x",
            "npx: x",
            "Config file not found",
            "{\"a\": 1, \"_tag\":\"Error\"",
            "env: x",
            "node: x",
        ];
        lines.extend(ways.iter().flat_map(|way| {
            ["", "   ", "\t", "\u{a0}", "\u{1b}[31m", "\u{1b}[1m  "].map(|before| format!("{before}{way}"))
        }));
        let told: Vec<&String> = lines.iter().filter(|line| is_an_error(&plain(line))).collect();
        assert!(told.len() > 5 * ways.len(), "{}", told.len());
        let passed_over: Vec<_> = told.iter().filter(|line| !may_be_an_error(line.as_bytes())).collect();
        assert!(passed_over.is_empty(), "{passed_over:#?}");
        assert!(
            !["Applying migration `a`", "x".repeat(99).as_str(), "2026-01-01 00:00:00 UTC LOG:  duration: 1 ms", ""]
                .iter()
                .any(|line| may_be_an_error(line.as_bytes()))
        );
    }
}
