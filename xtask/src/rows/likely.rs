//! Values that a check may ask for: what the check itself is written with, and what texts commonly have to look like.

/// Texts of the forms that checks commonly want, `n` among them where there is room.
const FORMS: [&str; 12] = [
    "'a' || n",
    "'A' || n",
    "'user' || n || '@example.com'",
    "'https://example.com/' || n",
    "'+4930' || pg_catalog.lpad(n::text, 8, '0')",
    "pg_catalog.md5(n::text)",
    "pg_catalog.upper(pg_catalog.substr(pg_catalog.md5(n::text), 1, 8))",
    "'#' || pg_catalog.lpad(pg_catalog.to_hex(n), 6, '0')",
    "pg_catalog.translate(pg_catalog.lpad(n::text, 3, '0'), '0123456789', 'ABCDEFGHIJ')",
    "pg_catalog.translate(pg_catalog.lpad(n::text, 2, '0'), '0123456789', 'abcdefghij')",
    "'2026-01-01'",
    "pg_catalog.md5(n::text)::uuid::text",
];

/// Lengths that are believed to be one.
const LONGEST: i64 = 10_000;

/// As SQL, for a column whose type is of `category`, of what `checks` says of it.
pub fn values(category: &str, checks: &str) -> Vec<String> {
    let literals = literals(checks);
    let numbers = numbers(checks);
    match category {
        "N" => ["n + 1", "n - 1"]
            .map(str::to_owned)
            .into_iter()
            .chain(numbers.iter().flat_map(|number| around(*number)))
            .collect(),
        // A check may want one time to come after another.
        "D" => literals
            .into_iter()
            .chain(["'2026-06-01 00:00Z'::timestamptz + n * '1 day'::interval".to_owned()])
            .collect(),
        "S" => {
            let long = |number: &i64| format!("pg_catalog.lpad(n::text, {number}, '0')");
            let lengths = numbers.iter().filter(|number| (1..=LONGEST).contains(*number));
            literals.into_iter().chain(lengths.map(long)).chain(FORMS.map(str::to_owned)).collect()
        }
        _ => literals,
    }
}

fn around(number: i64) -> [String; 5] {
    [
        format!("{number}"),
        format!("{number} + n"),
        format!("{number} - n"),
        format!("{number} + 1"),
        format!("{number} - 1"),
    ]
}

/// Everything between single quotes, quoted as it was.
fn literals(checks: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut rest = checks;
    while let Some(begin) = rest.find('\'') {
        let text = &rest[begin + 1..];
        let mut end = 0;
        while text[end..].starts_with("''") || !text[end..].starts_with('\'') {
            let step =
                if text[end..].starts_with("''") { 2 } else { text[end..].chars().next().map_or(0, char::len_utf8) };
            if step == 0 {
                return found;
            }
            end += step;
        }
        found.push(format!("'{}'", &text[..end]));
        rest = &text[end + 1..];
    }
    found.sort();
    found.dedup();
    found
}

/// Whole numbers, in the order of their size.
fn numbers(checks: &str) -> Vec<i64> {
    let is_part = |c: char| !(c.is_alphanumeric() || c == '_' || c == '-');
    let mut found: Vec<i64> = checks.split(is_part).filter_map(|word| word.parse().ok()).collect();
    found.sort_unstable();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_taken_at_its_words() {
        let check = "CHECK ((state = ANY (ARRAY['it''s'::text, 'off'::text])) AND (length(state) >= 12))";
        assert_eq!(literals(check), ["'it''s'", "'off'"]);
        assert_eq!(numbers("CHECK (((n > '-5'::integer) AND (n < 10.5) AND (a1 = 7)))"), [-5, 5, 7, 10]);
        assert_eq!(literals("'open"), Vec::<String>::new());
    }
}
