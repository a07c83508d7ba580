//! How a word of the exit-code table looks: a colour, a symbol, and what the filter tells steps apart by.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{Markup, html};

/// A word of the exit-code table as the reader sees it: one of four colours, and a symbol for who sees none.
pub fn tone(status: &str) -> &'static str {
    match status {
        "ok" | "reversible" => "good",
        "failed" | "different" | "bug" | "leftovers" => "bad",
        "skipped" => "none",
        _ => "warn",
    }
}

/// Whether a step of that status is one to look at: not what went well, and not what was never tried.
pub fn is_failure(status: &str) -> bool {
    !matches!(tone(status), "good" | "none")
}

/// What the filter by verdict tells steps apart by.
pub fn kind(status: &str) -> &'static str {
    match tone(status) {
        "good" => "is-passed",
        "none" => "is-skipped",
        _ => "is-failed",
    }
}

/// The symbol as the path of a 16 x 16 drawing: fonts differ, and some have none.
fn symbol(status: &str) -> &'static str {
    match status {
        "ok" | "reversible" => "M3 8.5 6.5 12 13 4.5",
        "failed" | "bug" | "leftovers" => "M4 4 12 12 M12 4 4 12",
        "different" => "M3 6H13M3 10H13M10 3 6 13",
        "refused" => "M8 2.5a5.5 5.5 0 1 0 .01 0ZM4.2 4.2 11.8 11.8",
        "interrupted" => "M5.5 4V12M10.5 4V12",
        "skipped" => "M4 8H12",
        _ => "M8 3V9M8 12.2V12.8",
    }
}

pub fn icon(status: &str) -> Markup {
    html! {
        svg class={ "icon " (tone(status)) } viewBox="0 0 16 16" role="img" aria-label=(status) {
            path d=(symbol(status)) {}
        }
    }
}

/// The verdict on the browser's tab.
pub fn favicon(status: &str) -> String {
    let color = match tone(status) {
        "good" => "#1a7f37",
        "bad" => "#cf222e",
        _ => "#9a6700",
    };
    let svg = html! {
        svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16" {
            rect width="16" height="16" rx="4" fill=(color) {}
            path d=(symbol(status)) fill="none" stroke="#fff" stroke-width="2" stroke-linecap="round" {}
        }
    };
    format!("data:image/svg+xml;base64,{}", STANDARD.encode(svg.into_string()))
}
