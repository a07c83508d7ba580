//! An object as the server tells it, in one value: a row that was read before is known by its bytes, and is not read again.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::error::Error;
use std::sync::{Arc, OnceLock};

use postgres::types::{FromSql, Type};

use super::object::{Object, ObjectKey, Path, Properties};
use super::word::Word;
use super::{Annotations, grants};
use crate::error::{Failure, Result};

/// A record in Postgres' binary form.
pub struct Record<'a>(pub &'a [u8]);

impl<'a> FromSql<'a> for Record<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Record<'a>, Box<dyn Error + Sync + Send>> {
        Ok(Record(raw))
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::RECORD
    }
}

/// Its relations to others are still addresses: catalog, OID and column number, which mean nothing outside of the snapshot.
pub struct Told {
    pub address: String,
    pub key: ObjectKey,
    properties: Arc<Properties>,
    container: Option<String>,
    follows: Vec<String>,
    /// As it was first made of this; while it follows the same, it is the same.
    object: OnceLock<Object>,
}

impl Told {
    /// # Errors
    /// `bug` where the record is none of `all_objects`.
    pub fn read(record: &Record<'_>, role: &str) -> Result<Told> {
        let fields =
            Fields::of(record.0).ok_or_else(|| Failure::bug("the server told of an object otherwise than asked"))?;
        let owner: Option<&str> = fields.get(6)?;
        let mut properties = properties(&fields.get::<Vec<Option<&str>>>(9)?);
        let access = grants::access(&fields.get::<Vec<&str>>(7)?, &fields.get::<Vec<&str>>(8)?, owner, role);
        properties.extend(access.into_iter().map(|(name, value)| (name.into(), value.into())));
        properties.extend(owner.map(|owner| ("owner".into(), grants::role_name(owner, role).into())));
        let key = ObjectKey::new(fields.get::<&str>(0)?, fields.get(1)?, fields.get::<&str>(2)?);
        Ok(Told {
            address: fields.get(3)?,
            key,
            properties: properties.into(),
            container: fields.get(4)?,
            follows: fields.get(5)?,
            object: OnceLock::new(),
        })
    }

    fn object(&self, annotations: &Annotations, paths: &HashMap<&str, &Path>) -> Object {
        let addresses = self.container.iter().chain(&self.follows);
        let follows: BTreeSet<Path> =
            addresses.filter_map(|address| paths.get(address.as_str()).copied().cloned()).collect();
        if let Some(said) = annotations.get(&self.address) {
            let mut properties = Properties::clone(&self.properties);
            properties.extend(said.iter().map(|(name, value)| (name.as_str().into(), value.as_str().into())));
            return Object::new(properties, follows);
        }
        let first = self.object.get_or_init(|| Object::new(self.properties.clone(), follows.clone()));
        if first.follows == follows { first.clone() } else { Object::new(self.properties.clone(), follows) }
    }
}

/// From a list in which names and values take turns. What is NULL or empty is not set.
fn properties(list: &[Option<&str>]) -> Properties {
    let set = |pair: &[Option<&str>]| match pair {
        [Some(name), Some(value)] if !value.is_empty() => Some((Word::of(name), Word::of(value))),
        _ => None,
    };
    list.chunks(2).filter_map(set).collect()
}

/// Turns addresses into paths. What is inside of something left out (the ledger, an extension's table) is left out with
/// it.
pub fn resolved(all: &[Arc<Told>], annotations: &Annotations) -> BTreeMap<ObjectKey, Object> {
    let mut found: HashMap<&str, &Told> = all.iter().map(|told| (told.address.as_str(), &**told)).collect();
    loop {
        let is_orphan =
            |told: &Told| told.container.as_ref().is_some_and(|container| !found.contains_key(container.as_str()));
        let orphans: Vec<&str> =
            found.values().filter(|told| is_orphan(told)).map(|told| told.address.as_str()).collect();
        if orphans.is_empty() {
            break;
        }
        for address in orphans {
            found.remove(address);
        }
    }
    // Few of all: a table is named by each of its columns.
    let named: HashSet<&String> = found.values().flat_map(|told| told.container.iter().chain(&told.follows)).collect();
    let named = named.into_iter().filter_map(|address| found.get(address.as_str()));
    let paths: HashMap<&str, &Path> = named.map(|told| (told.address.as_str(), &told.key.path)).collect();
    found.values().map(|told| (told.key.clone(), told.object(annotations, &paths))).collect()
}

/// The fields of a record.
struct Fields<'a>(Vec<(Type, Option<&'a [u8]>)>);

impl<'a> Fields<'a> {
    fn of(record: &'a [u8]) -> Option<Fields<'a>> {
        let (count, mut rest) = number(record)?;
        let mut fields = Vec::new();
        for _ in 0..count {
            let (oid, after) = number(rest)?;
            let (length, after) = number(after)?;
            let value = usize::try_from(length).ok().map(|length| after.split_at_checked(length));
            rest = match value {
                // NULL has the length -1.
                None => after,
                Some(parts) => parts?.1,
            };
            fields.push((Type::from_oid(oid.cast_unsigned())?, value.flatten().map(|(value, _)| value)));
        }
        Some(Fields(fields))
    }

    fn get<T: FromSql<'a>>(&self, at: usize) -> Result<T> {
        let wrong = || Failure::bug("the server told of an object otherwise than asked");
        let (kind, value) = self.0.get(at).ok_or_else(wrong)?;
        T::from_sql_nullable(kind, *value).map_err(|_| wrong())
    }
}

fn number(bytes: &[u8]) -> Option<(i32, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((i32::from_be_bytes(*number), rest))
}
