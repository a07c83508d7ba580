//! A catalog as a value: objects by name, and how it looks as JSON.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};

use super::word::Word;
use crate::digest::sha256;

/// Raised when the same database would yield another catalog, so that kept ones are not compared with new ones.
pub const CATALOG_VERSION: u32 = 3;

/// What names an object. Ordered by path, so that a table is followed by what is in it. As cheap to clone as a pointer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ObjectKey(Arc<Name>);

#[derive(Debug, Serialize, Deserialize)]
#[serde(from = "Parts")]
pub struct Name {
    /// Schema first, where the object has one; then a table's name for what is inside a table; then its own.
    pub path: Path,
    /// In Postgres' own words: `table`, `materialized view`, `default privileges`.
    pub kind: String,
    /// What tells namesakes apart: a function's argument types, an operator class's method.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub signature: String,
    /// In the order of the three above, in one comparison.
    #[serde(skip)]
    order: Box<[u8]>,
}

#[derive(Deserialize)]
struct Parts {
    path: Path,
    kind: String,
    #[serde(default)]
    signature: String,
}

impl From<Parts> for Name {
    fn from(Parts { path, kind, signature }: Parts) -> Name {
        // A text of the server has no zero byte, so that nothing in one is taken for an end, and a shorter one comes first.
        let mut order = Vec::new();
        for part in path.iter() {
            order.extend_from_slice(part.as_bytes());
            order.extend([0, 1]);
        }
        order.extend([0, 0]);
        order.extend_from_slice(kind.as_bytes());
        order.push(0);
        order.extend_from_slice(signature.as_bytes());
        Name { path, kind, signature, order: order.into() }
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Name) -> bool {
        self.order == other.order
    }
}

impl Eq for Name {}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Name) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Name) -> Ordering {
        self.order.cmp(&other.order)
    }
}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.order.hash(state);
    }
}

/// Shared by all that follow the object.
pub type Path = Arc<Vec<String>>;

impl Deref for ObjectKey {
    type Target = Name;

    fn deref(&self) -> &Name {
        &self.0
    }
}

impl ObjectKey {
    pub fn new(kind: impl Into<String>, path: Vec<String>, signature: impl Into<String>) -> ObjectKey {
        ObjectKey(Arc::new(Parts { path: Arc::new(path), kind: kind.into(), signature: signature.into() }.into()))
    }

    /// `"public"."T"."c"`, as it would be written in SQL.
    pub fn name(&self) -> String {
        format!("{}{}", quoted(self.path.iter()), self.signature)
    }
}

/// `"public"."T"`, of the parts of a path.
pub fn quoted<'a>(path: impl IntoIterator<Item = &'a String>) -> String {
    let parts = path.into_iter().map(|part| format!("\"{}\"", part.replace('"', "\"\"")));
    parts.collect::<Vec<_>>().join(".")
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gap = if self.path.is_empty() { "" } else { " " };
        write!(f, "{}{gap}{}", self.kind, self.name())
    }
}

/// What is known of an object. As cheap to clone as a pointer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Object(Arc<Facts>);

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Only what is set: an absent property and "none" are the same.
    pub properties: Arc<Properties>,
    /// Paths of the objects that it cannot outlive: the columns of an index, the table that a foreign key points to.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub follows: BTreeSet<Path>,
}

pub type Properties = BTreeMap<Word, Word>;

impl Object {
    pub fn new(properties: impl Into<Arc<Properties>>, follows: BTreeSet<Path>) -> Object {
        Object(Arc::new(Facts { properties: properties.into(), follows }))
    }
}

impl Deref for Object {
    type Target = Facts;

    fn deref(&self) -> &Facts {
        &self.0
    }
}

/// Everything in some schemas at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Document")]
pub struct Catalog {
    pub schemas: Vec<String>,
    pub objects: BTreeMap<ObjectKey, Object>,
    /// Of the server that said so; 0 where that is not known.
    pub major: i32,
}

impl Catalog {
    /// SHA-256 of the canonical form. Equal databases have equal digests, on whatever server; two that differ in nothing but the order of
    /// columns have not.
    #[expect(clippy::expect_used, reason = "a catalog holds nothing but strings, which JSON always holds")]
    pub fn digest(&self) -> String {
        sha256(serde_json::to_string(&Written::of(self, 0)).expect("a catalog holds nothing but strings"))
    }
}

impl Serialize for Catalog {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Written::of(self, self.major).serialize(serializer)
    }
}

/// How a catalog looks as JSON: a list, since JSON has no keys of several parts.
#[derive(Serialize)]
struct Written<'a> {
    version: u32,
    #[serde(skip_serializing_if = "is_unknown")]
    major: i32,
    schemas: &'a [String],
    #[serde(serialize_with = "listed")]
    objects: &'a BTreeMap<ObjectKey, Object>,
}

impl Written<'_> {
    fn of(catalog: &Catalog, major: i32) -> Written<'_> {
        Written { version: CATALOG_VERSION, major, schemas: &catalog.schemas, objects: &catalog.objects }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_unknown(major: &i32) -> bool {
    *major == 0
}

fn listed<S: Serializer>(objects: &BTreeMap<ObjectKey, Object>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(objects.iter().map(|(key, object)| Listed { key: key.clone(), object: object.clone() }))
}

#[derive(Serialize, Deserialize)]
struct Listed {
    #[serde(flatten)]
    key: ObjectKey,
    #[serde(flatten)]
    object: Object,
}

#[derive(Deserialize)]
struct Document {
    version: u32,
    #[serde(default)]
    major: i32,
    schemas: Vec<String>,
    objects: Vec<Listed>,
}

impl TryFrom<Document> for Catalog {
    type Error = String;

    fn try_from(document: Document) -> Result<Catalog, String> {
        if document.version != CATALOG_VERSION {
            return Err(format!("catalog of version {}, this program reads {CATALOG_VERSION}", document.version));
        }
        let objects = document.objects.into_iter().map(|listed| (listed.key, listed.object)).collect();
        Ok(Catalog { schemas: document.schemas, objects, major: document.major })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Parts that nearly are each other.
    fn part() -> impl Strategy<Value = String> {
        "[a\u{1}\u{2}é ]{0,3}"
    }

    proptest! {
        #[test]
        fn keys_are_ordered_by_path_then_kind_then_signature(
            keys in proptest::collection::vec((proptest::collection::vec(part(), 0..3), part(), part()), 2..30)
        ) {
            let mut made: Vec<ObjectKey> =
                keys.iter().map(|(path, kind, signature)| ObjectKey::new(kind.as_str(), path.clone(), signature.as_str())).collect();
            let mut keys = keys;
            keys.sort();
            made.sort();
            let parts = |key: &ObjectKey| (key.path.to_vec(), key.kind.clone(), key.signature.clone());
            prop_assert_eq!(made.iter().map(parts).collect::<Vec<_>>(), keys);
            for pair in made.windows(2) {
                prop_assert_eq!(pair[0] == pair[1], parts(&pair[0]) == parts(&pair[1]));
                let again: ObjectKey = serde_json::from_str(&serde_json::to_string(&pair[0]).unwrap()).unwrap();
                prop_assert!(again == pair[0]);
            }
        }
    }
}
