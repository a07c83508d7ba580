//! Every case of `tests/redaction.jsonl`, with and without the env file's raw text, whole and byte by byte.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Redactor, Stream};
use crate::Secret;

struct Case {
    id: String,
    secrets: Vec<(String, Secret)>,
    /// As an env file would hold them.
    env_file: String,
    chunks: Vec<(String, Vec<u8>)>,
    wanted: Value,
}

fn cases() -> Vec<Case> {
    let lines = include_str!("../tests/redaction.jsonl").lines();
    lines.map(|line| case(serde_json::from_str(line).unwrap())).collect()
}

fn case(wanted: Value) -> Case {
    let secrets: Vec<(String, String)> =
        wanted["secrets"].as_object().unwrap().iter().map(|(name, value)| (name.clone(), text(value))).collect();
    let chunks = match &wanted["chunks"] {
        Value::Array(chunks) => chunks.iter().map(chunk).collect(),
        _ => vec![("stdout".to_owned(), text(&wanted["raw"]).into_bytes())],
    };
    Case {
        id: text(&wanted["id"]),
        env_file: secrets.iter().map(|(name, value)| format!("{name}={value}\n")).collect(),
        secrets: secrets.into_iter().map(|(name, value)| (name, Secret::new(value))).collect(),
        chunks,
        wanted,
    }
}

fn chunk(chunk: &Value) -> (String, Vec<u8>) {
    let stream = chunk.get("stream").map_or_else(|| "stdout".to_owned(), text);
    let bytes = match chunk {
        Value::String(data) => data.clone().into_bytes(),
        chunk => text(&chunk["data"]).into_bytes(),
    };
    (stream, bytes)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// The output of all streams, one after the other; each chunk in pieces of at most `size` bytes.
fn redacted(redactor: &Redactor, chunks: &[(String, Vec<u8>)], size: usize) -> String {
    let mut streams: BTreeMap<&str, (Stream, Vec<u8>)> = BTreeMap::new();
    for (name, data) in chunks {
        let (stream, out) = streams.entry(name).or_insert_with(|| (redactor.stream(), Vec::new()));
        data.chunks(size).for_each(|piece| stream.push(piece, out));
    }
    let outputs = streams.into_values().map(|(stream, mut out)| {
        stream.finish(&mut out);
        String::from_utf8(out).unwrap()
    });
    outputs.collect()
}

fn misses(case: &Case, output: &str) -> Vec<String> {
    let list = |key: &str| case.wanted[key].as_array().unwrap().iter().map(text).collect::<Vec<_>>();
    let leaked = list("must_not_contain").into_iter().filter(|secret| output.contains(secret.as_str()));
    let lost = list("must_contain").into_iter().filter(|kept| !output.contains(kept.as_str()));
    let mut misses: Vec<String> = leaked.map(|secret| format!("leaks {secret:?}")).collect();
    misses.extend(lost.map(|kept| format!("loses {kept:?}")));
    let input: usize = case.chunks.iter().map(|(_, data)| data.len()).sum();
    if case.wanted["max_len_factor"].as_u64().is_some_and(|factor| output.len() > input * factor as usize) {
        misses.push("grows".to_owned());
    }
    misses
}

#[test]
fn every_case_of_the_corpus_passes_the_optional_ones_too() {
    let mut failed = Vec::new();
    for case in cases() {
        for raw_texts in [vec![], vec![case.env_file.as_bytes()]] {
            let redactor = Redactor::new(&case.secrets, &raw_texts);
            for size in [usize::MAX, 1, 7] {
                let output = redacted(&redactor, &case.chunks, size);
                let misses = misses(&case, &output);
                if !misses.is_empty() {
                    failed.push(format!("{} in chunks of {size}: {misses:?} in {output:?}", case.id));
                }
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// Values that no parser accepted are known from the file's text alone.
#[test]
fn the_raw_text_of_the_env_file_alone_is_enough() {
    let mut failed = Vec::new();
    for case in cases() {
        let redactor = Redactor::new(&[], &[case.env_file.as_bytes()]);
        let output = redacted(&redactor, &case.chunks, usize::MAX);
        let misses = misses(&case, &output);
        if !misses.is_empty() {
            failed.push(format!("{}: {misses:?} in {output:?}", case.id));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn what_was_redacted_once_stays_as_it_is() {
    for case in cases() {
        let redactor = Redactor::new(&case.secrets, &[]);
        let once = redacted(&redactor, &case.chunks, usize::MAX);
        assert_eq!(redactor.text(&once), once, "{}", case.id);
        assert_eq!(redactor.scan(once.as_bytes()), None, "{}: {once:?}", case.id);
    }
}
