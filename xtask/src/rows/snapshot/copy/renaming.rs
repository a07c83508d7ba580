//! Whether a copy may take the target's place as a whole, by its name. Nothing is taken along that the snapshot is not of: whatever is not its
//! rows has to be the same in both, or the rows go back table by table. Where the schema has no place for them, it goes back with them.

use std::collections::BTreeSet;

use crate::error::Result;
use crate::postgres::activity::strangers;
use crate::postgres::claim::{self, CLAIM_SCHEMA};
use crate::postgres::connection::{Connection, CouldNot};
use crate::postgres::fence;
use crate::rows::snapshot::contents::{Source, sequences};
use crate::rows::snapshot::copy::allowed::in_words;
use crate::rows::snapshot::copy::dressing::inside;
use crate::rows::snapshot::copy::sums::sums;
use crate::rows::snapshot::{Copy, Sequence, Snapshot};
use crate::schema::catalog::{Catalog, Change, Difference, catalog, diff};
use crate::schema::ledger::{Entry, ledger};
use crate::session::Session;

/// Why it may not, in a line; None where it may. Reads only.
///
/// # Errors
/// `failed` where the server does not answer.
pub fn obstacle(session: &Session<'_>, snapshot: &Snapshot, copy: &Copy) -> Result<Option<String>> {
    let (own, of_copy) = match look(session, snapshot, copy)? {
        Ok(both) => both,
        Err(why) => return Ok(Some(why)),
    };
    match own.of_the_snapshot(&of_copy).or_else(|| own.of_others(&of_copy)) {
        None => other_rows(session, copy, &own.others),
        why => Ok(why),
    }
}

/// The schema of the snapshot and the applied migrations, where they go back with the rows.
pub struct Along {
    /// From the schema as it is to the copy's.
    pub differences: Vec<Difference>,
    pub applied_again: Vec<String>,
    pub not_applied: Vec<String>,
}

/// What would come along, if the copy took the place of a database whose schema is another; or why it may not, in a line. Reads only.
///
/// # Errors
/// `failed` where the server does not answer.
pub fn along(session: &Session<'_>, snapshot: &Snapshot, copy: &Copy) -> Result<std::result::Result<Along, String>> {
    let (own, of_copy) = match look(session, snapshot, copy)? {
        Ok(both) => both,
        Err(why) => return Ok(Err(why)),
    };
    let differences = diff(&own.catalog, &of_copy.catalog);
    let elsewhere = |schema: &String| own.elsewhere.contains(schema) || of_copy.elsewhere.contains(schema);
    let of_another = |one: &&Difference| one.object.path.first().is_some_and(elsewhere);
    if let Some(one) = differences.iter().find(of_another) {
        return Ok(Err(format!("a schema that is not of the snapshot is not the copy's: {one}")));
    }
    let why = match own.of_others(&of_copy) {
        None => other_rows(session, copy, &own.others)?,
        why => why,
    };
    Ok(why.map_or_else(
        || {
            Ok(Along {
                differences,
                applied_again: of_copy.applied_beyond(&own),
                not_applied: own.applied_beyond(&of_copy),
            })
        },
        Err,
    ))
}

/// What is within both, where nothing else is in the way.
fn look(
    session: &Session<'_>,
    snapshot: &Snapshot,
    copy: &Copy,
) -> Result<std::result::Result<(Inside, Inside), String>> {
    let (mut here, mut there) = (session.connect()?, session.connect_to(&copy.name)?);
    if let Some(why) = outside(session, &mut here, copy)? {
        return Ok(Err(why));
    }
    let is_ours = |claim: claim::Claim| {
        let oids = [snapshot.manifest.origin.database_oid, copy.oid];
        claim.database == session.identity.database && oids.contains(&claim.database_oid)
    };
    if !claim::read(&mut there)?.is_some_and(is_ours) {
        return Ok(Err("the copy has no claim of this database".to_owned()));
    }
    if !may_claim(&mut there)? {
        return Ok(Err("this role may not write its claim anew".to_owned()));
    }
    let schemas = &snapshot.manifest.schemas;
    let read = |connection: &mut Connection| Inside::read(connection, schemas);
    Ok(match (read(&mut here), read(&mut there)) {
        (Ok(own), Ok(of_copy)) => Ok((own, of_copy)),
        (Err(failure), _) | (_, Err(failure)) => {
            Err(format!("what is not of the snapshot cannot be compared: {}", failure.message))
        }
    })
}

