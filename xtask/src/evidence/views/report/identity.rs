//! Against which server and with which tools it ran, and the digest of every file: what it takes to believe the rest.

use maud::{Markup, html};

use crate::evidence::record::RECORD;
use crate::evidence::record::Record;
use crate::evidence::views::names;
use crate::evidence::views::reading::Reading;
use crate::evidence::views::report::section::{Section, region};
use crate::words::size;

pub fn section(reading: &Reading) -> Option<Section> {
    let run = &reading.run;
    let Record { tools, inputs, .. } = run;
    let (server, git, previous) = (run.server.as_ref(), run.git.as_ref(), run.previous.as_ref());
    let yes = |is: bool| if is { "yes" } else { "no" };
    let body = html! {
        div class="groups" {
            (group("Server", &[
                ("version", server.map(|server| server.version.as_str())),
                ("database", server.map(|server| server.database.as_str())),
                ("user", server.map(|server| server.user.as_str())),
                ("address", server.map(|server| server.address.as_str())),
                ("system identifier", server.and_then(|server| server.system_identifier.as_deref())),
                ("claimed as disposable", server.map(|server| yes(server.claimed))),
            ]))
            (group("Tools", &[
                ("drill", Some(&tools.drill)), ("Node", tools.node.as_deref()), ("Prisma", tools.prisma.as_deref()),
                ("schema engine", tools.engine.as_deref()),
            ]))
            (group("Inputs, by SHA-256", &[
                ("commit", git.map(|git| git.commit.as_str())), ("uncommitted changes", git.map(|git| yes(git.dirty))),
                ("schema", inputs.get("schema").map(String::as_str)),
                ("migrations", inputs.get("migrations").map(String::as_str)),
            ]))
            (group("Chain", &[
                ("run before", previous.map(|run| run.run.as_str())),
                ("its run.json", previous.map(|run| run.sha256.as_str())),
            ]))
        }
    };
    Some(Section { id: "identity", title: "Identity and tools", body })
}

/// What the record does not have is left out, and a group of nothing too.
fn group(title: &str, entries: &[(&str, Option<&str>)]) -> Markup {
    let known = || entries.iter().filter_map(|(name, value)| Some((name, (*value)?)));
    html! {
        @if known().next().is_some() {
            div { h3 { (title) } dl { @for (name, value) in known() { dt { (name) } dd { code { (value) } } } } }
        }
    }
}

/// Digests as they are now, and the record's own are in `run.json`; a view cannot hold its own.
pub fn files(reading: &Reading) -> Option<Section> {
    let listed = reading.digests(|name| name != RECORD && !names::ALL.contains(&name));
    let listed: Vec<_> = listed.take(1_000).collect();
    if listed.is_empty() {
        return None;
    }
    let body = html! {
        p {
            "As they were when this report was made. " code { "run.json" }
            " holds the digests that count, this report's too."
        }
        (region("Files and their digests", &html! {
            table class="files" {
                thead { tr { th { "File" } th { "Size" } th { "SHA-256" } } }
                tbody {
                    @for (name, bytes, digest) in listed {
                        tr {
                            td { code { (name) } }
                            td class="nowrap" { (size(bytes)) }
                            td {
                                @match digest {
                                    Some(digest) => code class="digest" { (digest) },
                                    None => { "not read: it is too large" }
                                }
                            }
                        }
                    }
                }
            }
        }))
    };
    Some(Section { id: "files", title: "Files", body })
}
