//! A part of the report, with its place in the menu, and what is too wide for a narrow page.

use maud::{Markup, html};

/// A part of the report; a part with nothing to show is not made.
pub struct Section {
    pub id: &'static str,
    pub title: &'static str,
    pub body: Markup,
}

/// Scrolls by itself where it is too wide, by keyboard too.
pub fn region(label: &str, content: &Markup) -> Markup {
    html! { div class="scroll" tabindex="0" role="region" aria-label=(label) { (content) } }
}
