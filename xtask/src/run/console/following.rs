//! What is said of work while it runs: what it is, how far it is, and how long yet, as far as numbers tell that.

use std::time::Duration;

use crate::headway::{Seen, Unit};
use crate::words;

/// Of what ran for a shorter time it is not foretold how long it takes.
const SHORTEST: Duration = Duration::from_secs(2);

/// What `name` is at, for a terminal, which shows the time itself.
pub fn message(name: &str, seen: Option<&Seen>) -> String {
    let Some(seen) = seen else { return name.to_owned() };
    let more = left(seen).map(|left| format!(", about {} more", roughly(left))).unwrap_or_default();
    let and = if seen.unit == Unit::Rows && !seen.name.is_empty() { format!(", {}", seen.name) } else { String::new() };
    format!("{name}{}{more}{and}", count(seen))
}

/// The same as a line of its own, after `took`.
pub fn line(name: &str, seen: Option<&Seen>, took: Duration) -> String {
    let message = message(name, seen);
    let took = elapsed(took);
    match seen {
        None => format!("  … {message}: {took}"),
        Some(seen) if left(seen).is_none() => format!("  … {message} ({took})"),
        Some(_) => format!("  … {message}"),
    }
}

fn count(seen: &Seen) -> String {
    let Seen { unit, done, total, bytes, name, .. } = seen;
    let (begun, done) = (*done > 0, words::number(*done));
    let total = total.map(words::number);
    match (unit, total) {
        (Unit::Rows, total) => {
            let of = total.map(|total| format!(" of {total}")).unwrap_or_default();
            let size = if *bytes > 0 { format!(", {}", words::size(*bytes)) } else { String::new() };
            format!(": {done}{of} rows{size}")
        }
        (_, Some(_)) if !begun => String::new(),
        (_, Some(total)) => format!(" {done}/{total} {name}").trim_end().to_owned(),
        (_, None) => format!(": {name}"),
    }
}

/// How long it takes yet, if it goes on as it went.
fn left(seen: &Seen) -> Option<Duration> {
    let done = match seen.unit {
        Unit::Rows => seen.done,
        // The one that it is at is not done.
        Unit::Steps => seen.done.saturating_sub(1),
        Unit::Part => return None,
    };
    let left = seen.total?.checked_sub(done)?;
    #[expect(clippy::cast_precision_loss, reason = "a guess")]
    let share = left as f64 / done as f64;
    (done > 0 && seen.took >= SHORTEST).then(|| seen.took.mul_f64(share.min(1e6)))
}

fn elapsed(time: Duration) -> String {
    match time.as_secs() {
        seconds @ ..120 => format!("{seconds} s"),
        seconds => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

/// As a guess is said: `3 s`, `25 s`, `4 min`.
fn roughly(time: Duration) -> String {
    match time.as_secs_f64().round() {
        seconds @ ..10.0 => format!("{seconds} s"),
        seconds @ ..120.0 => format!("{} s", (seconds / 5.0).round() * 5.0),
        seconds => format!("{} min", (seconds / 60.0).round()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(unit: Unit, done: u64, total: Option<u64>, bytes: u64, took: u64) -> Seen {
        let name = if unit == Unit::Rows { "" } else { "20251008_name" };
        Seen { unit, done, total, bytes, name: name.to_owned(), took: Duration::from_secs(took) }
    }

    #[test]
    fn a_line_says_what_how_far_and_how_long_yet() {
        let lines = [
            ("migrate deploy", None, 20),
            ("snapshot", Some(seen(Unit::Rows, 120_000, Some(300_000), 14_200_000, 14)), 14),
            ("snapshot", Some(seen(Unit::Rows, 120_000, None, 900, 14)), 14),
            ("snapshot", Some(seen(Unit::Rows, 0, Some(300_000), 0, 12)), 12),
            // More came than were known.
            ("put back", Some(seen(Unit::Rows, 7, Some(5), 0, 30)), 30),
            ("roll back", Some(seen(Unit::Steps, 3, Some(12), 0, 40)), 10),
            ("rehearse", Some(seen(Unit::Steps, 1, Some(44), 0, 10)), 10),
            ("rehearse", Some(seen(Unit::Steps, 2, Some(44), 0, 10)), 10),
            ("plan", Some(seen(Unit::Part, 0, Some(44), 0, 10)), 10),
            ("plan", Some(seen(Unit::Part, 7, Some(44), 0, 10)), 130),
            ("seed", Some(seen(Unit::Part, 0, None, 0, 10)), 10),
        ];
        let lines = lines.map(|(name, seen, took)| line(name, seen.as_ref(), Duration::from_secs(took)));
        insta::assert_snapshot!(lines.join("\n"), @"
          … migrate deploy: 20 s
          … snapshot: 120,000 of 300,000 rows, 14.2 MB, about 20 s more
          … snapshot: 120,000 rows, 900 bytes (14 s)
          … snapshot: 0 of 300,000 rows (12 s)
          … put back: 7 of 5 rows (30 s)
          … roll back 3/12 20251008_name, about 3 min more
          … rehearse 1/44 20251008_name (10 s)
          … rehearse 2/44 20251008_name, about 7 min more
          … plan (10 s)
          … plan 7/44 20251008_name (2 min 10 s)
          … seed: 20251008_name (10 s)
        ");
    }

    #[test]
    fn what_has_just_begun_foretells_nothing() {
        let early = seen(Unit::Rows, 1000, Some(2000), 0, 1);
        assert_eq!(message("seed", Some(&early)), "seed: 1,000 of 2,000 rows");
        assert_eq!(message("seed", None), "seed");
    }
}
