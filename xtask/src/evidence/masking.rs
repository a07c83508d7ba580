//! The one rule of what is masked in JSON: texts, value by value, and never the JSON itself.
//!
//! Keys, numbers and what [`NAMES`] lists stay as they are. Names of schemas, tables, columns, migrations and files are
//! no secrets, even where one is called as a secret is; digests and words of ours are compared again. All else may quote
//! a program or a server, so an unknown key is masked.

use std::collections::HashSet;
use std::sync::LazyLock;

use redact::Redactor;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{OrFail, Result};

/// Keys of names, digests, moments and words of ours.
#[rustfmt::skip]
const NAMES: &[&str] = &[
    // The record and `--json`.
    "address", "check", "closed_at", "closed_by", "commit", "database", "environment", "evidence", "exit", "file",
    "files", "finished_at", "folder", "host", "inputs", "interrupted", "kind", "log", "name", "project_ref", "run",
    "schema", "sha256", "source", "stage", "started_at", "state", "status", "system_identifier", "user", "verdict",
    "version",
    // Migrations, and how far a drill came.
    "applied", "edited_after_apply", "failed", "landing", "migration", "missing_locally", "out_of_order", "pending",
    "rolled_back", "running", "snapshot", "taken",
    // Impact.
    "blocks", "indexed", "mode", "rewritten", "scanned",
    // Catalogs, privileges, losses and pairs.
    "catalog", "column", "follows", "grantee", "owner", "pair", "path", "privilege", "schemas", "signature", "table",
];

/// Keys of objects whose own keys are free text: what is in them is judged by the outer key alone.
const MAPS: &[&str] = &["environment", "files", "inputs", "properties"];

/// Every text of a record asks, each time that the record is written.
static KNOWN: LazyLock<HashSet<&str>> = LazyLock::new(|| NAMES.iter().copied().collect());

/// Whether what stands under `key` is a name, a digest, a moment or a word of ours.
pub fn is_name(key: &str) -> bool {
    KNOWN.contains(key) || MAPS.contains(&key)
}

/// `value` as JSON that may be written or printed.
///
/// # Errors
/// `bug`: values of ours can be written.
pub fn masked(redactor: &Redactor, value: &impl Serialize) -> Result<Value> {
    Ok(below(redactor, "", serde_json::to_value(value).bug("cannot write a record as JSON")?))
}

/// As `masked`, read back as what it was.
///
/// # Errors
/// `bug`: a mask is a text where a text was.
pub fn view<T: Serialize + DeserializeOwned>(redactor: &Redactor, value: &T) -> Result<T> {
    serde_json::from_value(masked(redactor, value)?).bug("a masked record cannot be read back")
}

/// Whether a JSON file of the drill's holds a secret in spite of all masking.
pub fn leaks(redactor: &Redactor, file: &Value) -> bool {
    below(redactor, "", file.clone()) != *file
}

/// The text that stands under `key`.
pub fn shown(redactor: &Redactor, key: &str, text: String) -> String {
    if KNOWN.contains(key) { text } else { redactor.text(&text) }
}

/// By which key is judged what stands under `own` in the object under `key`.
pub fn judged_by<'a>(key: &'a str, own: &'a str) -> &'a str {
    if MAPS.contains(&key) { key } else { own }
}

