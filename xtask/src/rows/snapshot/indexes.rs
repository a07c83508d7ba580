//! Indexes of large tables, made again after their rows are there: building one is faster than adding to it row by row, three times where the
//! keys come in no order, as UUIDs do.
//!
//! A primary key or a unique constraint is its index under another name, and is added again by its own definition. What is more than its definition
//! says stays: an index with a mark, a setting or a tablespace, one on which something depends that is not dropped with the keys that point to the
//! table, one that an exclusion or a deferrable constraint has. So does one that calls a function of a user, which may find less while an index is
//! made, and so do all where the role could not make them again.

use postgres::Row;
use postgres_protocol::escape::escape_literal;

/// Rows from which on making an index again is faster than adding to it.
pub const LARGE: u64 = 10_000;

/// Of plain tables alone: a partition's index belongs to its root's. An index without a tablespace of its own is in the database's, and so it is
/// made again. A foreign key names columns, not the index that it uses, so one that is used has no twin that the key might find in its stead.
/// In the order of their making, by which the server chooses where it finds two that will do.
pub const INDEXES: &str = "
    , found as (
      select i.indexrelid, i.indrelid, c.reloptions, k.oid as key, k.conname,
             (select pg_catalog.array_agg(a order by a) from pg_catalog.unnest(i.indkey::int2[]) with ordinality as u(a, at)
               where at <= i.indnkeyatts) as columns,
             exists (select from pg_catalog.pg_constraint f where f.contype = 'f' and f.conindid = c.oid) as is_used
        from pg_catalog.pg_index i
        join pg_catalog.pg_class c on c.oid = i.indexrelid
        join pg_catalog.pg_class t on t.oid = i.indrelid
        left join pg_catalog.pg_constraint k on k.conindid = i.indexrelid and k.contype in ('p', 'u', 'x')
       where i.indrelid in (select oid from members) and t.relkind = 'r' and not t.relispartition
         and not i.indisexclusion and i.indimmediate and i.indisvalid and i.indisready
         and not i.indisclustered and not i.indisreplident and c.reltablespace = 0
         and pg_catalog.pg_has_role(c.relowner, 'usage') and pg_catalog.has_schema_privilege(c.relnamespace, 'create')
         and not exists (select from pg_catalog.regexp_matches(pg_catalog.concat(i.indexprs, i.indpred), ':(?:opfuncid|funcid) ([0-9]+)', 'g') as called(oid)
                          where called.oid[1]::oid >= 16384)
         and not exists (select from pg_catalog.pg_attribute a where a.attrelid = c.oid and coalesce(a.attstattarget, -1) >= 0)
         and not exists (select from pg_catalog.pg_depend d
                          where d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.refobjid = c.oid
                            and not (d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass and exists (
                                       select from pg_catalog.pg_constraint f where f.oid = d.objid and f.contype = 'f')))
         and not exists (select from pg_catalog.pg_depend d
                          where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.objid = c.oid
                            and d.deptype in ('e', 'x', 'i') and d.refobjid is distinct from k.oid)
         and not exists (select from pg_catalog.pg_depend d
                          where d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass and d.objid = k.oid and d.deptype in ('e', 'x', 'i'))
         and not exists (select from pg_catalog.pg_depend d
                          where d.refclassid = 'pg_catalog.pg_constraint'::pg_catalog.regclass and d.refobjid = k.oid and d.objid <> c.oid))
    select f.indexrelid::pg_catalog.regclass::text,
           case when f.key is null then pg_catalog.format('drop index %s', f.indexrelid::pg_catalog.regclass)
                else pg_catalog.format('alter table only %s drop constraint %I', f.indrelid::pg_catalog.regclass, f.conname) end,
           case when f.key is null then pg_catalog.pg_get_indexdef(f.indexrelid)
                else pg_catalog.format('alter table %s add constraint %I %s', f.indrelid::pg_catalog.regclass, f.conname,
                                       pg_catalog.pg_get_constraintdef(f.key)) end,
           pg_catalog.obj_description(f.indexrelid, 'pg_class'),
           case when f.key is not null then pg_catalog.format('constraint %I on %s', f.conname, f.indrelid::pg_catalog.regclass) end,
           pg_catalog.obj_description(f.key, 'pg_constraint')
      from found f
     where (f.key is null or f.reloptions is null)
       and not (f.is_used and exists (
             select from pg_catalog.pg_index o
              where o.indrelid = f.indrelid and o.indexrelid <> f.indexrelid and o.indisunique
                and f.columns = (select pg_catalog.array_agg(a order by a) from pg_catalog.unnest(o.indkey::int2[]) with ordinality as u(a, at)
                                  where at <= o.indnkeyatts)))
     order by f.indexrelid";

/// Statements that drop them, once no key points to them any more, and those that make them again.
#[derive(Default)]
pub struct Indexes {
    pub drop: Vec<String>,
    pub make: Vec<String>,
}

impl Indexes {
    /// Of the rows that `INDEXES` gives.
    pub fn of(rows: &[Row]) -> Indexes {
        let mut indexes = Indexes::default();
        if !rows.is_empty() {
            indexes.make.push("set local default_tablespace = ''".to_owned());
        }
        rows.iter().for_each(|row| indexes.add(row));
        indexes
    }

    /// Names are quoted already.
    fn add(&mut self, row: &Row) {
        self.drop.push(row.get(1));
        self.make.push(row.get(2));
        let index = row.get::<_, Option<&str>>(3).map(|text| (format!("index {}", row.get::<_, &str>(0)), text));
        let key = row.get::<_, Option<String>>(4).zip(row.get::<_, Option<&str>>(5));
        let comments = index.into_iter().chain(key);
        self.make.extend(comments.map(|(what, text)| format!("comment on {what} is {}", escape_literal(text))));
    }
}

