//! The catalog's queries as one session knows them: to plan them takes three times as long as to run them.

use std::collections::{BTreeSet, HashMap};

use postgres::{Row, Statement, Transaction};

use super::object::{Catalog, ObjectKey};
use super::{Annotations, Found, of_major, read_object, resolve};
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
    role: Statement,
    implied: Statement,
    annotations: Statement,
    /// All kinds at once: most of a question is the way there and back.
    objects: Statement,
}

impl Questions {
    pub fn prepare(transaction: &mut Transaction<'_>) -> Result<Questions> {
        const MAJOR: &str = "select pg_catalog.current_setting('server_version_num')::pg_catalog.int4 / 10000";
        let major = transaction.query_one(MAJOR, &[]).could_not("read the catalog")?.get(0);
        let mut prepare = |sql: &str| transaction.prepare(&of_major(sql, major)).could_not("read the catalog");
        Ok(Questions {
            major,
            role: prepare("select current_user::text")?,
            implied: prepare(IMPLIED)?,
            annotations: prepare(ANNOTATIONS)?,
            objects: prepare(&all_objects())?,
        })
    }

    pub fn ask(&self, transaction: &mut Transaction<'_>, schemas: &[&str]) -> Result<Catalog> {
        let found = self.found(transaction, schemas)?;
        Ok(self.catalog(schemas, found))
    }

    fn found(&self, transaction: &mut Transaction<'_>, schemas: &[&str]) -> Result<HashMap<String, Found>> {
        let mut rows = |query: &Statement| transaction.query(query, &[]).could_not("read the catalog");
        let role: String = rows(&self.role)?[0].get(0);
        let implied: BTreeSet<String> = rows(&self.implied)?.iter().map(|row| row.get(0)).collect();
        let annotations = annotations(&rows(&self.annotations)?);
        let rows = transaction.query(&self.objects, &[&asked(schemas)]).could_not("read the catalog")?;
        let rows = rows.iter().filter(|row| !implied.contains(row.get::<_, &str>(3)));
        Ok(rows.map(|row| read_object(row, &role, &annotations)).collect())
    }

    fn catalog(&self, schemas: &[&str], found: HashMap<String, Found>) -> Catalog {
        let schemas = asked(schemas).into_iter().map(str::to_owned).collect();
        Catalog { schemas, objects: resolve(found), major: self.major }
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
    OBJECTS.iter().map(select).collect::<Vec<_>>().join("\nunion all\n")
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
    pub fn look(&mut self, transaction: &mut Transaction<'_>, schemas: &[&str]) -> Result<Catalog> {
        self.ask(transaction, |questions, transaction| questions.ask(transaction, schemas))
    }

    /// As `look`, and which object is which.
    ///
    /// # Errors
    /// As `catalog_in`.
    pub fn identify(&mut self, transaction: &mut Transaction<'_>, schemas: &[&str]) -> Result<(Catalog, Identities)> {
        self.ask(transaction, |questions, transaction| {
            let found = questions.found(transaction, schemas)?;
            let identities = found.iter().map(|(address, found)| (address.clone(), found.key.clone())).collect();
            Ok((questions.catalog(schemas, found), identities))
        })
    }

    fn ask<T>(
        &mut self,
        transaction: &mut Transaction<'_>,
        question: impl FnOnce(&Questions, &mut Transaction<'_>) -> Result<T>,
    ) -> Result<T> {
        let questions = match self.0.take() {
            Some(questions) => questions,
            None => Questions::prepare(transaction)?,
        };
        transaction.batch_execute("set local plan_cache_mode = force_generic_plan").could_not("read the catalog")?;
        let answer = question(&questions, transaction)?;
        self.0 = Some(questions);
        Ok(answer)
    }
}
