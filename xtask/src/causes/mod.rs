//! Every failure that is known by a name: what it is, and the one thing to do about it. Stages take their hints from here, `doctor`
//! its rows, and `docs/failures` its pages, so that none of them can say something else than the others.

mod page;

use crate::hint::Hint;

/// One known failure.
#[derive(Debug)]
pub struct Cause {
    /// Of its page; a hint that comes from here ends with it.
    pub name: &'static str,
    /// What is so, in one sentence without a stop: the page's title.
    pub title: &'static str,
    /// What other programs call it: `P1000`, `28P01`, `ERR_REQUIRE_ESM`.
    pub codes: &'static [&'static str],
    /// `{word}` stands for what varies, and is a `<word>` on the page.
    pub fix: Fix,
    /// Markdown: how it comes about, and what else there is to know.
    pub more: &'static str,
}

/// One thing to do.
#[derive(Debug, Clone, Copy)]
pub enum Fix {
    /// A command of ours.
    Run(&'static str),
    /// A command for a shell in the project's folder.
    Shell(&'static str),
    /// A statement for whoever may run it.
    Sql(&'static str),
    /// What no command does: one line to change, or one thing to see to.
    Advice(&'static str),
}

/// Defines causes, and `ALL` of them.
macro_rules! causes {
    ($($(#[$doc:meta])* $id:ident { $($field:ident: $value:expr),* $(,)? })*) => {
        $($(#[$doc])* pub static $id: $crate::causes::Cause = $crate::causes::Cause { $($field: $value),* };)*
        pub static ALL: &[&$crate::causes::Cause] = &[$(&$id),*];
    };
}

pub mod engine;
pub mod env_file;
pub mod guard;
pub mod history;
pub mod locks;
pub mod machine;
pub mod network;
pub mod node;
pub mod packages;
pub mod prisma;
pub mod rest;
pub mod rights;
pub mod server;
pub mod supabase;

const AREAS: [&[&Cause]; 14] = [
    env_file::ALL,
    guard::ALL,
    network::ALL,
    server::ALL,
    rights::ALL,
    locks::ALL,
    packages::ALL,
    node::ALL,
    engine::ALL,
    prisma::ALL,
    history::ALL,
    supabase::ALL,
    rest::ALL,
    machine::ALL,
];

/// In the order of the index of pages.
pub fn all() -> impl Iterator<Item = &'static Cause> {
    AREAS.into_iter().flatten().copied()
}

/// The one that another program calls by this code, where there is one.
pub fn of_code(code: &str) -> Option<&'static Cause> {
    all().find(|cause| cause.codes.contains(&code))
}

pub fn named(name: &str) -> Option<&'static Cause> {
    all().find(|cause| cause.name == name)
}

impl Cause {
    /// What to do, with `values` for what varies, which ends with the name of the page. A value of a command is one word for a shell;
    /// one of a statement is escaped by who gives it.
    pub fn hint(&self, values: &[(&str, &str)]) -> Hint {
        let plain = |text: &str| filled(text, values, str::to_owned);
        let hint = match self.fix {
            Fix::Run(words) => Hint::run_filled(filled(words, values, crate::hint::quoted)),
            Fix::Shell(words) => Hint::shell(filled(words, values, crate::hint::quoted)),
            Fix::Sql(statement) => Hint::sql(plain(statement)),
            Fix::Advice(text) => plain(text).into(),
        };
        hint.see(self.name)
    }

    /// As Markdown, from its title to its end.
    pub fn page(&self) -> String {
        page::of(self)
    }
}

/// `text` with each `{name}` of `values` in its place; one that is not given stays a placeholder: `<name>`.
fn filled(text: &str, values: &[(&str, &str)], form: impl Fn(&str) -> String) -> String {
    let mut parts = text.split('{');
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once('}').unwrap_or((part, ""));
        match values.iter().find(|(known, _)| *known == name) {
            Some((_, value)) => filled += &form(value),
            None => filled += &format!("<{name}>"),
        }
        filled += rest;
    }
    filled
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::hint::Aim;

    #[test]
    fn names_and_codes_are_of_one_cause_each() {
        let (mut names, mut codes) = (BTreeSet::new(), BTreeSet::new());
        for cause in all() {
            assert!(names.insert(cause.name), "{}", cause.name);
            assert!(cause.codes.iter().all(|code| codes.insert(*code)), "{}: {:?}", cause.name, cause.codes);
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            assert!(cause.name.chars().all(plain), "{}", cause.name);
            assert!(!cause.title.ends_with('.') && !cause.title.contains('\n'), "{}", cause.title);
            assert!(!cause.more.is_empty(), "{}", cause.name);
        }
    }

    /// A refusal in the source begins with the name of its check.
    #[test]
    fn every_refusal_of_the_guard_has_a_page() {
        let guard = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/guard");
        let files = std::fs::read_dir(guard).unwrap().flatten().map(|entry| entry.path());
        let text: String = files.filter_map(|file| std::fs::read_to_string(file).ok()).collect();
        let calls = text.split("Refusal::new(").chain(text.split("flaw(")).skip(1);
        let checks: BTreeSet<&str> =
            calls.filter_map(|call| call.trim_start().strip_prefix('"')?.split('"').next()).collect();
        assert!(checks.len() > 15, "{checks:?}");
        for check in checks {
            assert!(of_code(&format!("guard: {check}")).is_some(), "{check}");
        }
    }

    #[test]
    fn what_varies_is_filled_in_and_what_is_not_known_stays_a_placeholder() {
        let cause = |fix| Cause { name: "a-name", title: "", codes: &[], fix, more: "" };
        let line = |fix, values: &[(&str, &str)]| cause(fix).hint(values).line(&Aim::default());
        assert_eq!(
            line(Fix::Shell("chmod 600 {file}"), &[("file", "my env")]),
            "chmod 600 'my env'  # see docs/failures/a-name"
        );
        assert_eq!(
            line(Fix::Run("claim --confirm {database}"), &[("database", "shop")]),
            "cargo xtask claim --confirm shop  # see docs/failures/a-name"
        );
        assert_eq!(
            line(Fix::Sql("alter role {role} reset x"), &[("role", "\"a\"")]),
            "alter role \"a\" reset x; -- see docs/failures/a-name"
        );
        assert_eq!(line(Fix::Advice("correct port {port}"), &[]), "correct port <port>; see docs/failures/a-name");
    }
}
