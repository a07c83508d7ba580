//! What must hold of whatever answers in the place of PostgREST; see `crate::fuzz`.

#![allow(clippy::expect_used, reason = "a property panics where it does not hold")]

use super::Cause;
use super::answer::Answer;

/// A status, `Content-Range`, a content type and a place to go to, in lines, then a body. There is a count only where the answer gives one, in
/// digits; what is said of any other answer is one short line.
pub fn count(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.splitn(5, '\n');
    let mut next = || lines.next().filter(|line| !line.is_empty()).map(str::to_owned);
    let (status, content_range, content_type, location, body) = (next(), next(), next(), next(), next());
    let status = status.and_then(|status| status.parse().ok()).unwrap_or(200);
    let body = body.unwrap_or_default();
    let answer = Answer { status, content_range, content_type, location, body, ..Answer::default() };
    match answer.total() {
        Ok(total) => {
            let range = answer.content_range.clone().unwrap_or_default();
            let digits = &range[range.trim_end_matches(|c: char| c.is_ascii_digit()).len()..];
            assert_eq!(digits.trim_start_matches('0'), total.to_string().trim_start_matches('0'));
            assert!(range.strip_suffix(digits).is_some_and(|before| before.ends_with('/')), "{range}");
            assert!([200, 206].contains(&status) && !answer.body.starts_with('<'));
        }
        Err(miss) => {
            let said = &miss.obstacle.said;
            assert!(said.chars().count() <= 201 && !said.contains(char::is_control), "{said:?}");
            assert!(!miss.again || status >= 429, "{status} is asked again");
            let place = said.rsplit_once(", to `").map_or("", |(_, place)| place);
            let is_redirect = miss.obstacle.cause == Cause::Redirected;
            assert!(!is_redirect || !place.contains(['/', '?', '#', '@']), "{said}");
        }
    }
    if let Ok(rows) = answer.rows() {
        let read: serde_json::Value = serde_json::from_str(&answer.body).expect("it was read");
        assert_eq!(read.as_array(), Some(&rows));
    }
}
