//! Access control lists, from Postgres' shorthand (`anon=r*w/postgres`) to a property for each grantee ("SELECT (may
//! grant), UPDATE").

use std::collections::BTreeMap;

use crate::postgres::connection::MIGRATING_ROLE;

/// The letters of the PostgreSQL documentation, table "ACL Privilege Abbreviations" (version 17).
const PRIVILEGES: [(char, &str); 15] = [
    ('r', "SELECT"),
    ('a', "INSERT"),
    ('w', "UPDATE"),
    ('d', "DELETE"),
    ('D', "TRUNCATE"),
    ('x', "REFERENCES"),
    ('t', "TRIGGER"),
    ('C', "CREATE"),
    ('c', "CONNECT"),
    ('T', "TEMPORARY"),
    ('X', "EXECUTE"),
    ('U', "USAGE"),
    ('s', "SET"),
    ('A', "ALTER SYSTEM"),
    ('m', "MAINTAIN"),
];

/// How a role is written in a catalog.
pub fn role_name(role: &str, connected_as: &str) -> String {
    if role == connected_as { MIGRATING_ROLE.to_owned() } else { role.to_owned() }
}

/// One property `access of <role>` for each grantee of `acl`. The owner's is there only where it is not what
/// `default_acl` says, since majors of Postgres have different defaults. Who granted is not noted: it changes with who
/// migrates.
pub fn access(acl: &[&str], default_acl: &[&str], owner: Option<&str>, connected_as: &str) -> BTreeMap<String, String> {
    let mut access: BTreeMap<String, String> = by_role(acl);
    let by_default = by_role(default_acl);
    if let Some(owner) = owner {
        match (access.get(owner), by_default.get(owner)) {
            (Some(has), Some(default)) if has == default => drop(access.remove(owner)),
            (None, Some(_)) => drop(access.insert(owner.to_owned(), "nothing".to_owned())),
            _ => {}
        }
    }
    access
        .into_iter()
        .map(|(role, privileges)| (format!("access of {}", role_name(&role, connected_as)), privileges))
        .collect()
}

fn by_role(acl: &[&str]) -> BTreeMap<String, String> {
    let mut privileges: BTreeMap<String, Vec<String>> = BTreeMap::new();
    // A role has one entry for each role that granted to it.
    for item in acl {
        let (role, letters) = grantee(item);
        privileges.entry(role).or_default().extend(words(letters));
    }
    let join = |mut words: Vec<String>| {
        words.sort();
        words.dedup();
        words.join(", ")
    };
    privileges.into_iter().map(|(role, words)| (role, join(words))).collect()
}

/// Splits `role=letters/grantor`. The role is quoted where it has to be, with quotes doubled; none at all is PUBLIC.
#[expect(clippy::expect_used, reason = "Postgres writes an equals sign into every access control item")]
fn grantee(item: &str) -> (String, &str) {
    let mut quoted = false;
    let end = item
        .find(|c| {
            quoted ^= c == '"';
            c == '=' && !quoted
        })
        .expect("an access control item has an equals sign");
    let role = match item[..end].strip_prefix('"').and_then(|role| role.strip_suffix('"')) {
        Some(inner) => inner.replace("\"\"", "\""),
        None if end == 0 => "PUBLIC".to_owned(),
        None => item[..end].to_owned(),
    };
    let rest = &item[end + 1..];
    (role, rest.split('/').next().unwrap_or(rest))
}

fn words(letters: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for letter in letters.chars() {
        match (letter, words.last_mut()) {
            ('*', Some(last)) => last.push_str(" (may grant)"),
            _ => words.push(word(letter)),
        }
    }
    words
}

/// A letter of a later Postgres stays a letter.
fn word(letter: char) -> String {
    PRIVILEGES
        .iter()
        .find(|(known, _)| *known == letter)
        .map_or_else(|| letter.to_string(), |(_, word)| (*word).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(acl: &[&str]) -> Vec<(String, String)> {
        access(acl, &["boss=rw/boss"], Some("boss"), "me").into_iter().collect()
    }

    fn pair(role: &str, privileges: &str) -> (String, String) {
        (format!("access of {role}"), privileges.to_owned())
    }

    #[test]
    fn the_owners_default_is_not_noted() {
        assert_eq!(of(&["boss=rw/boss"]), []);
    }

    #[test]
    fn an_owner_who_gave_up_rights_is_noted() {
        assert_eq!(of(&["boss=r/boss"]), [pair("boss", "SELECT")]);
        assert_eq!(of(&[]), [pair("boss", "nothing")]);
    }

    #[test]
    fn everyone_is_public_and_the_connecting_role_has_no_name() {
        assert_eq!(
            of(&["boss=rw/boss", "=X/boss", "me=a/boss"]),
            [pair("<migrating role>", "INSERT"), pair("PUBLIC", "EXECUTE")]
        );
    }

    #[test]
    fn the_right_to_grant_is_part_of_the_privilege() {
        assert_eq!(of(&["boss=rw/boss", "anon=r*w/boss"]), [pair("anon", "SELECT (may grant), UPDATE")]);
    }

    #[test]
    fn a_role_with_an_equals_sign_and_a_quote_in_its_name_is_read_whole() {
        assert_eq!(of(&["boss=rw/boss", "\"a=\"\"/b\"=r/boss"]), [pair("a=\"/b", "SELECT")]);
    }

    #[test]
    fn grants_by_two_grantors_are_one() {
        assert_eq!(of(&["boss=rw/boss", "anon=r/boss", "anon=rw/other"]), [pair("anon", "SELECT, UPDATE")]);
    }
}
