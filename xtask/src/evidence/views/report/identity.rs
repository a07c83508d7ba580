//! Who ran what against which server, with which tools, and the digest of every file: what it takes to believe the
//! rest.

use maud::{Markup, html};
use serde_json::Value;

use crate::evidence::folder::RECORD;
use crate::evidence::views;
use crate::evidence::views::reading::Reading;
use crate::evidence::views::report::Section;
use crate::words::{list, moment, size, text};

pub fn section(reading: &Reading) -> Option<Section> {
    let run = &reading.run;
    let argv: Vec<&str> = list(&run["argv"]).iter().map(text).collect();
    let body = html! {
        div class="groups" {
            (group("Server", run, &[
                ("version", "/server/version"), ("database", "/server/database"), ("user", "/server/user"),
                ("address", "/server/address"), ("system identifier", "/server/system_identifier"), ("claimed as disposable", "/server/claimed"),
            ]))
            (group("Tools", run, &[
                ("drill", "/tools/drill"), ("Node", "/tools/node"), ("Prisma", "/tools/prisma"),
                ("schema engine", "/tools/engine"), ("Supabase CLI", "/tools/supabase"),
            ]))
            (group("Who, by their own account", run, &[("user", "/operator/user"), ("CI run", "/operator/ci_run")]))
            (group("Inputs, by SHA-256", run, &[
                ("commit", "/git/commit"), ("uncommitted changes", "/git/dirty"), ("schema", "/inputs/schema"),
                ("migrations", "/inputs/migrations"),
            ]))
            (group("Chain", run, &[("run before", "/previous/run"), ("its run.json", "/previous/sha256")]))
        }
        dl {
            dt { "command" } dd { code { "cargo xtask " (argv.join(" ")) } }
            @for (name, key) in [("started", "started_at"), ("finished", "finished_at")] {
                @if let Some(time) = run[key].as_str() { dt { (name) } dd { (moment(time)) } }
            }
        }
    };
    Some(Section { id: "identity", title: "Identity and tools", body })
}

/// What the record does not have is left out, and a group of nothing too.
fn group(title: &str, run: &Value, entries: &[(&str, &str)]) -> Markup {
    let shown = |pointer: &str| match run.pointer(pointer)? {
        Value::String(text) => Some(text.clone()),
        Value::Bool(yes) => Some(if *yes { "yes" } else { "no" }.to_owned()),
        _ => None,
    };
    let entries: Vec<(&str, String)> = entries.iter().filter_map(|(name, at)| Some((*name, shown(at)?))).collect();
    html! {
        @if !entries.is_empty() {
            div { h3 { (title) } dl { @for (name, value) in entries { dt { (name) } dd { code { (value) } } } } }
        }
    }
}

/// Digests as they are now, and the record's own are in `run.json`; a view cannot hold its own.
pub fn files(reading: &Reading) -> Option<Section> {
    let listed =
        reading.digests().into_iter().filter(|(name, ..)| name != RECORD && views::names().all(|view| view != name));
    let listed: Vec<_> = listed.take(1_000).collect();
    if listed.is_empty() {
        return None;
    }
    let body = html! {
        p {
            "As they were when this report was made. " code { "run.json" }
            " holds the digests that count, this report's too."
        }
        div class="scroll" {
            table class="files" {
                thead { tr { th { "File" } th { "Size" } th { "SHA-256" } } }
                tbody {
                    @for (name, bytes, digest) in listed {
                        tr {
                            td { code { (name) } }
                            td class="nowrap" { (size(bytes)) }
                            td { code class="digest" { (digest) } }
                        }
                    }
                }
            }
        }
    };
    Some(Section { id: "files", title: "Files", body })
}