fn below(redactor: &Redactor, key: &str, value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(shown(redactor, key, text)),
        Value::Array(values) => values.into_iter().map(|value| below(redactor, key, value)).collect(),
        Value::Object(entries) => {
            let entry = |(own, value): (String, Value)| {
                let value = below(redactor, judged_by(key, &own), value);
                (own, value)
            };
            Value::Object(entries.into_iter().map(entry).collect())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;
    use redact::Secret;
    use serde_json::json;

    use super::*;
    use crate::evidence::folder::Run;
    use crate::evidence::record::RECORD;
    use crate::evidence::record::Record;
    use crate::evidence::views;

    /// A secret that is called as a table may be.
    const PASSWORD: &str = "orders";

    fn redactor() -> Redactor {
        let url = Secret::new(format!("postgresql://u:{PASSWORD}@db.staging.hotdash.app:5432/hotdash_staging"));
        Redactor::new(&[("DATABASE_URL".to_owned(), url)], &[])
    }

    fn names() -> impl Strategy<Value = Vec<String>> {
        let known = [
            PASSWORD,
            "ApiKey",
            "password",
            "token",
            "secret",
            "aws_secret_access_key",
            "name",
            "files",
            "notes",
            "it's \"quoted\"",
            "two\nlines",
            "\u{202e}txet",
            "\\",
            "::error::",
            "a|b`c",
            "</script>",
        ];
        vec(prop_oneof![select(known.to_vec()).prop_map(str::to_owned), "\\PC{1,12}"], 1..8)
    }

    /// A record that has `names` wherever a record has names, and in its sentences together with the password.
    fn record(names: &[String], rows: u64) -> Record {
        let each = |make: &dyn Fn(&String) -> (String, Value)| Value::Object(names.iter().map(make).collect());
        let counts = each(&|name| (format!("public.{name}"), rows.into()));
        let digests = each(&|name| (format!("down/{name}.sql"), "5c".repeat(32).into()));
        let said = |name: &String| format!("cannot touch \"{name}\": {PASSWORD} is the password");
        let sentences: Vec<String> = names.iter().map(said).collect();
        let step = json!({"name": "verify", "status": "failed", "detail": sentences[0], "exit": {"code": 1}});
        let leftover = |name: &String| json!({"kind": "table", "name": name, "message": said(name)});
        Record::of(json!({
            "status": "failed", "hint": sentences[0], "argv": sentences, "notes": sentences, "inputs": digests,
            "counts": {"before": counts, "after": counts}, "error": {"message": sentences[0], "causes": sentences},
            "migrations": {"applied": names, "pending": names, "rolled_back": []},
            "leftovers": names.iter().map(leftover).collect::<Vec<_>>(),
            "stages": [{"name": "forward", "status": "failed", "duration_ms": rows, "steps": [step]}],
            "rows": counts,
        }))
    }

    /// Every text that is not a name.
    fn sentences(record: &Record) -> Vec<String> {
        let outcome = &record.outcome;
        let details = outcome.steps().filter_map(|step| step.detail.clone());
        let messages = outcome.leftovers.iter().map(|leftover| leftover.message.clone());
        let error = outcome.error.iter().map(|error| error.message.clone());
        let others = [outcome.causes(), &outcome.notes, &record.argv].concat();
        details.chain(messages).chain(error).chain(outcome.hint.clone()).chain(others).collect()
    }

    /// The same record without its sentences: all that must be as it was.
    fn silent(record: &Record) -> Value {
        let mut record = record.clone();
        record.argv.clear();
        let outcome = &mut record.outcome;
        (outcome.hint, outcome.error) = (None, None);
        outcome.notes.clear();
        outcome.leftovers.iter_mut().for_each(|leftover| leftover.message.clear());
        outcome.stages.iter_mut().flat_map(|stage| &mut stage.steps).for_each(|step| step.detail = None);
        json!(record)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_record_keeps_its_keys_names_and_numbers_and_no_sentence_a_secret(names in names(), rows in 0..1u64 << 40) {
            let dir = tempfile::tempdir().unwrap();
            let run = Run::open(dir.path(), "20261123T000000Z", "forward", &redactor()).unwrap();
            let mut record = record(&names, rows);
            run.write_json("counts.json", &record.outcome.counts).unwrap();
            run.save(&record).unwrap();
            prop_assert_eq!(run.purge_leaks().unwrap(), Vec::<String>::new());
            views::write(&run, &record).unwrap();
            run.close(&mut record).unwrap();
            let junit = std::fs::read_to_string(run.folder().join("junit.xml")).unwrap();
            prop_assert!(roxmltree::Document::parse(&junit).is_ok(), "{}", junit);
            let bytes = std::fs::read(run.folder().join(RECORD)).unwrap();
            let written: Record = serde_json::from_slice(&bytes).unwrap();
            prop_assert_eq!(silent(&written), silent(&record));
            for sentence in sentences(&written) {
                prop_assert!(!sentence.contains(PASSWORD), "{}", sentence);
            }
            prop_assert!(!leaks(&redactor(), &json!(written)));
        }
    }

    #[test]
    fn a_key_that_nobody_thought_of_and_a_property_are_masked() {
        let file = json!({
            "new": PASSWORD, "path": ["public", PASSWORD], "properties": {"check": format!("(x <> '{PASSWORD}'::text)")},
        });
        let masked = masked(&redactor(), &file).unwrap();
        let expected = json!({
            "new": "[REDACTED_DATABASE_URL]", "path": ["public", PASSWORD],
            "properties": {"check": "(x <> '[REDACTED_DATABASE_URL]'::text)"},
        });
        assert_eq!(masked, expected);
        assert!(leaks(&redactor(), &file) && !leaks(&redactor(), &masked));
    }
}
