//! The type in which two columns are compared. Prisma's types and a mirror's differ for one and the same value: a time with and without its
//! zone, a number with another scale, JSON as text. What has no common type is told before anything is asked.

use crate::parity::shape::ValueType;

/// What stands before and after a column's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommonType {
    before: &'static str,
    after: String,
    /// Types differ as the server stores them, so that it has no statistics of what is compared.
    pub cast: bool,
    /// In the server's own name, for a value that comes as text.
    pub name: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Integer,
    Exact,
    Float,
    Text,
    Uuid,
    Json,
    /// A point in time; without a zone it holds UTC.
    Time,
    Other,
}

/// Types that the server tells apart and hashes by value.
const BY_VALUE: [&str; 17] = [
    "bool", "bytea", "char", "cidr", "date", "inet", "interval", "jsonb", "macaddr", "name", "oid", "time", "timetz",
    "_bool", "_int4", "_int8", "_uuid",
];
const TEXT_LISTS: [&str; 2] = ["_text", "_varchar"];

/// None where nothing says when a value of the one is a value of the other.
pub fn common_type(prisma: &ValueType, mirror: &ValueType) -> Option<CommonType> {
    use Family::{Exact, Float, Integer, Json, Text, Time, Uuid};
    let same = prisma.oid == mirror.oid;
    let plain = prisma.collation == mirror.collation && prisma.deterministic && mirror.deterministic;
    let is = |name: &str| prisma.name == name || mirror.name == name;
    match (family(prisma), family(mirror)) {
        (Integer, Integer) => Some(as_stored("int8")),
        (Integer | Exact, Integer | Exact) => Some(stored_or(same, "numeric")),
        (Integer | Exact | Float, Integer | Exact | Float) if is("float4") => Some(stored_or(same, "float4")),
        (Integer | Exact | Float, Integer | Exact | Float) => Some(stored_or(same, "float8")),
        (Text, Text) if same && prisma.enumeration => Some(as_stored("text")),
        (Text, Text) if plain && prisma.builtin && mirror.builtin && !prisma.enumeration && !mirror.enumeration => {
            Some(as_stored("text"))
        }
        (Text, Text) | (Text, Integer) | (Integer, Text) => Some(text("")),
        (Uuid, Uuid) => Some(as_stored("uuid")),
        (Uuid, Text) | (Text, Uuid) => Some(text("pg_catalog.lower(")),
        (Json, Json) if same && prisma.name == "jsonb" => Some(as_stored("jsonb")),
        (Json, Json | Text) | (Text, Json) => Some(cast_to("jsonb".to_owned())),
        (Time, Time) => Some(time(prisma, mirror)),
        _ if is_date_and_time(prisma, mirror) => Some(time(prisma, mirror)),
        _ if same && prisma.builtin && BY_VALUE.contains(&prisma.name.as_str()) => Some(as_stored(&prisma.name)),
        _ if same || [prisma, mirror].iter().all(|side| side.builtin && TEXT_LISTS.contains(&side.name.as_str())) => {
            Some(text(""))
        }
        _ => None,
    }
}

/// Of a column whose partner is known by its values alone, as they come over REST.
pub fn alone(prisma: &ValueType) -> CommonType {
    let digits = if prisma.modifier < 0 { 6 } else { prisma.modifier };
    match (family(prisma), prisma.name.as_str()) {
        (Family::Time, _) => cast_to(format!("timestamptz({digits})")),
        (Family::Json, _) => cast_to("jsonb".to_owned()),
        (_, "bpchar") => cast_to("bpchar".to_owned()),
        _ => common_type(prisma, prisma).unwrap_or_else(|| text("")),
    }
}

impl CommonType {
    /// An expression of whatever type, in this one.
    pub fn spelled(&self, expression: &str) -> String {
        match self.name.as_str() {
            _ if self.cast => self.of(expression),
            "text" => text("").of(expression),
            name => format!("{expression}::pg_catalog.{name}"),
        }
    }

    /// The type before it is rounded, where its values stand in one order on every server: no collation has a say.
    pub fn ordered(&self) -> Option<&str> {
        let name = self.name.split('(').next().unwrap_or_default();
        ["int8", "numeric", "uuid", "timestamptz", "date"].into_iter().find(|ordered| *ordered == name)
    }

    /// Of a second, to which a time is rounded.
    pub fn digits(&self) -> Option<u32> {
        let digits = self.name.strip_prefix("timestamptz(")?.strip_suffix(')')?.parse().ok()?;
        (digits < 6).then_some(digits)
    }

    /// Whether JSON holds it as text or number that the server reads back; a list's is not.
    pub fn is_in_json(&self) -> bool {
        !self.name.starts_with('_')
    }

    /// The column with that name, which is quoted.
    pub fn of(&self, column: &str) -> String {
        format!("{}{column}{}", self.before, self.after)
    }
}

fn family(value: &ValueType) -> Family {
    match value.name.as_str() {
        _ if value.enumeration => Family::Text,
        "citext" => Family::Text,
        _ if !value.builtin => Family::Other,
        "int2" | "int4" | "int8" => Family::Integer,
        "numeric" => Family::Exact,
        "float4" | "float8" => Family::Float,
        "text" | "varchar" | "bpchar" => Family::Text,
        "uuid" => Family::Uuid,
        "json" | "jsonb" => Family::Json,
        "timestamp" | "timestamptz" => Family::Time,
        _ => Family::Other,
    }
}

fn is_date_and_time(prisma: &ValueType, mirror: &ValueType) -> bool {
    let is_date = |value: &ValueType| value.builtin && value.name == "date";
    (is_date(prisma) && family(mirror) == Family::Time) || (family(prisma) == Family::Time && is_date(mirror))
}

/// To the digits that both keep: Prisma's keep milliseconds, and the server's own keep microseconds.
fn time(prisma: &ValueType, mirror: &ValueType) -> CommonType {
    let digits = |value: &ValueType| if value.modifier < 0 { 6 } else { value.modifier };
    let both = digits(prisma).min(digits(mirror));
    match prisma.name == mirror.name && digits(prisma) == digits(mirror) {
        true => as_stored("timestamptz"),
        false => cast_to(format!("timestamptz({both})")),
    }
}

fn as_stored(name: &str) -> CommonType {
    CommonType { before: "", after: String::new(), cast: false, name: name.to_owned() }
}

fn cast_to(name: String) -> CommonType {
    CommonType { before: "", after: format!("::pg_catalog.{name}"), cast: true, name }
}

fn stored_or(same: bool, name: &str) -> CommonType {
    if same { as_stored(name) } else { cast_to(name.to_owned()) }
}

fn text(before: &'static str) -> CommonType {
    let closing = if before.is_empty() { "" } else { ")" };
    let after = format!("::pg_catalog.text{closing} collate pg_catalog.\"C\"");
    CommonType { before, after, cast: true, name: "text".to_owned() }
}
