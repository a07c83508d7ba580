//! What the Prisma config calls external (`tables.external`, `enums.external`): it lies among what the migrations make, and is none of
//! their work. A comparison with their catalog leaves it out.

use crate::error::Result;
use crate::postgres::connection::Connection;
use crate::schema::catalog::{Catalog, Object, ObjectKey, catalog};
use crate::session::groundwork::External;

/// The catalog of `schemas` without what is external.
pub fn managed(connection: &mut Connection, schemas: &[&str], external: &External) -> Result<Catalog> {
    Ok(parted(catalog(connection, schemas)?, external).0)
}

/// `catalog` without what is external, and what that is: tables with all that is in them, and types.
pub fn parted(mut catalog: Catalog, external: &External) -> (Catalog, Vec<ObjectKey>) {
    if external.is_empty() {
        return (catalog, Vec::new());
    }
    let (theirs, ours) = catalog.objects.into_iter().partition(|(key, object)| is_external(key, object, external));
    catalog.objects = ours;
    let theirs: std::collections::BTreeMap<ObjectKey, Object> = theirs;
    let whole = theirs.into_keys().filter(|key| matches!(key.kind.as_str(), "table" | "foreign table" | "type"));
    (catalog, whole.collect())
}

fn is_external(key: &ObjectKey, object: &Object, external: &External) -> bool {
    let of_table = |path: &[String]| matches!(path, [schema, table, ..] if external.has_table(schema, table));
    match key.kind.as_str() {
        "type" => matches!(key.path.as_slice(), [schema, name] if external.has_enum(schema, name)),
        "table" | "foreign table" => of_table(&key.path),
        "sequence" | "statistics" | "index" => object.follows.iter().any(|path| of_table(path)),
        _ => key.path.len() > 2 && of_table(&key.path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::server::Database;

    #[test]
    fn an_external_table_goes_with_all_that_is_in_it_and_what_refers_to_it_stays() {
        let mut database = Database::new();
        database.run(
            "create type level as enum ('a'); create type mood as enum ('a');
             create table users (id serial primary key, name text unique check (name <> ''), level level);
             create index users_level on users (level); create function users() returns int language sql as 'select 1';
             create policy p on users using (true);
             create table note (id int primary key, user_id int references users, mood mood)",
        );
        let external = External::new(&["public.users".to_owned()], &["public.level".to_owned()]);
        let whole = catalog(&mut database.connection, &["public"]).unwrap();
        let (ours, theirs) = parted(whole, &external);
        assert_eq!(
            theirs.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["type \"public\".\"level\"", "table \"public\".\"users\""]
        );
        let left: Vec<String> = ours.objects.keys().map(ToString::to_string).collect();
        let named: Vec<&String> = left.iter().filter(|name| name.contains("users") || name.contains("level")).collect();
        assert_eq!(named, ["function \"public\".\"users\"()"]);
        assert!(
            left.iter().any(|name| name.starts_with("constraint \"public\".\"note\".\"note_user_id_fkey\"")),
            "{left:?}"
        );
    }
}
