//! What came back, and what it means: pure, from status, headers and body to a count, to rows, or to a cause.
//!
//! Sources: PostgREST's pages "Pagination and Count" and "Errors"; Supabase's "HTTP status codes" (402, 540, 544) and
//! the words of its gateway, which answers 401 without a code.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use serde::Deserialize;
use serde_json::Value;
use ureq::http::Uri;

use crate::parity::rest::cause::{Cause, Obstacle};

/// The parts of an answer that are asked for.
#[derive(Debug, Default, Clone)]
pub struct Answer {
    pub status: u16,
    pub content_range: Option<String>,
    pub content_type: Option<String>,
    pub location: Option<String>,
    pub retry_after: Option<Duration>,
    /// The server's clock.
    pub date: Option<Timestamp>,
    /// Empty for `HEAD`.
    pub body: String,
}

/// No answer to the question, and whether to ask again.
#[derive(Debug, Clone, PartialEq)]
pub struct Miss {
    pub obstacle: Obstacle,
    pub again: bool,
    /// How long the server wants to be left alone.
    pub after: Duration,
}

/// PostgREST's errors; the gateway's have no code.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Complaint {
    code: Option<String>,
    message: Option<String>,
    hint: Option<String>,
}

impl Answer {
    pub fn of_head(status: u16, header: impl Fn(&str) -> Option<String>) -> Answer {
        Answer {
            status,
            content_range: header("content-range"),
            content_type: header("content-type"),
            location: header("location"),
            // The other form, a date, is not worth a second clock.
            retry_after: header("retry-after").and_then(|text| text.trim().parse().ok()).map(Duration::from_secs),
            date: header("date").and_then(|text| DateTimeParser::new().parse_timestamp(&text).ok()),
            body: String::new(),
        }
    }

    /// An error without a body, as every answer to `HEAD` is. To be asked too often is the one that needs no words.
    pub fn is_mute(&self) -> bool {
        self.status >= 400 && self.status != 429 && self.body.is_empty()
    }

    /// The total of `Content-Range: 0-24/3573458` or `*/0`, with 200 (all rows) and 206 (not all of them).
    pub fn total(&self) -> Result<u64, Miss> {
        self.must_be_rows()?;
        let Some(range) = self.content_range.as_deref() else { return Err(self.foreign()) };
        let total = range.rsplit_once('/').map_or("", |(_, total)| total);
        let number = if total.bytes().all(|byte| byte.is_ascii_digit()) { total.parse().ok() } else { None };
        number.ok_or_else(|| self.stays(Cause::NoCount, format!("`Content-Range: {range}`")))
    }

    pub fn rows(&self) -> Result<Vec<Value>, Miss> {
        self.must_be_rows()?;
        serde_json::from_str(&self.body).map_err(|_| self.foreign())
    }

    fn must_be_rows(&self) -> Result<(), Miss> {
        match self.status {
            200 | 206 if self.is_html() => Err(self.foreign()),
            200 | 206 => Ok(()),
            _ => Err(self.complaint()),
        }
    }

    /// Something between us and PostgREST answered in its place.
    fn foreign(&self) -> Miss {
        let kind = self.content_type.as_deref().unwrap_or("no content type");
        self.stays(Cause::NotPostgrest, format!("HTTP status {}, {kind}", self.status))
    }

    fn is_html(&self) -> bool {
        self.content_type.as_deref().is_some_and(|kind| kind.starts_with("text/html")) || self.body.starts_with('<')
    }

    fn complaint(&self) -> Miss {
        let complaint: Complaint = serde_json::from_str(&self.body).unwrap_or_default();
        let said = complaint.said(self.status);
        match (self.status, complaint.code.as_deref().unwrap_or_default()) {
            (300..=399, _) => self.stays(Cause::Redirected, format!("{said}, to `{}`", self.host_of_location())),
            (402, _) => self.stays(Cause::Restricted, said),
            (429, _) => self.passes(Cause::Busy, said),
            (540, _) => self.stays(Cause::Paused, said),
            (_, "PGRST205" | "42P01") => self.stays(Cause::UnknownTable, said),
            (_, "PGRST202" | "PGRST204") => self.stays(Cause::StaleCache, said),
            (_, "PGRST106") => self.stays(Cause::SchemaNotExposed, said),
            (_, "PGRST301" | "PGRST302") => self.stays(Cause::KeyRejected, said),
            (_, "PGRST303") => self.stays(Cause::KeyTime, said),
            (_, "42501") => self.stays(Cause::NotPermitted, said),
            (_, "57014") => self.stays(Cause::StatementTimeout, said),
            // No database, no connection, no schema cache yet, no free connection in time.
            (_, "PGRST000" | "PGRST001" | "PGRST002" | "PGRST003") => self.passes(Cause::Asleep, said),
            (500..=599, "") | (503 | 504, _) => self.passes(Cause::Asleep, said),
            (_, "") if self.is_html() => self.foreign(),
            (401 | 403, "") => self.stays(Cause::KeyRejected, said),
            _ => self.stays(Cause::Rejected, said),
        }
    }

