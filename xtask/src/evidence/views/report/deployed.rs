//! What the release that is running can do after the migrations.

use maud::{Markup, html};

use crate::evidence::deployed::{Model, Verdict};
use crate::evidence::outcome::Outcome;
use crate::evidence::views::report::prose::prose;
use crate::evidence::views::report::section::{Section, region};

pub fn deployed(run: &Outcome) -> Option<Section> {
    let deployed = run.deployed.as_ref()?;
    let body = html! {
        p { "The Prisma client of " code { (deployed.reference) } " (" code { (deployed.commit) } ") before the migrations and after them." }
        (table(&deployed.models))
        @if !deployed.next.is_empty() {
            p { "The new client with the database as it was before the migrations: what a deploy meets that starts the app first." }
            (table(&deployed.next))
        }
    };
    Some(Section { id: "deployed", title: "The release that is running", body })
}

fn table(models: &[Model]) -> Markup {
    html! {
        (region("What the release can do", &html! {
            table {
                thead { tr { th { "Model" } th { "Reads" } th { "Writes" } } }
                tbody { @for model in models { (row(model)) } }
            }
        }))
    }
}

fn row(model: &Model) -> Markup {
    html! { tr { td { code { (model.model) } } td { (prose(&said(&model.reads))) } td { (prose(&said(&model.writes))) } } }
}

fn said(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Compatible => "compatible".to_owned(),
        Verdict::Breaks(why) => format!("breaks: {why}"),
        Verdict::NotTried(why) => format!("not tried, failed both times: {why}"),
    }
}