/// Which of `others`, tables that are not of the snapshot, has not the copy's rows, in a line.
fn other_rows(session: &Session<'_>, copy: &Copy, others: &[Source]) -> Result<Option<String>> {
    let names = [session.identity.database.as_str(), copy.name.as_str()];
    let [Ok(here), Ok(there)] = names.map(|database| sums(session, database, others)) else {
        return Ok(Some("this role may not read every table that is not of the snapshot".to_owned()));
    };
    let differs = (0..here.len()).find(|&at| here[at] != there[at]);
    Ok(differs.map(|at| format!("`{}`, which is not of the snapshot, has other rows now", others[at].full_name())))
}

/// A claim is dropped and made again, by whoever owns it and its schema.
fn may_claim(there: &mut Connection) -> Result<bool> {
    const OWNED: &str = "
        select pg_catalog.pg_has_role(c.relowner, 'usage') and pg_catalog.pg_has_role(n.nspowner, 'usage')
          from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
         where n.nspname = $1 and c.relname = 'claim'";
    let row = there.client().query_opt(OWNED, &[&claim::CLAIM_SCHEMA]).could_not("ask whose the claim is")?;
    Ok(row.is_some_and(|row| row.get(0)))
}

/// What is not in the database and not of its rows.
fn outside(session: &Session<'_>, here: &mut Connection, copy: &Copy) -> Result<Option<String>> {
    const OUTSIDE: &str = "
        select (select pg_catalog.count(*) from pg_catalog.pg_subscription s where s.subdbid in (d.oid, c.oid)) > 0,
               (select pg_catalog.count(*) from pg_catalog.pg_replication_slots s where s.datoid in (d.oid, c.oid)) > 0,
               (select pg_catalog.count(*) from pg_catalog.pg_prepared_xacts x where x.database in (d.datname, c.datname)) > 0,
               (select pg_catalog.count(*) from pg_catalog.pg_shseclabel l
                 where l.classoid = 'pg_catalog.pg_database'::pg_catalog.regclass and l.objoid in (d.oid, c.oid)) > 0,
               d.datistemplate,
               (select pg_catalog.count(*) from pg_catalog.aclexplode(d.datacl) a where a.grantor <> d.datdba) > 0,
               not pg_catalog.pg_has_role(d.datdba, case when pg_catalog.current_setting('server_version_num')::int4 >= 160000 then 'set' else 'member' end)
                 or not pg_catalog.pg_has_role(d.datdba, 'usage'),
               (select pg_catalog.count(*) from pg_catalog.pg_stat_activity a where a.datid = c.oid and a.pid <> all($3)
                   and a.backend_type is distinct from 'autovacuum worker') > 0
          from pg_catalog.pg_database d, pg_catalog.pg_database c
         where d.datname = $1 and c.datname = $2";
    const WHY: [&str; 8] = [
        "a subscription belongs to the database",
        "a replication slot belongs to the database",
        "a prepared transaction is open in the database",
        "the database has a security label",
        "the database is a template",
        "a right on the database was granted by another than its owner",
        "this role may not act as the database's owner",
        "somebody is in the copy",
    ];
    if !session.identity.may_create_databases {
        return Ok(Some(format!("the role `{}` may not create databases", session.identity.user)));
    }
    let pids = session.pids();
    let row = here.client().query_one(OUTSIDE, &[&session.identity.database, &copy.name, &pids]);
    let row = row.could_not("ask what belongs to the database")?;
    if let Some((_, why)) = WHY.iter().enumerate().find(|(at, _)| row.get::<_, bool>(*at)) {
        return Ok(Some((*why).to_owned()));
    }
    Ok(in_words(strangers(here, &pids)?))
}

/// Prisma's reset takes the comment of a schema along; one that only somebody's hand has made does not come back.
pub fn is_comment_of_schema(difference: &Difference) -> bool {
    let of_comment = matches!(&difference.change, Change::Changed { property, .. } if property == "comment");
    difference.object.kind == "schema" && of_comment
}

/// What has to be the same within both.
struct Inside {
    /// Of all schemas.
    catalog: Catalog,
    /// Schemas that are not of the snapshot.
    elsewhere: Vec<String>,
    ledger: Vec<Applied>,
    /// Tables that are not of the snapshot.
    others: Vec<Source>,
    sequences: Vec<Sequence>,
    large_objects: bool,
}

