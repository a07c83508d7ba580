//! Masked JSON as the text that is written, value by value: a catalog of a thousand tables takes ten times its text in memory as JSON values.

use std::cell::Cell;
use std::fmt;

use redact::Redactor;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{self, Serialize, SerializeMap, SerializeSeq, Serializer};

use crate::error::{OrFail, Result};
use crate::evidence::masking::{judged_by, shown};

/// As `masking::masked`, indented.
///
/// # Errors
/// `bug`: values of ours can be written.
pub fn masked_text(redactor: &Redactor, value: &impl Serialize) -> Result<String> {
    let unwritten = "cannot write a record as JSON";
    let plain = serde_json::to_string(value).bug(unwritten)?;
    let mut reader = serde_json::Deserializer::from_str(&plain);
    serde_json::to_string_pretty(&Part::new(redactor, "", &mut reader)).bug(unwritten)
}

/// What a reader has next, which is written as it is read.
struct Part<'a, D> {
    redactor: &'a Redactor,
    key: &'a str,
    reader: Cell<Option<D>>,
}

impl<'a, D> Part<'a, D> {
    fn new(redactor: &'a Redactor, key: &'a str, reader: D) -> Part<'a, D> {
        Part { redactor, key, reader: Cell::new(Some(reader)) }
    }
}

impl<'de, D: Deserializer<'de>> Serialize for Part<'_, D> {
    fn serialize<S: Serializer>(&self, writer: S) -> Result<S::Ok, S::Error> {
        let reader = self.reader.take().ok_or_else(|| ser::Error::custom("a part was written already"))?;
        let written = reader.deserialize_any(Writer { redactor: self.redactor, key: self.key, writer });
        written.map_err(ser::Error::custom)
    }
}

struct Writer<'a, S> {
    redactor: &'a Redactor,
    key: &'a str,
    writer: S,
}

impl<'de, S: Serializer> Visitor<'de> for Writer<'_, S> {
    type Value = S::Ok;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: de::Error>(self) -> Result<S::Ok, E> {
        self.writer.serialize_unit().map_err(E::custom)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<S::Ok, E> {
        self.writer.serialize_bool(value).map_err(E::custom)
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<S::Ok, E> {
        self.writer.serialize_i64(value).map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<S::Ok, E> {
        self.writer.serialize_u64(value).map_err(E::custom)
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<S::Ok, E> {
        self.writer.serialize_f64(value).map_err(E::custom)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<S::Ok, E> {
        self.writer.serialize_str(&shown(self.redactor, self.key, text.to_owned())).map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut reader: A) -> Result<S::Ok, A::Error> {
        let mut writer = self.writer.serialize_seq(reader.size_hint()).map_err(de::Error::custom)?;
        let (redactor, key) = (self.redactor, self.key);
        while reader.next_element_seed(Element { redactor, key, writer: &mut writer })?.is_some() {}
        writer.end().map_err(de::Error::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut reader: A) -> Result<S::Ok, A::Error> {
        let mut writer = self.writer.serialize_map(reader.size_hint()).map_err(de::Error::custom)?;
        while let Some(own) = reader.next_key::<String>()? {
            writer.serialize_key(&own).map_err(de::Error::custom)?;
            let key = judged_by(self.key, &own);
            reader.next_value_seed(Entry { redactor: self.redactor, key, writer: &mut writer })?;
        }
        writer.end().map_err(de::Error::custom)
    }
}

struct Element<'a, W> {
    redactor: &'a Redactor,
    key: &'a str,
    writer: &'a mut W,
}

impl<'de, W: SerializeSeq> DeserializeSeed<'de> for Element<'_, W> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        let part = Part::new(self.redactor, self.key, reader);
        self.writer.serialize_element(&part).map_err(de::Error::custom)
    }
}

struct Entry<'a, W> {
    redactor: &'a Redactor,
    key: &'a str,
    writer: &'a mut W,
}

impl<'de, W: SerializeMap> DeserializeSeed<'de> for Entry<'_, W> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        let part = Part::new(self.redactor, self.key, reader);
        self.writer.serialize_value(&part).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use redact::Secret;
    use serde_json::{Value, json};

    use super::*;
    use crate::evidence::masking::masked;

    #[test]
    fn the_text_is_that_of_the_masked_value() {
        let url = Secret::new("postgresql://u:orders-pass-1@db.staging.hotdash.app:5432/hotdash_staging".to_owned());
        let redactor = Redactor::new(&[("DATABASE_URL".to_owned(), url)], &[]);
        let text = "says orders-pass-1, \"quoted\"\n";
        for value in [
            json!({ "error": text, "name": text, "path": [text, [text]], "properties": { "name": text, "check": [text, null] } }),
            json!([{}, [], "", text, true, null, { "files": { "a": { "sha256": text, "said": text } }, "orders-pass-1": 1 }]),
            json!([
                0,
                -1,
                u64::MAX,
                i64::MIN,
                0.1,
                1e300,
                -2.5e-8,
                1.0,
                0.123_456_789_012_345_67,
                105.727_113_000_000_01
            ]),
            json!("orders-pass-1"),
            Value::Null,
        ] {
            let expected = serde_json::to_string_pretty(&masked(&redactor, &value).unwrap()).unwrap();
            assert_eq!(masked_text(&redactor, &value).unwrap(), expected);
            assert!(!expected.contains("says orders-pass-1") || expected.contains("REDACTED"), "{expected}");
        }
    }
}
