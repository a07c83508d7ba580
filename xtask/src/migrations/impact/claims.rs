//! What rules of squawk say that a statement does, held against what it did.

use crate::evidence::impact::{Blocks, Impact};
use crate::evidence::lint::Lint;

/// What a rule of squawk says that a statement does, where that can be measured.
enum Claim {
    Rewrites,
    ReadsWhole,
    Indexes,
    Blocks,
}

/// A finding of squawk, beside what was measured of the statement.
pub fn of_squawk(rule: &str, message: &str, impact: &Impact) -> Lint {
    let contradicted = claim(rule).filter(|_| impact.unmeasured.is_none()).and_then(|claim| against(&claim, impact));
    Lint {
        by: "squawk".to_owned(),
        rule: rule.to_owned(),
        message: message.to_owned(),
        contradicted: contradicted.map(str::to_owned),
    }
}

/// By <https://squawkhq.com/docs/rules>.
fn claim(rule: &str) -> Option<Claim> {
    match rule {
        "changing-column-type" | "adding-field-with-default" => Some(Claim::Rewrites),
        "adding-not-nullable-field" | "adding-foreign-key-constraint" | "constraint-missing-not-valid" => {
            Some(Claim::ReadsWhole)
        }
        "require-concurrent-index-creation" | "disallowed-unique-constraint" | "adding-serial-primary-key-field" => {
            Some(Claim::Indexes)
        }
        "require-concurrent-index-deletion" => Some(Claim::Blocks),
        _ => None,
    }
}

fn against(claim: &Claim, impact: &Impact) -> Option<&'static str> {
    let Impact { rewritten, indexed, scanned, locks, .. } = impact;
    let none = |tables: &[&Vec<String>]| tables.iter().all(|tables| tables.is_empty());
    match claim {
        Claim::Rewrites if none(&[rewritten]) => Some("measured, it rewrites no table"),
        Claim::ReadsWhole if none(&[rewritten, indexed, scanned]) => Some("measured, it reads no table whole"),
        Claim::Indexes if none(&[rewritten, indexed]) => {
            Some("measured, it builds no index of a table that was there before")
        }
        Claim::Blocks if !locks.iter().any(|lock| lock.blocks >= Blocks::Writes) => {
            Some("measured, nobody waits for it")
        }
        _ => None,
    }
}
