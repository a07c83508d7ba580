//! What `migrate deploy` waited for, and who waited behind it.

use maud::{Markup, html};

use crate::evidence::deploy::Deploy;
use crate::evidence::outcome::Outcome;
use crate::evidence::views::report::prose::prose;
use crate::evidence::views::report::section::{Section, region};
use crate::words::duration;

pub fn deploys(run: &Outcome) -> Option<Section> {
    if run.deploys.is_empty() {
        return None;
    }
    let body = html! {
        p { "Asked of the server every 100 ms while the migrations were applied." }
        (region("Deploys and who waited", &html! {
            table {
                thead { tr { th { "Deploy" } th { "Looks" } th { "It waited" } th { "Behind it, longest" } th { "For whom, and who waited" } } }
                tbody { @for (at, one) in run.deploys.iter().enumerate() { (row(at + 1, one)) } }
            }
        }))
    };
    Some(Section { id: "deploys", title: "Locks while it was deployed", body })
}

fn row(number: usize, one: &Deploy) -> Markup {
    let again = if one.attempt > 1 { format!("{number} (try {})", one.attempt) } else { number.to_string() };
    html! {
        tr {
            td { (again) }
            td { (one.looks) }
            td class="nowrap" { (duration(one.waited_ms)) }
            td class="nowrap" { (duration(one.blocked_ms)) }
            td {
                @for wait in &one.waits { div { (duration(wait.waited_ms)) ": " (prose(&wait.in_words())) } }
                @for blocked in &one.blocked { div { (prose(&blocked.in_words("waited"))) } }
                @if let Some(why) = &one.unwatched { div { "Not watched, or not to its end: " (prose(why)) } }
            }
        }
    }
}
