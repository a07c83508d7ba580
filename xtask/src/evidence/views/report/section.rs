//! A part of the report, with its place in the menu.

use maud::Markup;

/// A part of the report; a part with nothing to show is not made.
pub struct Section {
    pub id: &'static str,
    pub title: &'static str,
    pub body: Markup,
}
