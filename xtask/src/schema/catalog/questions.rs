//! The catalog's queries as one session knows them: to plan them takes three times as long as to run them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use postgres::fallible_iterator::FallibleIterator;
use postgres::{Row, Statement, Transaction};

use super::object::{Catalog, ObjectKey};
use super::told::{Record, Told, resolved};
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

/// By the server's own address: which objects are the same at another moment of one database, whatever they are called then.
pub type Identities = HashMap<String, ObjectKey>;

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
        Ok(self.found(transaction, schemas, None)?.catalog)
    }

    fn found(
        &self,
        transaction: &mut Transaction<'_>,
        schemas: &[&str],
        mut known: Option<&mut Known>,
    ) -> Result<Found> {
        let Said { role, implied, annotations } =
            Said::of(&transaction.query(&self.said, &[]).could_not("read the catalog")?);
        let schemas = asked(schemas);
        // Row by row: all of them take as much as what is made of them.
        let mut rows = transaction.query_raw(&self.objects, [&schemas]).could_not("read the catalog")?;
        let mut told = Vec::new();
        while let Some(row) = rows.next().could_not("read the catalog")? {
            let record: Record<'_> = row.get(0);
            let one = match &mut known {
                Some(known) => known.read(&record, &role)?,
                None => Arc::new(Told::read(&record, &role)?),
            };
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

/// What was read at earlier looks, by the bytes of its row: of two looks in a history nearly all is the same.
#[derive(Default)]
struct Known {
    /// Whose access is not noted as everybody else's.
    role: String,
    told: HashMap<Box<[u8]>, Arc<Told>>,
    /// At the last look, and so far at this one.
    rows: [usize; 2],
}

impl Known {
    fn read(&mut self, record: &Record<'_>, role: &str) -> Result<Arc<Told>> {
        if self.role != role {
            (self.role, self.told) = (role.to_owned(), HashMap::new());
        }
        self.rows[1] += 1;
        if let Some(told) = self.told.get(record.0) {
            return Ok(Arc::clone(told));
        }
        let told = Arc::new(Told::read(record, role)?);
        self.told.insert(record.0.into(), Arc::clone(&told));
        Ok(told)
    }

    /// Forgets all once most of it is gone from the database.
    fn end_look(&mut self) {
        self.rows = [self.rows[1], 0];
        if self.told.len() > 2 * self.rows[0] {
            self.told.clear();
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
    /// Addresses of what comes with something else.
    implied: BTreeSet<String>,
    annotations: Annotations,
}

impl Said {
    fn of(rows: &[Row]) -> Said {
        let mut said = Said::default();
        for row in rows {
            let address: String = row.get("address");
            match row.get("what") {
                "role" => said.role = address,
                "implied" => _ = said.implied.insert(address),
                _ => said.annotations.entry(address).or_default().push((row.get("name"), row.get("said"))),
            }
        }
        said
    }
}

/// Looks at one database again and again in one session.
#[derive(Default)]
pub struct Looker {
    questions: Option<Questions>,
    known: Known,
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
        Ok((catalog, told.iter().map(|told| (told.address.clone(), told.key.clone())).collect()))
    }

    fn found(&mut self, transaction: &mut Transaction<'_>, schemas: &[&str]) -> Result<Found> {
        let questions = match self.questions.take() {
            Some(questions) => questions,
            None => Questions::prepare(transaction)?,
        };
        transaction.batch_execute("set local plan_cache_mode = force_generic_plan").could_not("read the catalog")?;
        let found = questions.found(transaction, schemas, Some(&mut self.known))?;
        self.known.end_look();
        self.questions = Some(questions);
        Ok(found)
    }
}
