//! How two majors of Postgres say the same: a definition that the server prints from what it has parsed is worded otherwise
//! from major to major (qualifiers, parentheses, casts), and newer ones know privileges that older ones do not.

use crate::schema::catalog::object::{Catalog, ObjectKey};

/// Whether the two were read from servers of different majors.
pub fn is_across_majors(one: &Catalog, other: &Catalog) -> bool {
    one.major != 0 && other.major != 0 && one.major != other.major
}

/// Whether what two majors say of a property may be the same.
pub fn may_be_same(property: &str, one: Option<&str>, other: Option<&str>) -> bool {
    match (one, other) {
        _ if property.starts_with("access of") => privileges(one) == privileges(other),
        // Which of an extension's objects are its members of their own is the server's affair.
        _ if property == "members" => true,
        (Some(one), Some(other)) => plain(one) == plain(other),
        _ => one == other,
    }
}

/// Whether the server makes the whole text anew from a query: what is left of a difference may be the majors' alone.
pub fn is_reworded(key: &ObjectKey, property: &str, text: &str) -> bool {
    let query = matches!(key.kind.as_str(), "view" | "materialized view" | "rule");
    property == "definition" && (query || text.contains("BEGIN ATOMIC"))
}

/// Postgres 17 brought MAINTAIN, which ALL has in it.
pub fn privileges(list: Option<&str>) -> Vec<&str> {
    let words = list.into_iter().flat_map(|list| list.split(", "));
    words.filter(|word| !word.starts_with("MAINTAIN")).collect()
}

/// Without spaces, parentheses and the qualifiers of names; what is quoted stays as it is.
fn plain(text: &str) -> String {
    let mut found = String::new();
    let mut name = 0;
    let mut quote = None;
    for sign in text.chars() {
        match (quote, sign) {
            (Some(open), _) => {
                found.push(sign);
                quote = Some(open).filter(|open| *open != sign);
            }
            (None, '\'' | '"') => {
                quote = Some(sign);
                name = if sign == '"' { found.len() } else { name };
                found.push(sign);
            }
            (None, '.') if is_name(&found[name..]) => found.truncate(name),
            (None, '(' | ')') => name = found.len(),
            (None, _) if sign.is_whitespace() => name = found.len(),
            (None, _) if sign.is_alphanumeric() || sign == '_' => found.push(sign),
            (None, _) => {
                found.push(sign);
                name = found.len();
            }
        }
    }
    found
}

/// And not the digits before a decimal point.
fn is_name(text: &str) -> bool {
    text.chars().next().is_some_and(|first| !first.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_query_of_two_majors_is_the_same_text() {
        let old = " SELECT \"Shelf\".label,\n    count(*) AS n\n   FROM public.\"Shelf\"\n  GROUP BY \"Shelf\".label;";
        let new = " SELECT label,\n    count(*) AS n\n   FROM public.\"Shelf\"\n  GROUP BY label;";
        assert!(may_be_same("definition", Some(old), Some(new)));
        assert!(!may_be_same("definition", Some(old), Some(&new.replace("label", "title"))));
        let quoted = |text: &str| format!("SELECT 'a.b c'{text}");
        assert!(!may_be_same("definition", Some(&quoted("")), Some(&quoted("").replace("a.b", "b"))));
        assert!(!may_be_same("definition", Some("CHECK (a > 1.5)"), Some("CHECK (a > 2.5)")));
        assert!(may_be_same("definition", Some("CHECK ((a > 1.5))"), Some("CHECK (a > 1.5)")));
        assert!(!may_be_same("default", Some("1"), None));
    }

    #[test]
    fn all_privileges_of_two_majors_are_the_same() {
        let same = |one, other| may_be_same("access of reader", Some(one), Some(other));
        assert!(same("INSERT, MAINTAIN, SELECT", "INSERT, SELECT"));
        assert!(!same("INSERT, MAINTAIN", "INSERT, SELECT"));
        assert!(may_be_same("access of reader", None, Some("MAINTAIN (may grant)")));
    }
}
