//! The one reader of the wall clock: times are UTC, to the second, as RFC 3339 writes them.

use jiff::Timestamp;

pub fn now() -> Timestamp {
    Timestamp::now()
}

/// `2026-11-22T19:14:05Z`
pub fn rfc3339(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `age` before `time`, with a unit: `30d`, `2w`, `12h`. None where it is no such span, or none at all.
pub fn before(time: Timestamp, age: &str) -> Option<Timestamp> {
    let then = time.to_zoned(jiff::tz::TimeZone::UTC).checked_sub(age.parse::<jiff::Span>().ok()?).ok()?.timestamp();
    (then < time).then_some(then)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_has_a_unit_and_lies_in_the_past() {
        let now: Timestamp = "2026-03-31T12:00:00Z".parse().unwrap();
        let then = |age| before(now, age).map(rfc3339);
        let shown = ["30d", "2w", "12h", "1d 6h"].map(|age| then(age).unwrap());
        assert_eq!(
            shown,
            ["2026-03-01T12:00:00Z", "2026-03-17T12:00:00Z", "2026-03-31T00:00:00Z", "2026-03-30T06:00:00Z"]
        );
        assert_eq!(["", "30", "0d", "-3d", "3 parsecs", "99999999y"].map(then), [const { None }; 6]);
    }
}