    /// No more of the address: what follows the host may hold a token.
    fn host_of_location(&self) -> String {
        let host = self.location.as_deref().and_then(|to| Some(to.parse::<Uri>().ok()?.host()?.to_owned()));
        host.unwrap_or_else(|| "an address on the same host".to_owned())
    }

    fn stays(&self, cause: Cause, said: impl AsRef<str>) -> Miss {
        Miss { obstacle: Obstacle::new(cause, short(said.as_ref())), again: false, after: Duration::ZERO }
    }

    fn passes(&self, cause: Cause, said: impl AsRef<str>) -> Miss {
        Miss { again: true, after: self.retry_after.unwrap_or_default(), ..self.stays(cause, said) }
    }
}

/// A connection that was lost may come back; one that was never there, or a deadline of ours, is the same a second
/// later.
impl From<Obstacle> for Miss {
    fn from(obstacle: Obstacle) -> Miss {
        Miss { again: obstacle.cause == Cause::Lost, obstacle, after: Duration::ZERO }
    }
}

impl Complaint {
    fn said(&self, status: u16) -> String {
        let said = [self.code.as_deref(), self.message.as_deref(), self.hint.as_deref()];
        let said: Vec<&str> = said.into_iter().flatten().filter(|part| !part.is_empty()).collect();
        if said.is_empty() { format!("HTTP status {status}") } else { said.join(": ") }
    }
}

/// One line of what a server said, cut to a readable length.
fn short(text: &str) -> String {
    const LONGEST: usize = 200;
    let mut line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect();
    if text.chars().nth(LONGEST).is_some() {
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(range: &str) -> Result<u64, Miss> {
        Answer { status: 206, content_range: Some(range.to_owned()), ..Answer::default() }.total()
    }

    #[test]
    fn a_total_is_read_only_where_there_is_one() {
        assert_eq!(counted("0-24/3573458").unwrap(), 3_573_458);
        assert_eq!(counted("*/0").unwrap(), 0);
        assert_eq!(counted("0-0/18446744073709551615").unwrap(), u64::MAX);
        for range in
            ["*/*", "0-24/*", "0-24", "", "0-24/", "0-24/-1", "0-24/+1", "0-24/1e3", "0-0/18446744073709551616"]
        {
            let miss = counted(range).unwrap_err();
            assert!(miss.obstacle.cause == Cause::NoCount && !miss.again, "{range}: {miss:?}");
        }
    }

    fn cause(status: u16, body: &str) -> (Cause, bool) {
        let miss = Answer { status, body: body.to_owned(), ..Answer::default() }.total().unwrap_err();
        (miss.obstacle.cause, miss.again)
    }

    #[test]
    fn only_what_may_pass_is_asked_again() {
        for status in [429, 500, 502, 503, 504, 520, 521, 522, 544] {
            assert!(cause(status, "").1, "{status}");
        }
        for (status, code) in [(500, "57014"), (403, "42501"), (404, "PGRST205"), (406, "PGRST106"), (401, "PGRST301")]
        {
            assert!(!cause(status, &format!(r#"{{"code":"{code}","message":"m"}}"#)).1, "{code}");
        }
        for status in [301, 302, 400, 401, 402, 403, 404, 405, 416, 540] {
            assert!(!cause(status, "").1, "{status}");
        }
    }

    #[test]
    fn the_date_is_read_as_http_writes_it() {
        let answer = Answer::of_head(200, |name| (name == "date").then(|| "Sun, 06 Nov 1994 08:49:37 GMT".to_owned()));
        assert_eq!(answer.date.unwrap().to_string(), "1994-11-06T08:49:37Z");
    }

    #[test]
    fn a_redirect_says_where_to_and_no_more() {
        let location = Some("https://login.example/portal?token=abc".to_owned());
        let miss = Answer { status: 302, location, ..Answer::default() }.total().unwrap_err();
        assert_eq!(miss.obstacle, Obstacle::new(Cause::Redirected, "HTTP status 302, to `login.example`"));
        let location = Some("https://login.exam\u{fffd}Ple/portal".to_owned());
        let miss = Answer { status: 302, location, ..Answer::default() }.total().unwrap_err();
        assert_eq!(
            miss.obstacle,
            Obstacle::new(Cause::Redirected, "HTTP status 302, to `an address on the same host`")
        );
    }

    #[test]
    fn what_a_server_says_is_one_short_line() {
        let said = short(&format!("a\nb\u{1b}[31m{}", "x".repeat(500)));
        assert!(said.starts_with("a b [31mxxx") && said.chars().count() == 201, "{said}");
    }

    /// What the table says that a code means, and what is made of it here.
    #[test]
    fn each_code_of_the_table_has_the_cause_that_it_is_listed_with() {
        let mut found = 0;
        for known in crate::causes::rest::ALL {
            for code in known.codes {
                let (cause, _) = cause(400, &format!(r#"{{"code":"{code}","message":"m"}}"#));
                assert_eq!(cause.known().name, known.name, "{code}");
                found += 1;
            }
        }
        assert!(found >= 12, "{found}");
    }
}
