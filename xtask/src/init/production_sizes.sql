-- How large are the tables? One question to catalogs and statistics: it reads no table, changes nothing, and takes of locks the weakest.
select pg_catalog.json_build_object('production_sizes', 1, 'tables', coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
         'schema', t.nspname, 'table', t.relname, 'rows', t.rows, 'bytes', t.bytes) order by t.nspname, t.relname), '[]'))::text as production_sizes
  from (select n.nspname, r.relname, pg_catalog.sum(l.bytes)::pg_catalog.int8 as bytes,
               case when pg_catalog.bool_and(l.rows is not null) then pg_catalog.sum(l.rows)::pg_catalog.int8 end as rows
          from (select case when c.relispartition then pg_catalog.pg_partition_root(c.oid)::pg_catalog.oid else c.oid end as root,
                       pg_catalog.pg_total_relation_size(c.oid) as bytes,
                       case when c.relkind = 'p' or pg_catalog.pg_relation_size(c.oid) = 0 then 0
                            when c.reltuples >= 0 or pg_catalog.pg_stat_get_live_tuples(c.oid) > 0
                            then greatest(c.reltuples, pg_catalog.pg_stat_get_live_tuples(c.oid)) end as rows
                  from pg_catalog.pg_class c
                 where c.relkind in ('r', 'p', 'm') and c.relpersistence <> 't') l
          join pg_catalog.pg_class r on r.oid = l.root
          join pg_catalog.pg_namespace n on n.oid = r.relnamespace
         where n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and r.relname <> '_prisma_migrations'
         group by n.nspname, r.relname) t;