#[cfg(test)]
mod tests {
    use crate::postgres::server::Database;
    use crate::rows::snapshot::obstacles::Obstacles;
    use crate::rows::snapshot::obstacles::tests::tables;

    /// Keys and indexes that are made again.
    const MADE_AGAIN: &str = r#"
        create table "Shop" (id uuid primary key, code text not null, region text,
          constraint "by Code" unique nulls not distinct (code, region) include (id));
        comment on constraint "by Code" on "Shop" is 'one a ''region'''; comment on index "by Code" is 'of the index';
        create table orders (shop uuid references "Shop" on delete cascade, n int, at date, before int, primary key (shop, n),
          constraint once unique (n), foreign key (before) references orders (n));
        create unique index open_orders on orders (shop) where at is null; create index late on orders (at desc nulls last);
        comment on index open_orders is 'one at a time';
        create table base (id int primary key); create table heir (id int primary key) inherits (base); create table other () inherits (base)"#;

    /// And those that have to stay, for what hangs on them.
    const STAY: &str = r"
        create table grouped (id int primary key, note text); create view notes as select id, note from grouped group by id;
        create table late_keys (a int unique deferrable, b int, exclude using btree (b with =));
        create table marked (id int primary key, b int unique); cluster marked using marked_pkey;
        create table told (id int primary key, b int not null); create unique index told_b on told (b);
        alter table told replica identity using index told_b;
        create table filled (id int primary key with (fillfactor = 50));
        create table twins (id int not null, constraint one unique (id)); create unique index two on twins (id);
        create table to_twins (id int references twins (id));
        create table parts (id int primary key) partition by range (id); create table low partition of parts for values from (0) to (10);
        create table rules (id int primary key); create table heard (id int);
        create rule again as on insert to heard do instead insert into rules values (new.id) on conflict on constraint rules_pkey do nothing;
        create function plus(int) returns int language sql immutable as 'select $1 + 1'; create unique index by_plus on heard (plus(id))";

    const NOW: &str = "select string_agg(told, e'\n' order by told) from (
        select concat_ws(' ', conrelid::regclass, conname, pg_get_constraintdef(oid), conindid::regclass, obj_description(oid, 'pg_constraint')) as told
          from pg_constraint where connamespace = 'public'::regnamespace
        union all
        select concat_ws(' ', pg_get_indexdef(indexrelid), indisprimary, indisclustered, indisreplident, obj_description(indexrelid, 'pg_class'))
          from pg_index where indrelid in (select oid from pg_class where relnamespace = 'public'::regnamespace)) found";

    /// Statements that drop, and that make again, with everything as it was in between.
    fn there_and_back(sql: &str) -> (Vec<String>, Vec<String>) {
        let mut database = Database::new();
        database.run(sql);
        let (before, tables) = (database.ask::<String>(NOW), tables(&mut database));
        let mut transaction = database.connection.client().transaction().unwrap();
        let all = tables.iter().collect::<Vec<_>>();
        let obstacles = Obstacles::find(&mut transaction, &all, &all).unwrap();
        for sql in obstacles.drop.iter().chain(&obstacles.indexes).chain(&obstacles.recreate) {
            transaction.batch_execute(sql).unwrap_or_else(|error| panic!("{:?} in {sql}", error.as_db_error()));
        }
        transaction.commit().unwrap();
        assert_eq!(database.ask::<String>(NOW), before);
        let drops = obstacles.drop.into_iter().filter(|sql| !sql.contains("_fkey"));
        (drops.collect(), obstacles.indexes)
    }

    #[test]
    fn keys_and_indexes_that_are_all_that_they_say_are_made_again() {
        let (drops, makes) = there_and_back(MADE_AGAIN);
        insta::assert_snapshot!(drops.join("\n"), @r#"
        alter table only "Shop" drop constraint "Shop_pkey"
        alter table only "Shop" drop constraint "by Code"
        alter table only orders drop constraint orders_pkey
        alter table only orders drop constraint once
        drop index open_orders
        drop index late
        alter table only base drop constraint base_pkey
        alter table only heir drop constraint heir_pkey
        "#);
        insta::assert_snapshot!(makes.join("\n"), @r#"
        set local default_tablespace = ''
        alter table "Shop" add constraint "Shop_pkey" PRIMARY KEY (id)
        alter table "Shop" add constraint "by Code" UNIQUE NULLS NOT DISTINCT (code, region) INCLUDE (id)
        comment on index "by Code" is 'of the index'
        comment on constraint "by Code" on "Shop" is 'one a ''region'''
        alter table orders add constraint orders_pkey PRIMARY KEY (shop, n)
        alter table orders add constraint once UNIQUE (n)
        CREATE UNIQUE INDEX open_orders ON public.orders USING btree (shop) WHERE (at IS NULL)
        comment on index open_orders is 'one at a time'
        CREATE INDEX late ON public.orders USING btree (at DESC NULLS LAST)
        alter table base add constraint base_pkey PRIMARY KEY (id)
        alter table heir add constraint heir_pkey PRIMARY KEY (id)
        "#);
    }

    #[test]
    fn what_is_more_than_its_definition_says_stays() {
        let (drops, _) = there_and_back(STAY);
        insta::assert_snapshot!(drops.join("\n"), @r"
        alter table only marked drop constraint marked_b_key
        alter table only told drop constraint told_pkey
        drop index two
        ");
    }
}
