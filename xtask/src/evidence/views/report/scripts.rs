//! The SQL that ran, or would have: the plan's scripts, and the ways back.

use maud::{Markup, html};
use serde_json::Value;

use crate::evidence::views::reading::{Reading, inert_name};
use crate::evidence::views::report::section::Section;
use crate::words::{counted, list, number, text};

/// Bytes of SQL on the page, shared by all scripts.
const BUDGET: usize = 1024 * 1024;

struct Script {
    name: String,
    sql: String,
    /// Bytes after `sql` that are not shown.
    left_out: usize,
}

pub fn section(reading: &Reading) -> Option<Section> {
    let plan = reading.json("plan.json");
    // The plan may lack the end of a long one, too.
    let lacks = |script: &Value| script["left_out"].as_u64().and_then(|bytes| usize::try_from(bytes).ok());
    let script = |script: &Value| {
        (text(&script["name"]).to_owned(), text(&script["sql"]).to_owned(), lacks(script).unwrap_or_default())
    };
    let planned: Vec<(String, String, usize)> = list(&plan["scripts"]).iter().map(script).collect();
    let is_planned = |name: &str| planned.iter().any(|(planned, ..)| planned == name);
    let ways_back: Vec<&str> =
        reading.names(".sql").filter(|name| name.starts_with("down/") && !is_planned(&inert_name(name))).collect();
    let share = (BUDGET / (planned.len() + ways_back.len()).max(1)).max(4 * 1024);
    let planned = planned.into_iter().map(|(name, sql, lacking)| {
        let cut = Script::cut(name, &sql, share);
        Script { left_out: cut.left_out + lacking, ..cut }
    });
    let back = ways_back.into_iter().filter_map(|name| {
        let text = reading.text(name, BUDGET as u64)?;
        Some(Script::cut(inert_name(name), &text.head, share))
    });
    let scripts: Vec<Script> = planned.chain(back).collect();
    if scripts.is_empty() {
        return None;
    }
    let body = html! { @for script in &scripts { (script.markup()) } };
    Some(Section { id: "sql", title: "SQL", body })
}

impl Script {
    fn cut(name: String, sql: &str, share: usize) -> Script {
        let end = (0..=share.min(sql.len())).rev().find(|at| sql.is_char_boundary(*at)).unwrap_or(0);
        Script { name, sql: sql[..end].to_owned(), left_out: sql.len() - end }
    }

    fn markup(&self) -> Markup {
        html! {
            details {
                summary { code { (self.name) } span class="aside" { (counted(self.sql.lines().count(), "line")) } }
                pre { (self.sql) }
                @if self.left_out > 0 {
                    p class="cut" { (number(self.left_out as u64)) " more bytes are not shown." }
                }
            }
        }
    }
}
