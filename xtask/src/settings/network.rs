//! How what is missing is brought here, as the user says it: proxies, mirrors, certificates and npm's own settings. Each may hold a password.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pin::file;
use redact::{Redactor, Secret};

/// What Prisma's downloads read: where engines come from, through what, and whom to trust.
pub const OF_DOWNLOADS: [&str; 10] = [
    "PRISMA_ENGINES_MIRROR",
    "PRISMA_BINARIES_MIRROR",
    "PRISMA_ENGINES_CHECKSUM_IGNORE_MISSING",
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "NO_PROXY",
    "no_proxy",
    "NODE_EXTRA_CA_CERTS",
];

/// What may hold a password or a token, by name.
pub fn secrets(environment: &BTreeMap<String, String>) -> Vec<(String, Secret)> {
    let of_npm = |name: &str| name.to_ascii_lowercase().starts_with("npm_config_") || name.ends_with("_TOKEN");
    let counts = |name: &str| OF_DOWNLOADS.contains(&name) || of_npm(name);
    environment.iter().filter(|(name, _)| counts(name)).map(|(name, value)| secret(name, value)).collect()
}

/// Knows what npm may print when it runs in `folder`: what the environment says, its own settings there, and the user's.
pub fn of_npm(folder: &Path) -> Redactor {
    let environment = super::environment();
    let home = environment.get("HOME").map(|home| Path::new(home).join(".npmrc"));
    let users = environment.get("npm_config_userconfig").map(PathBuf::from).or(home);
    let nearest = folder.ancestors().map(|folder| folder.join(".npmrc")).find(|file| file.is_file());
    let mut known = secrets(&environment);
    for file in users.into_iter().chain(nearest) {
        let text = file::read_text(&file, file::LONGEST).unwrap_or_default();
        known.extend(text.lines().filter_map(|line| of_npmrc(line, &environment)));
    }
    Redactor::new(&known, &[])
}

/// `//registry.example/:_authToken=${NPM_TOKEN}` is `_authToken`, with the variable's value.
fn of_npmrc(line: &str, environment: &BTreeMap<String, String>) -> Option<(String, Secret)> {
    let (key, value) = line.split_once('=')?;
    let name = key.rsplit(':').next().unwrap_or(key).trim();
    let value = value.trim().trim_matches(['"', '\'']);
    let variable = value.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    let value = variable.and_then(|variable| environment.get(variable)).map_or(value, String::as_str);
    let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    is_plain.then(|| secret(name, value))
}

/// A token in a URL stands where elsewhere only a user does.
fn secret(name: &str, value: &str) -> (String, Secret) {
    let userinfo = value.split_once("://").and_then(|(_, rest)| Some(rest.rsplit_once('@')?.0));
    match userinfo.filter(|userinfo| !userinfo.contains(':')) {
        Some(token) => (format!("{name}_TOKEN"), Secret::new(token)),
        None => (name.to_owned(), Secret::new(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(variables: &[(&str, &str)], npmrc: &[&str], text: &str) -> String {
        let environment = variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        let mut known = secrets(&environment);
        known.extend(npmrc.iter().filter_map(|line| of_npmrc(line, &environment)));
        Redactor::new(&known, &[]).text(text)
    }

    #[test]
    fn passwords_and_tokens_are_known_and_hosts_stay_readable() {
        let variables = [
            ("HTTPS_PROXY", "http://me:pr0xy%40pass@proxy.example:8080"),
            ("no_proxy", "localhost,127.0.0.1,.internal.example"),
            ("PRISMA_ENGINES_MIRROR", "https://m1rror-t0ken-77@mirror.example/prisma"),
            ("npm_config_registry", "https://npm.example/"),
            ("npm_config_proxy", "http://you:other-pr0xy@proxy.example:1"),
            ("NPM_CONFIG_LOGLEVEL", "silent"),
            ("NPM_TOKEN", "np-8f7e6d5c4b"),
            ("ELSEWHERE", "http://not:known-here@x"),
        ];
        let npmrc = [
            "; a comment",
            "registry=https://npm.example/",
            "//npm.example/:_authToken=${NPM_TOKEN}",
            "//old.example/:_password = \"b64-p4ss-w0rd\"",
            "https-proxy=http://us:third-pr0xy@proxy.example:2",
        ];
        let said = "connect pr0xy@pass pr0xy%40pass at proxy.example:8080, not localhost or .internal.example\n\
                    m1rror-t0ken-77 of mirror.example, silent\nother-pr0xy np-8f7e6d5c4b b64-p4ss-w0rd third-pr0xy of npm.example\n";
        insta::assert_snapshot!(masked(&variables, &npmrc, said), @r"
        connect [REDACTED_HTTPS_PROXY] [REDACTED_HTTPS_PROXY] at proxy.example:8080, not localhost or .internal.example
        [REDACTED_PRISMA_ENGINES_MIRROR_TOKEN] of mirror.example, silent
        [REDACTED_npm_config_proxy] [REDACTED_NPM_TOKEN] [REDACTED__password] [REDACTED] of npm.example
        ");
    }
}
