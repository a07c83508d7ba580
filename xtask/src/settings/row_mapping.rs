//! What makes a row of one side the same as a row of the other: `rows` of a pair.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

/// Columns of Prisma's side, each with the mirror's.
#[derive(Debug, Clone, PartialEq)]
pub struct RowMapping {
    /// Which rows are partners. Without any, equal values are.
    pub key: Vec<Columns>,
    /// What partners must agree in.
    pub values: Vec<Columns>,
    /// How many percent of Prisma's rows may have other values.
    pub threshold_pct: f64,
    /// Whether the mirror's columns may be fetched where its rows are not in Prisma's database.
    pub over_rest: bool,
}

/// A threshold is never NaN, since it is checked.
impl Eq for RowMapping {}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns {
    pub prisma: String,
    pub mirror: String,
}

impl RowMapping {
    pub fn columns(&self) -> impl Iterator<Item = &Columns> {
        self.key.iter().chain(&self.values)
    }
}

/// As drill.toml writes it: `rows = { key = { id = "fact_id" }, values = { value = "amount" } }`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FileRows {
    key: BTreeMap<String, String>,
    values: BTreeMap<String, String>,
    threshold_pct: f64,
    over_rest: bool,
}

impl FileRows {
    /// # Errors
    /// What is wrong with it, as the rest of a sentence that begins with the pair.
    pub fn read(&self) -> Result<RowMapping, String> {
        let columns = |named: &BTreeMap<String, String>| -> Vec<Columns> {
            let columns =
                |(prisma, mirror): (&String, &String)| Columns { prisma: prisma.clone(), mirror: mirror.clone() };
            named.iter().map(columns).collect()
        };
        let read = RowMapping {
            key: columns(&self.key),
            values: columns(&self.values),
            threshold_pct: self.threshold_pct,
            over_rest: self.over_rest,
        };
        if read.columns().next().is_none() {
            return Err("has `rows` that name no column".to_owned());
        }
        if let Some(name) = self.key.keys().find(|name| self.values.contains_key(*name)) {
            return Err(format!("names `{name}` as `key` and as a value"));
        }
        let mut mirrors = BTreeSet::new();
        if let Some(columns) = read.columns().find(|columns| !mirrors.insert(&columns.mirror)) {
            return Err(format!("compares `{}` twice", columns.mirror));
        }
        match (0.0..=100.0).contains(&self.threshold_pct) {
            true => Ok(read),
            false => Err(format!("has a `threshold_pct` of {}, and it must be from 0 to 100", self.threshold_pct)),
        }
    }
}
