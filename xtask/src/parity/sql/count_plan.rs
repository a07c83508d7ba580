//! How the server would go about a count, in its own estimate.

use postgres::Row;
use serde_json::Value;

/// The answer to `explain (format json)`.
#[derive(Debug, PartialEq)]
pub struct Plan {
    /// In the planner's unit, by which plans of one server compare.
    pub cost: f64,
    /// An index holds all that is asked for. The planner prices pages, of which such a count reads few; what it takes is
    /// a moment for each row, so it gains nothing from another count beside it.
    pub index_alone: bool,
    /// Another server is asked: by a foreign table, or a view or a partition that leads to one.
    pub leads_away: bool,
}

impl Plan {
    /// Of the one row of the answer.
    pub fn read(rows: &[Row]) -> Plan {
        Plan::of(&rows.first().map_or(Value::Null, |row| row.get(0))[0]["Plan"])
    }

    /// A plan that names no cost counts as dearer than any other.
    fn of(plan: &Value) -> Plan {
        let sources = sources(plan);
        Plan {
            cost: plan["Total Cost"].as_f64().unwrap_or(f64::INFINITY),
            index_alone: sources.iter().all(|node| *node == "Index Only Scan"),
            leads_away: sources.contains(&"Foreign Scan"),
        }
    }
}

/// The nodes that rows come from.
fn sources(node: &Value) -> Vec<&str> {
    match node["Plans"].as_array() {
        Some(below) => below.iter().flat_map(sources).collect(),
        None => node["Node Type"].as_str().into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_plan_is_known_by_what_its_rows_come_from() {
        let away = json!({"Node Type": "Foreign Scan"});
        let here = json!({"Node Type": "Seq Scan", "Filter": "(topic = 'Foreign Scan'::text)"});
        let index = json!({"Node Type": "Index Only Scan"});
        let plan = |below: Value| Plan::of(&json!({"Node Type": "Aggregate", "Total Cost": 120.5, "Plans": below}));
        let expected = |index_alone, leads_away| Plan { cost: 120.5, index_alone, leads_away };
        assert_eq!(plan(json!([here])), expected(false, false));
        assert_eq!(plan(json!([index])), expected(true, false));
        assert_eq!(plan(json!([{"Node Type": "Append", "Plans": [index, here]}])), expected(false, false));
        assert_eq!(plan(json!([{"Node Type": "Append", "Plans": [here, away]}])), expected(false, true));
        assert_eq!(Plan::of(&Value::Null).cost, f64::INFINITY);
    }
}
