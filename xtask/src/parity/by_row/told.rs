//! What is said of the rows: which of them differ, and what their comparison does not show.

use crate::parity::by_row::difference::{Differences, Listing};
use crate::parity::by_row::mapping::Mapping;
use crate::parity::comparison::Compared;

/// What is known of a pair's rows.
#[derive(Clone, Copy)]
pub struct PairRows<'a> {
    pub pair: &'a Compared,
    pub mapping: Option<&'a Mapping>,
    /// None where they were not compared.
    pub found: Option<&'a Differences>,
}

/// What the rows of each breach came to, with a few of them.
pub fn sentences(rows: &[PairRows<'_>]) -> Vec<String> {
    let of = |PairRows { pair, found, .. }: &PairRows<'_>| {
        let (verdict, found) = (pair.rows.as_ref()?, (*found)?);
        let sentence = |(kind, words)| match found.examples(kind) {
            Some(examples) => format!("{}: {words}: {examples}", pair.name),
            None => format!("{}: {words}", pair.name),
        };
        Some(verdict.in_words().into_iter().map(sentence).collect::<Vec<_>>())
    };
    rows.iter().filter(|it| !it.pair.within).filter_map(of).flatten().collect()
}

/// What is not seen, pair by pair; those that were counted alone are told in one.
pub fn notes(rows: &[PairRows<'_>]) -> Vec<String> {
    let mut notes: Vec<String> = rows.iter().flat_map(PairRows::notes).collect();
    let by_count: Vec<String> =
        rows.iter().filter(|it| it.mapping.is_none()).map(|it| format!("`{}`", it.pair.name)).collect();
    if !by_count.is_empty() {
        notes.push(format!(
            "{}: counted and not compared row by row: a changed value, or a lost row and a doubled one, is not seen; `rows` in drill.toml says what identifies a row",
            by_count.join(", ")
        ));
    }
    notes
}

/// For `parity.json`.
pub fn listings(rows: &[PairRows<'_>]) -> Vec<Listing> {
    let listing = |it: &PairRows<'_>| Some(it.found?.record(&it.pair.name, &it.mapping?.value_names()));
    rows.iter().filter_map(listing).collect()
}

impl PairRows<'_> {
    fn notes(&self) -> Vec<String> {
        let Some(mapping) = self.mapping else { return Vec::new() };
        let which = if self.pair.rows.is_some() { "not all of its rows were" } else { "its rows were not" };
        let not_compared = self.pair.rows_not_compared.as_ref().map(|why| format!("{which} compared: {why}"));
        let blind_spot = if not_compared.is_none() { mapping.blind_spot() } else { None };
        let alike = self.found.is_some_and(|found| found.alike);
        let alike =
            alike.then(|| "some rows have the same key, or none, and were compared as a heap of rows".to_owned());
        [not_compared, blind_spot, alike]
            .into_iter()
            .flatten()
            .map(|what| format!("`{}`: {what}", self.pair.name))
            .collect()
    }
}
