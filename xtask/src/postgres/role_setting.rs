//! Where a setting comes from that the sessions of a role begin with, and the statement that takes it back there.

use postgres::Client;
use postgres_protocol::escape::{escape_identifier, escape_literal};

/// Whose a setting is, by role and database, with 0 for all.
pub type Place = (u32, u32);

/// A query for it, of the setting that the expression `name` says, in a session of the role in the database. No row: it is the server's own.
pub fn place(name: &str) -> String {
    format!(
        "select r.setrole, r.setdatabase
           from pg_catalog.pg_db_role_setting r
          where (r.setrole = 0 or r.setrole = (select oid from pg_catalog.pg_roles where rolname = session_user))
            and (r.setdatabase = 0 or r.setdatabase = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database()))
            and exists (select from pg_catalog.unnest(r.setconfig) c
                         where pg_catalog.lower(pg_catalog.split_part(c, '=', 1)) = pg_catalog.lower({name}))
          order by r.setdatabase <> 0 and r.setrole <> 0 desc, r.setrole <> 0 desc, r.setdatabase <> 0 desc
          limit 1"
    )
}

/// The role's own setting beats the server's: with `off` it is what it has to be.
pub fn remedy(name: &str, place: Option<Place>, role: &str, database: &str, off: &str) -> String {
    let (role, database) = (escape_identifier(role), escape_identifier(database));
    match place {
        None => format!("alter role {role} set {name} = {off}"),
        Some((0, 0)) => format!("alter role all reset {name}"),
        Some((0, _)) => format!("alter database {database} reset {name}"),
        Some((_, 0)) => format!("alter role {role} reset {name}"),
        Some(_) => format!("alter role {role} in database {database} reset {name}"),
    }
}

/// What gives `name` back the value that servers have by themselves; None where the session of `client` cannot say. Its path is another then.
pub fn to_default(client: &mut Client, name: &str) -> Option<String> {
    client.batch_execute("set search_path = pg_catalog, pg_temp").ok()?;
    let sql = format!(
        "select session_user::text, pg_catalog.current_database()::text, s.boot_val, x.setrole, x.setdatabase
           from pg_catalog.pg_settings s left join lateral ({}) x on true where s.name = pg_catalog.lower($1)",
        place("s.name")
    );
    let row = client.query_opt(&sql, &[&name]).ok()??;
    let off = escape_literal(&row.get::<_, Option<String>>(2)?);
    let place = row.get::<_, Option<u32>>(3).zip(row.get(4));
    Some(remedy(name, place, row.get(0), row.get(1), &off))
}
