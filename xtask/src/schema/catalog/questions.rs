//! The catalog's queries as one session knows them: to plan them takes three times as long as to run them.

use std::collections::{BTreeSet, HashMap};

use postgres::{Row, Statement, Transaction};

use super::object::{Catalog, ObjectKey};
use super::{Annotations, of_major, read_object, resolve};
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

/// A catalog, and which of its objects are the same at another moment of one database, whatever they are called then.
pub struct Seen {
    pub catalog: Catalog,
    /// By the server's own address.
    pub identities: HashMap<String, ObjectKey>,
}

pub struct Questions {
    major: i32,
    role: Statement,
    implied: Statement,
    annotations: Statement,
    objects: Vec<(&'static str, Statement)>,
}

impl Questions {
    pub fn prepare(transaction: &mut Transaction<'_>) -> Result<Questions> {
        const MAJOR: &str = "select pg_catalog.current_setting('server_version_num')::pg_catalog.int4 / 10000";
        let major = transaction.query_one(MAJOR, &[]).could_not("read the catalog")?.get(0);
        let mut prepare = |sql: &str, what: &str| {
            transaction.prepare(&of_major(sql, major)).could_not(&format!("read the catalog{what}"))
        };
        let objects = OBJECTS.iter().map(|(what, sql)| Ok((*what, prepare(sql, &format!("'s {what}"))?)));
        let objects = objects.collect::<Result<_>>()?;
        let (implied, annotations) = (prepare(IMPLIED, "")?, prepare(ANNOTATIONS, "")?);
        Ok(Questions { major, role: prepare("select current_user::text", "")?, implied, annotations, objects })
    }

    pub fn ask(&self, transaction: &mut Transaction<'_>, schemas: &[&str]) -> Result<Seen> {
        let schemas: BTreeSet<&str> = schemas.iter().copied().filter(|schema| *schema != CLAIM_SCHEMA).collect();
        let schemas: Vec<&str> = schemas.into_iter().collect();
        let mut rows = |query: &Statement| transaction.query(query, &[]).could_not("read the catalog");
        let role: String = rows(&self.role)?[0].get(0);
        let implied: BTreeSet<String> = rows(&self.implied)?.iter().map(|row| row.get(0)).collect();
        let annotations = annotations(&rows(&self.annotations)?);
        let mut found = HashMap::new();
        for (what, query) in &self.objects {
            let rows = transaction.query(query, &[&schemas]).could_not(&format!("read the catalog's {what}"))?;
            for row in rows.iter().filter(|row| !implied.contains(row.get::<_, &str>(3))) {
                let (address, object) = read_object(row, &role, &annotations);
                found.insert(address, object);
            }
        }
        let schemas = schemas.iter().map(|schema| (*schema).to_owned()).collect();
        let identities = found.iter().map(|(address, found)| (address.clone(), found.key.clone())).collect();
        Ok(Seen { catalog: Catalog { schemas, objects: resolve(found), major: self.major }, identities })
    }
}

fn annotations(rows: &[Row]) -> Annotations {
    let mut annotations = Annotations::new();
    for row in rows {
        annotations.entry(row.get(0)).or_default().push((row.get(1), row.get(2)));
    }
    annotations
}

/// Looks at one database again and again in one session.
#[derive(Default)]
pub struct Looker(Option<Questions>);

impl Looker {
    pub fn is_planned(&self) -> bool {
        self.0.is_some()
    }

    /// As `catalog_in`. Where it fails, the next look plans its queries anew: a script may have thrown them out.
    ///
    /// # Errors
    /// As `catalog_in`.
    pub fn look(&mut self, transaction: &mut Transaction<'_>, schemas: &[&str]) -> Result<Seen> {
        let questions = match self.0.take() {
            Some(questions) => questions,
            None => Questions::prepare(transaction)?,
        };
        transaction.batch_execute("set local plan_cache_mode = force_generic_plan").could_not("read the catalog")?;
        let seen = questions.ask(transaction, schemas)?;
        self.0 = Some(questions);
        Ok(seen)
    }
}
