//! An object as the server tells it, in one value: a row that was read before is known by its bytes, and is not read again.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

use indexmap::IndexSet;
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

/// What the server calls its objects by, each with a number of its own: an object has the same in all looks of a session.
#[derive(Default)]
pub struct Addresses(IndexSet<String>);

/// An object's number.
pub type Address = usize;

impl Addresses {
    pub fn number(&mut self, address: &str) -> Address {
        match self.0.get_index_of(address) {
            Some(number) => number,
            None => self.0.insert_full(address.to_owned()).0,
        }
    }

    /// The catalog, the OID and the column's number; empty for a number that was not given.
    pub fn shown(&self, number: Address) -> &str {
        self.0.get_index(number).map_or("", String::as_str)
    }
}

/// Its relations to others are still addresses: catalog, OID and column number, which mean nothing outside of the snapshot.
pub struct Told {
    pub address: Address,
    pub key: ObjectKey,
    properties: Arc<Properties>,
    container: Option<Address>,
    follows: Vec<Address>,
    /// As it was last made of this, and of these paths: while they are the same, it is the same.
    made: Mutex<Option<(Vec<Path>, Object)>>,
}

impl Told {
    /// # Errors
    /// `bug` where the record is none of `all_objects`.
    pub fn read(record: &Record<'_>, role: &str, addresses: &mut Addresses) -> Result<Told> {
        let fields =
            Fields::of(record.0).ok_or_else(|| Failure::bug("the server told of an object otherwise than asked"))?;
        let owner: Option<&str> = fields.get(6)?;
        let mut properties = properties(&fields.get::<Vec<Option<&str>>>(9)?);
        let access = grants::access(&fields.get::<Vec<&str>>(7)?, &fields.get::<Vec<&str>>(8)?, owner, role);
        properties.extend(access.into_iter().map(|(name, value)| (name.into(), value.into())));
        properties.extend(owner.map(|owner| ("owner".into(), grants::role_name(owner, role).into())));
        let key = ObjectKey::new(fields.get::<&str>(0)?, fields.get(1)?, fields.get::<&str>(2)?);
        let follows = fields.get::<Vec<&str>>(5)?;
        Ok(Told {
            address: addresses.number(fields.get(3)?),
            key,
            properties: properties.into(),
            container: fields.get::<Option<&str>>(4)?.map(|container| addresses.number(container)),
            follows: follows.into_iter().map(|address| addresses.number(address)).collect(),
            made: Mutex::default(),
        })
    }

    fn object(&self, annotations: &Annotations, found: &Found<'_>) -> Object {
        let addresses = self.container.iter().chain(&self.follows);
        let paths: Vec<Path> = addresses.filter_map(|address| Some(found.get(*address)?.key.path.clone())).collect();
        if let Some(said) = annotations.get(&self.address) {
            let mut properties = Properties::clone(&self.properties);
            properties.extend(said.iter().map(|(name, value)| (name.as_str().into(), value.as_str().into())));
            return Object::new(properties, paths.into_iter().collect());
        }
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        match &*made {
            Some((of, object)) if of.len() == paths.len() && of.iter().zip(&paths).all(|(a, b)| Arc::ptr_eq(a, b)) => {
                object.clone()
            }
            _ => {
                let object = Object::new(self.properties.clone(), paths.iter().cloned().collect());
                *made = Some((paths, object.clone()));
                object
            }
        }
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

/// By number.
struct Found<'a>(Vec<Option<&'a Told>>);

impl<'a> Found<'a> {
    fn of(all: &'a [Arc<Told>]) -> Found<'a> {
        let mut found = vec![None; all.iter().map(|told| told.address + 1).max().unwrap_or_default()];
        for told in all {
            found[told.address] = Some(&**told);
        }
        Found(found)
    }

    fn get(&self, address: Address) -> Option<&'a Told> {
        self.0.get(address).copied().flatten()
    }

    fn iter(&self) -> impl Iterator<Item = &'a Told> {
        self.0.iter().copied().flatten()
    }
}

/// Turns addresses into paths. What is inside of something left out (the ledger, an extension's table) is left out with
/// it.
pub fn resolved(all: &[Arc<Told>], annotations: &Annotations) -> BTreeMap<ObjectKey, Object> {
    let mut found = Found::of(all);
    loop {
        let is_orphan = |told: &&Told| told.container.is_some_and(|container| found.get(container).is_none());
        let orphans: Vec<Address> = found.iter().filter(is_orphan).map(|told| told.address).collect();
        if orphans.is_empty() {
            break;
        }
        for address in orphans {
            found.0[address] = None;
        }
    }
    found.iter().map(|told| (told.key.clone(), told.object(annotations, &found))).collect()
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
