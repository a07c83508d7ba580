//! Sentences of the drill on a page: what they put between backticks is set as code.

use maud::{Markup, html};

use crate::words::in_line;

/// A backtick that has no partner is a character like any other.
pub fn prose(text: &str) -> Markup {
    let paired = text.matches('`').count().is_multiple_of(2);
    let pieces: Vec<&str> = if paired { text.split('`').collect() } else { vec![text] };
    html! {
        @for (at, piece) in pieces.into_iter().enumerate() {
            @if at % 2 == 1 { code { (in_line(piece)) } } @else { (piece) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_code_and_everything_is_escaped() {
        assert_eq!(prose("`a<b` is `c`").into_string(), "<code>a&lt;b</code> is <code>c</code>");
        assert_eq!(prose("`a\nb`\nc").into_string(), "<code>a\\nb</code>\nc");
        assert_eq!(prose("it`s <b>").into_string(), "it`s &lt;b&gt;");
    }
}
