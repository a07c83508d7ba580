//! Looks at one throw-away database again and again, as the migrations' schemas have it without what is external.

use postgres::Transaction;

use crate::error::{Failure, Result};
use crate::postgres::connection::{Connection, CouldNot};
use crate::schema::catalog::{Catalog, Identities, Looker, ObjectKey};
use crate::schema::external::parted;
use crate::schema::replay::{AsPrisma, discard};

/// A moment of a database.
#[derive(Clone, Copy)]
pub struct Seen<'a> {
    pub catalog: &'a Catalog,
    pub identities: &'a Identities,
}

pub struct Look<'a> {
    looker: Looker,
    pub prisma: AsPrisma<'a>,
}

impl<'a> Look<'a> {
    pub fn new(prisma: AsPrisma<'a>) -> Look<'a> {
        Look { looker: Looker::default(), prisma }
    }

    /// Whether the next look can use what an earlier one has planned.
    pub fn is_planned(&self) -> bool {
        self.looker.is_planned()
    }

    /// Between two scripts. A look that fails is made once more: a script may have thrown out what it was planned with.
    pub fn at_rest(&mut self, connection: &mut Connection) -> Result<(Catalog, Identities)> {
        let schemas = self.prisma.schemas;
        let mut look = || connection.read(|transaction| self.looker.identify(transaction, schemas));
        let (catalog, identities) = look().or_else(|_| look())?;
        Ok((self.ours(catalog), identities))
    }

    /// As `at_rest`, with what is external, and of no more than the catalog.
    pub fn whole(&mut self, connection: &mut Connection) -> Result<Catalog> {
        let schemas = self.prisma.schemas;
        let mut look = || connection.read(|transaction| self.looker.look(transaction, schemas));
        look().or_else(|_| look())
    }

    /// As `Looker::gone`.
    pub fn gone<'b>(&self, then: Seen<'b>, now: Seen<'_>) -> Vec<(&'b ObjectKey, String)> {
        self.looker.gone(then.identities, now.identities)
    }

    /// In a transaction that is under our own settings.
    pub fn catalog(&mut self, transaction: &mut Transaction<'_>) -> Result<Catalog> {
        let catalog = self.looker.look(transaction, self.prisma.schemas)?;
        Ok(self.ours(catalog))
    }

    /// As `catalog`, and which object is which.
    pub fn identified(&mut self, transaction: &mut Transaction<'_>) -> Result<(Catalog, Identities)> {
        let (catalog, identities) = self.looker.identify(transaction, self.prisma.schemas)?;
        Ok((self.ours(catalog), identities))
    }

    fn ours(&self, catalog: Catalog) -> Catalog {
        parted(catalog, &self.prisma.groundwork.external).0
    }

    /// Makes the session what it is to a script.
    pub fn begin(&self, connection: &mut Connection) -> Result<()> {
        let schema = self.prisma.schemas.first().ok_or_else(|| Failure::bug("a rehearsal needs a schema"))?;
        discard(connection)?;
        connection.impersonate_prisma(schema).could_not("prepare a session for a script")
    }

    pub fn end(&self, connection: &mut Connection) -> Result<()> {
        discard(connection)
    }
}
