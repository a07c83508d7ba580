//! What a plan had promised and a run did not reach, by the names in `plan.json`: what was never tried must not look
//! like what went well.

use serde_json::Value;

use crate::evidence::views::reading::Reading;
use crate::words::{list, text};

/// A stage of a plan and its steps, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    pub stage: String,
    pub steps: Vec<String>,
}

/// What is left of a plan.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Unreached {
    /// For each stage of the run the steps that it did not come to.
    pub steps: Vec<Vec<String>>,
    /// The stages that did not begin.
    pub stages: Vec<Planned>,
}

/// Empty for a run without a plan.
pub fn unreached(reading: &Reading) -> Unreached {
    let mut planned = stages(&reading.json("plan.json")).into_iter().peekable();
    let mut left = Unreached::default();
    for stage in &reading.run.outcome.stages {
        // A run may have a stage that its plan has not: one that was left out as asked.
        let plan = planned.next_if(|plan| plan.stage == stage.name && stage.status != "skipped");
        let reached = stage.steps.len();
        left.steps.push(plan.map_or_else(Vec::new, |plan| plan.steps.into_iter().skip(reached).collect()));
    }
    left.stages = planned.collect();
    left
}

/// A plan of several stages has one step for each, and its plan in it.
fn stages(plan: &Value) -> Vec<Planned> {
    let steps: Vec<&Value> = list(&plan["groups"]).iter().flat_map(list).collect();
    let parts: Vec<Planned> = steps.iter().flat_map(|step| stages(&step["action"]["own"])).collect();
    if !parts.is_empty() || steps.is_empty() {
        return parts;
    }
    let steps = steps.iter().map(|step| text(&step["name"]).to_owned()).collect();
    vec![Planned { stage: text(&plan["stage"]).to_owned(), steps }]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::evidence::record::Record;

    fn left_of(stages: &[(&str, usize)], plan: &Value) -> Unreached {
        let folder = tempfile::tempdir().unwrap();
        let step = json!({"name": "a", "status": "ok"});
        let stage = |(name, steps): &(&str, usize)| json!({"name": name, "status": "ok", "steps": vec![&step; *steps]});
        let run = Record::of(json!({"stages": stages.iter().map(stage).collect::<Vec<_>>()}));
        std::fs::write(folder.path().join("run.json"), json!(run).to_string()).unwrap();
        std::fs::write(folder.path().join("plan.json"), plan.to_string()).unwrap();
        unreached(&Reading::open(folder.path(), &redact::Redactor::generic()).unwrap())
    }

    #[test]
    fn what_a_run_of_one_or_of_several_stages_did_not_come_to_is_named() {
        let plan = |stage: &str| json!({"stage": stage, "groups": [[{"name": "a"}, {"name": "b"}], [{"name": "c"}]]});
        let one = [("forward", 2)];
        let left = left_of(&one, &plan("forward"));
        assert_eq!((left.steps, left.stages), (vec![vec!["c".to_owned()]], vec![]));

        let part = |stage: &str| json!([{"name": stage, "action": {"own": plan(stage)}}]);
        let whole =
            json!({"stage": "drill", "groups": [part("forward"), part("backward"), part("forward"), part("mirror")]});
        let left = left_of(&[("forward", 3), ("backward", 1)], &whole);
        assert_eq!(left.steps, [vec![], vec!["b".to_owned(), "c".to_owned()]]);
        assert_eq!(left.stages.iter().map(|plan| plan.stage.as_str()).collect::<Vec<_>>(), ["forward", "mirror"]);
        assert_eq!(left_of(&one, &Value::Null), Unreached { steps: vec![vec![]], stages: vec![] });
    }
}
