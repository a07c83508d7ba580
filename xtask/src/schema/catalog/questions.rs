//! The catalog's queries as one session knows them: to plan them takes three times as long as to run them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use postgres::fallible_iterator::FallibleIterator;
use postgres::{Row, Statement, Transaction};

use super::object::{Catalog, ObjectKey};
use super::told::{Address, Addresses, Record, Told, resolved};
use super::{Annotations, of_major};
use crate::error::Result;
use crate::postgres::claim::CLAIM_SCHEMA;
use crate::postgres::connection::CouldNot;

pub(super) const OBJECTS: [(&str, &str); 17] = [
    ("schemas", include_str!("schemas.sql")),
    ("relations", include_str!("relations.sql")),
    ("columns", include_str!("columns.sql")),
    ("sequences", include_str!("sequences.sql")),
    ("constraints", include_str!("constraints.sql")),
    ("indexes", include_str!("indexes.sql")),
    ("types", include_str!("types.sql")),
    ("routines", include_str!("routines.sql")),
    ("triggers", include_str!("triggers.sql")),
    ("policies", include_str!("policies.sql")),
    ("rules", include_str!("rules.sql")),
    ("statistics", include_str!("statistics.sql")),
    ("extensions", include_str!("extensions.sql")),
    ("default privileges", include_str!("default_privileges.sql")),
    ("rare kinds", include_str!("others.sql")),
    ("database-wide objects", include_str!("database_wide.sql")),
    ("settings", include_str!("settings.sql")),
];
pub(super) const ANNOTATIONS: &str = include_str!("annotations.sql");
pub(super) const IMPLIED: &str = include_str!("implied.sql");

/// Which objects are the same at another moment of one session, whatever they are called then.
pub struct Identities(BTreeMap<Address, ObjectKey>);

impl Identities {
    /// What is at both moments: as it was `then`, and as it is.
    pub fn pairs<'a>(&'a self, then: &'a Identities) -> impl Iterator<Item = (&'a ObjectKey, &'a ObjectKey)> {
        then.0.iter().filter_map(|(address, key)| Some((key, self.0.get(address)?)))
    }
}

pub struct Questions {
    major: i32,
    /// What is said of objects from outside of them.
    said: Statement,
    /// All kinds at once: most of a question is the way there and back.
    objects: Statement,
}

impl Questions {
    pub fn prepare(transaction: &mut Transaction<'_>) -> Result<Questions> {
        const MAJOR: &str = "select pg_catalog.current_setting('server_version_num')::pg_catalog.int4 / 10000";
        let major = transaction.query_one(MAJOR, &[]).could_not("read the catalog")?.get(0);
        let mut prepare = |sql: &str| transaction.prepare(&of_major(sql, major)).could_not("read the catalog");
        Ok(Questions { major, said: prepare(&all_said())?, objects: prepare(&all_objects())? })
    }

    pub fn ask(&self, transaction: &mut Transaction<'_>, schemas: &[&str]) -> Result<Catalog> {
        Ok(self.found(transaction, schemas, &mut Known::default())?.catalog)
    }

    fn found(&self, transaction: &mut Transaction<'_>, schemas: &[&str], known: &mut Known) -> Result<Found> {
        let rows = transaction.query(&self.said, &[]).could_not("read the catalog")?;
        let Said { role, implied, annotations } = Said::of(&rows, &mut known.addresses);
        let schemas = asked(schemas);
        // Row by row: all of them take as much as what is made of them.
        let mut rows = transaction.query_raw(&self.objects, [&schemas]).could_not("read the catalog")?;
        let mut told = Vec::new();
        while let Some(row) = rows.next().could_not("read the catalog")? {
            let one = known.read(&row.get(0), &role)?;
            if !implied.contains(&one.address) {
                told.push(one);
            }
        }
        let objects = resolved(&told, &annotations);
        let schemas = schemas.into_iter().map(str::to_owned).collect();
        Ok(Found { catalog: Catalog { schemas, objects, major: self.major }, told })
    }
}

struct Found {
    catalog: Catalog,
    told: Vec<Arc<Told>>,
}

/// What a session was told.
#[derive(Default)]
struct Known {
    addresses: Addresses,
    /// None in a session that looks once.
    kept: Option<Kept>,
}

impl Known {
    fn read(&mut self, record: &Record<'_>, role: &str) -> Result<Arc<Told>> {
        let mut read = || Ok(Arc::new(Told::read(record, role, &mut self.addresses)?));
        match &mut self.kept {
            Some(kept) => kept.get_or(record.0, role, read),
            None => read(),
        }
    }
}

/// What was read at earlier looks, by the bytes of its row: of two looks in a history nearly all is the same, and comes in the same order.
#[derive(Default)]
struct Kept {
    /// Whose access is not noted as everybody else's.
    role: String,
    told: HashMap<Arc<[u8]>, Arc<Told>>,
    /// At the last look, in its order, and so far at this one.
    looks: [Vec<KeptRow>; 2],
    /// Where in the last look the next row is expected.
    next: usize,
}

/// Its bytes, and what they say.
type KeptRow = (Arc<[u8]>, Arc<Told>);

/// So many rows of the last look may be gone one after the other before the next one is looked up by all of its bytes.
const GONE: usize = 8;

