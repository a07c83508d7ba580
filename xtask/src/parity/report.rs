//! `parity.json`: all that was counted and where it differs, under the keys that the old probe wrote as well, so that
//! what read its output reads this (`event`, `prisma`, `supabase`, `deltas`, `diffPct`, `timestamp`; `status` and
//! `reason` where it could not count).

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::error::{Failure, Status};
use crate::hint::Aim;
use crate::parity::bisect::Level;
use crate::parity::by_row::difference::Listing;
use crate::parity::comparison::{Compared, Comparison};
use crate::parity::place::Place;
use crate::parity::sample::Sample;

const EVENT: &str = "analytics.parity";

/// One look at all pairs, at one moment.
#[derive(Debug, Clone, Serialize)]
pub struct Look {
    /// RFC 3339, UTC.
    pub at: String,
    #[serde(flatten)]
    pub comparison: Comparison,
}

/// Where one pair differs.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    pub pair: String,
    pub sentences: Vec<String>,
    pub places: Vec<Place>,
    /// The rows of the worst place.
    pub sample: Option<Sample>,
    pub levels: Vec<Level>,
}

/// What was counted; the last of `looks` is the one that counts.
pub fn counted(looks: &[Look], last: &Look, findings: &[Finding], rows: &[Listing]) -> Value {
    let Comparison { threshold_pct, pairs, source } = &last.comparison;
    let status = if last.comparison.within() { Status::Ok } else { Status::Different };
    json!({
        "event": EVENT,
        "status": status.word(),
        "prisma": each(pairs, |pair| (format!("{}Count", pair.name), pair.prisma.into())),
        "supabase": each(pairs, |pair| (format!("{}Count", pair.name), pair.mirror.into())),
        "deltas": each(pairs, |pair| (pair.name.clone(), pair.delta.into())),
        "diffPct": each(pairs, |pair| (pair.name.clone(), two_places(pair.diff_pct).into())),
        "timestamp": last.at,
        "threshold_pct": threshold_pct,
        "source": source,
        "looks": looks,
        "where": findings,
        "rows": rows,
    })
}

/// Why there is no verdict. A first look may be there, and is not a verdict: rows may have been in flight.
pub fn unfinished(looks: &[Look], reason: Option<&str>, failure: &Failure, aim: &Aim, at: &str) -> Value {
    json!({
        "event": EVENT,
        "status": failure.status.word(),
        "reason": reason,
        "message": failure.message,
        "hint": failure.hint.as_ref().map(|hint| hint.line(aim)),
        "timestamp": at,
        "looks": looks,
    })
}

fn each(pairs: &[Compared], entry: impl Fn(&Compared) -> (String, Value)) -> Map<String, Value> {
    pairs.iter().map(entry).collect()
}

/// As the old probe rounded.
fn two_places(percent: f64) -> f64 {
    (percent * 100.0).round() / 100.0
}