/// A row of the ledger but for what each time is another.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Applied {
    name: String,
    checksum: String,
    applied: bool,
    rolled_back: bool,
}

impl Applied {
    fn of(entry: &Entry) -> Applied {
        let (name, checksum) = (entry.name.clone(), entry.checksum.clone());
        Applied { name, checksum, applied: entry.is_applied(), rolled_back: entry.rolled_back_at.is_some() }
    }
}

const SCHEMAS: &str = "
    select n.nspname::text from pg_catalog.pg_namespace n
     where n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and n.nspname <> $1 order by 1";

/// Those of an extension are never of a snapshot. A partition is looked at by itself.
const OTHERS: &str = "
    select n.nspname::text, c.relname::text, pg_catalog.pg_total_relation_size(c.oid)
      from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     where n.nspname = any($1) and c.relkind = 'r' and c.relpersistence <> 't'
       and (n.nspname <> all($2)
            or exists (select from pg_catalog.pg_depend d
                        where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.objid = c.oid and d.deptype = 'e'))
     order by 1, 2";

impl Inside {
    fn read(connection: &mut Connection, of_snapshot: &[String]) -> Result<Inside> {
        let intent = "look at what is not of the snapshot";
        let schemas: Vec<String> = {
            let rows = connection.client().query(SCHEMAS, &[&CLAIM_SCHEMA]).could_not(intent)?;
            rows.iter().map(|row| row.get(0)).collect()
        };
        let names: Vec<&str> = schemas.iter().map(String::as_str).collect();
        let elsewhere: Vec<String> = schemas.iter().filter(|name| !of_snapshot.contains(name)).cloned().collect();
        let mut catalog = inside(&catalog(connection, &names)?);
        catalog.objects.retain(|object, _| !fence::owns(&object.path));
        let first = of_snapshot.first().map(String::as_str).unwrap_or_default();
        let ledger = ledger(connection, first)?.map(|ledger| ledger.rows).unwrap_or_default();
        let mut ledger: Vec<Applied> = ledger.iter().map(Applied::of).collect();
        ledger.sort();
        let rows = connection.client().query(OTHERS, &[&schemas, &of_snapshot]).could_not(intent)?;
        let source = |row: &postgres::Row| Source {
            schema: row.get(0),
            name: row.get(1),
            partitioned: false,
            columns: Vec::new(),
            required: Vec::new(),
            bytes: row.get::<_, i64>(2).unsigned_abs(),
            // Summed on the server, and not copied.
            encoding: None,
        };
        let others = rows.iter().map(source).collect();
        let any = "select exists (select from pg_catalog.pg_largeobject_metadata)";
        let large_objects = connection.client().query_one(any, &[]).could_not(intent)?.get(0);
        let names: Vec<&str> = elsewhere.iter().map(String::as_str).collect();
        let sequences = connection.read(|transaction| sequences(transaction, &names))?;
        Ok(Inside { catalog, elsewhere, ledger, others, sequences, large_objects })
    }

    fn of_the_snapshot(&self, other: &Inside) -> Option<String> {
        if let Some(first) = diff(&other.catalog, &self.catalog).iter().find(|one| !is_comment_of_schema(one)) {
            return Some(format!("the schema is not the copy's: {first}"));
        }
        (self.ledger != other.ledger).then(|| "the ledger is not the copy's".to_owned())
    }

    fn of_others(&self, other: &Inside) -> Option<String> {
        let names = |side: &Inside| side.others.iter().map(Source::full_name).collect::<Vec<_>>();
        let parts = [
            ("other tables are there", names(self) != names(other)),
            ("a sequence that is not of the snapshot has moved", self.sequences != other.sequences),
            ("there are large objects, which are not compared", self.large_objects || other.large_objects),
        ];
        parts.into_iter().find(|(_, differs)| *differs).map(|(what, _)| what.to_owned())
    }

    /// Migrations that are applied here and not in `other`.
    fn applied_beyond(&self, other: &Inside) -> Vec<String> {
        let applied = |side: &Inside| -> BTreeSet<String> {
            side.ledger.iter().filter(|entry| entry.applied).map(|entry| entry.name.clone()).collect()
        };
        applied(self).difference(&applied(other)).cloned().collect()
    }
}
