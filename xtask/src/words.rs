//! How values are said: numbers, times, what a record left open, and texts that others wrote.

use serde_json::Value;

/// Empty where there is none.
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Empty where there is none.
pub fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// As a person would say it: `12 ms`, `1.3 s`, `2 min 5 s`.
pub fn duration(milliseconds: u64) -> String {
    match milliseconds {
        0..1_000 => format!("{milliseconds} ms"),
        1_000..60_000 => format!("{}.{} s", milliseconds / 1_000, milliseconds % 1_000 / 100),
        _ => format!("{} min {} s", milliseconds / 60_000, milliseconds % 60_000 / 1_000),
    }
}

/// `1,234,567`
pub fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `17 bytes`, `3 KB`, `1.2 MB`
pub fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} bytes"),
        1_000..1_000_000 => format!("{} KB", bytes.div_ceil(1_000)),
        _ => format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000),
    }
}

/// `1 migration`, `2 migrations`
pub fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{} {noun}s", number(count as u64)) }
}

/// `2026-11-22 20:04:01 UTC` of `2026-11-22T20:04:01Z`
pub fn moment(rfc3339: &str) -> String {
    rfc3339.replace('T', " ").replace('Z', " UTC")
}

/// What a reader does not see, or what moves what is seen: controls, what turns the direction of writing (CVE-2021-42574),
/// and what has no width.
pub fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180e}'
        )
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{ffa0}')
        || matches!(c, '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}' | '\u{e0000}'..='\u{e007f}')
}

/// `text` on one line: what nobody would see is shown, `\n` and `\u{202e}`, since a name may hold anything.
pub fn in_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unseen(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

/// A sentence, a line; what its first line announces with a colon is a block, which stands below it and to the right.
pub fn sentence(text: &str) -> String {
    match text.split_once(":\n") {
        Some((announced, block)) => {
            let shown = |line: &str| line.split('\t').map(in_line).collect::<Vec<_>>().join("\t");
            let block = block.lines().map(|line| format!("\n  {}", shown(line)));
            format!("{}:{}", in_line(announced), block.collect::<String>())
        }
        None => in_line(text),
    }
}

pub fn listed<'a>(names: impl IntoIterator<Item = &'a String>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_would_see_is_shown_and_stays_on_its_line() {
        assert_eq!(in_line("a\u{1b}[31mb\nc\td\u{202e}\u{200b}é\u{85}"), r"a\u{1b}[31mb\nc\td\u{202e}\u{200b}é\u{85}");
        assert_eq!(in_line("`public.Café` 漢字 \u{5d0}"), "`public.Café` 漢字 \u{5d0}");
        assert_eq!(sentence("one\nerror: two"), r"one\nerror: two");
        assert_eq!(sentence("a draft:\ndrop table x;\n\tdrop y;"), "a draft:\n  drop table x;\n  \tdrop y;");
    }

    #[test]
    fn values_are_said_as_a_person_would() {
        assert_eq!([0, 999, 1_360, 59_999, 125_000].map(duration), ["0 ms", "999 ms", "1.3 s", "59.9 s", "2 min 5 s"]);
        assert_eq!([0, 999, 1_000, 1_234_567].map(number), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([17, 2_001, 1_250_000].map(size), ["17 bytes", "3 KB", "1.2 MB"]);
        assert_eq!([1, 2].map(|count| counted(count, "step")), ["1 step", "2 steps"]);
        assert_eq!(moment("2026-11-22T20:04:01Z"), "2026-11-22 20:04:01 UTC");
    }
}
