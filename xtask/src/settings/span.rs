//! A span of time in `drill.toml`, with its unit: `500ms`, `5s`, `2min`.

use std::time::Duration;

use jiff::SignedDuration;
use serde::Deserialize;

/// From a millisecond, below which Postgres knows no limit, to a day, over which nobody waits.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub struct Span(pub Duration);

const LONGEST: Duration = Duration::from_secs(24 * 3600);

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Span, String> {
        let read = text.parse::<SignedDuration>().ok().and_then(|span| Duration::try_from(span).ok());
        let span = read.filter(|span| (Duration::from_millis(1)..=LONGEST).contains(span));
        span.map(Span).ok_or_else(|| format!("`{text}` is no time from `1ms` to `24h`, as `500ms`, `5s` or `2min` are"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_has_a_unit_and_an_end() {
        let read = |text: &str| Span::try_from(text.to_owned()).map(|span| span.0.as_millis());
        let good = [("500ms", 500), ("5s", 5_000), ("2min", 120_000), ("1m 30s", 90_000), ("24h", 86_400_000)];
        for (text, milliseconds) in good {
            assert_eq!(read(text), Ok(milliseconds));
        }
        for text in ["", "5", "0s", "-1s", "5 parsecs", "25h", "1us", "1d", "5s; drop table t"] {
            let told = format!("`{text}` is no time from `1ms` to `24h`, as `500ms`, `5s` or `2min` are");
            assert_eq!(read(text), Err(told));
        }
    }
}