impl Kept {
    fn get_or(&mut self, row: &[u8], role: &str, read: impl FnOnce() -> Result<Arc<Told>>) -> Result<Arc<Told>> {
        if self.role != role {
            *self = Kept { role: role.to_owned(), ..Kept::default() };
        }
        let [last, now] = &mut self.looks;
        let expected = last.iter().skip(self.next).take(GONE).position(|(known, _)| **known == *row);
        let (row, told) = match expected {
            Some(ahead) => {
                self.next += ahead + 1;
                last[self.next - 1].clone()
            }
            None => match self.told.get_key_value(row) {
                Some((row, told)) => (Arc::clone(row), Arc::clone(told)),
                None => {
                    let (row, told) = (Arc::from(row), read()?);
                    self.told.insert(Arc::clone(&row), Arc::clone(&told));
                    (row, told)
                }
            },
        };
        now.push((row, Arc::clone(&told)));
        Ok(told)
    }

    /// Again from the first row; of a look that failed nothing is expected.
    fn begin_look(&mut self) {
        self.looks[1].clear();
        self.next = 0;
    }

    /// Forgets what is gone from the database once that is most of it.
    fn end_look(&mut self) {
        self.looks.swap(0, 1);
        let now = &self.looks[0];
        if self.told.len() > 2 * now.len() {
            self.told = now.iter().cloned().collect();
        }
    }
}

fn asked<'a>(schemas: &[&'a str]) -> Vec<&'a str> {
    let schemas: BTreeSet<&str> = schemas.iter().copied().filter(|schema| *schema != CLAIM_SCHEMA).collect();
    schemas.into_iter().collect()
}

fn all_objects() -> String {
    let typed =
        "kind::text, path::text[], signature::text, address::text, container::text, follows::text[], owner::text,
                 acl::text[], default_acl::text[], properties::text[]";
    let names = "kind, path, signature, address, container, follows, owner, acl, default_acl, properties";
    let select = |(what, sql): &(&str, &str)| format!("-- {what}\nselect {typed} from (\n{sql}\n) q ({names})");
    // As one value each, by whose bytes it is known again.
    format!("select told from (\n{}\n) told", OBJECTS.iter().map(select).collect::<Vec<_>>().join("\nunion all\n"))
}

/// One row for the role, then those of what is implied, then the annotations.
fn all_said() -> String {
    format!(
        "select 'role' as what, current_user::text as address, null::text as name, null::text as said
         union all select 'implied', q.address, null, null from (\n{IMPLIED}\n) q (address)
         union all select 'annotation', q.address, q.name, q.said from (\n{ANNOTATIONS}\n) q (address, name, said)"
    )
}

#[derive(Default)]
struct Said {
    role: String,
    /// What comes with something else.
    implied: BTreeSet<Address>,
    annotations: Annotations,
}

impl Said {
    fn of(rows: &[Row], addresses: &mut Addresses) -> Said {
        let mut said = Said::default();
        for row in rows {
            let address: &str = row.get("address");
            match row.get("what") {
                "role" => address.clone_into(&mut said.role),
                "implied" => _ = said.implied.insert(addresses.number(address)),
                _ => {
                    let said = said.annotations.entry(addresses.number(address)).or_default();
                    said.push((row.get("name"), row.get("said")));
                }
            }
        }
        said
    }
}

/// Looks at one database again and again in one session.
pub struct Looker {
    questions: Option<Questions>,
    known: Known,
}

impl Default for Looker {
    fn default() -> Looker {
        let known = Known { kept: Some(Kept::default()), ..Known::default() };
        Looker { questions: None, known }
    }
}

impl Looker {
    pub fn is_planned(&self) -> bool {
        self.questions.is_some()
    }

    /// As `catalog_in`. Where it fails, the next look plans its queries anew: a script may have thrown them out.
    ///
    /// # Errors
    /// As `catalog_in`.
    pub fn look(&mut self, transaction: &mut Transaction<'_>, schemas: &[&str]) -> Result<Catalog> {
        Ok(self.found(transaction, schemas)?.catalog)
    }

    /// As `look`, and which object is which.
    ///
    /// # Errors
    /// As `catalog_in`.
    pub fn identify(&mut self, transaction: &mut Transaction<'_>, schemas: &[&str]) -> Result<(Catalog, Identities)> {
        let Found { catalog, told } = self.found(transaction, schemas)?;
        let identities = told.iter().map(|told| (told.address, told.key.clone())).collect();
        Ok((catalog, Identities(identities)))
    }

    /// What was there `then` and is not in the schemas now, and the server's address of it: it may be in another schema.
    pub fn gone<'a>(&self, then: &'a Identities, now: &Identities) -> Vec<(&'a ObjectKey, String)> {
        let gone = then.0.iter().filter(|(address, _)| !now.0.contains_key(*address));
        gone.map(|(address, key)| (key, self.known.addresses.shown(*address).to_owned())).collect()
    }

    fn found(&mut self, transaction: &mut Transaction<'_>, schemas: &[&str]) -> Result<Found> {
        let questions = match self.questions.take() {
            Some(questions) => questions,
            None => Questions::prepare(transaction)?,
        };
        transaction.batch_execute("set local plan_cache_mode = force_generic_plan").could_not("read the catalog")?;
        self.known.kept.iter_mut().for_each(Kept::begin_look);
        let found = questions.found(transaction, schemas, &mut self.known)?;
        self.known.kept.iter_mut().for_each(Kept::end_look);
        self.questions = Some(questions);
        Ok(found)
    }
}
