with held as materialized (
  select l.relation, pg_catalog.string_agg(l.mode, ',') as modes from pg_catalog.pg_locks l
   where l.pid = pg_catalog.pg_backend_pid() and l.locktype = 'relation' and l.granted
     and l.database = (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database())
   group by 1)
select c.oid, r.oid as root, n.nspname || '.' || r.relname as name, c.relkind, c.relfilenode, c.oid <> coalesce(i.indrelid, c.oid) as is_index,
       pg_catalog.pg_stat_get_xact_numscans(c.oid) as scans,
       pg_catalog.pg_stat_get_xact_tuples_inserted(c.oid) + pg_catalog.pg_stat_get_xact_tuples_updated(c.oid)
         + pg_catalog.pg_stat_get_xact_tuples_deleted(c.oid) as changed,
       l.modes
  from pg_catalog.pg_class c
  left join pg_catalog.pg_index i on i.indexrelid = c.oid
  join pg_catalog.pg_class r on r.oid = coalesce(
         (select pg_catalog.pg_partition_root(t.oid) from pg_catalog.pg_class t where t.oid = coalesce(i.indrelid, c.oid) and t.relispartition),
         i.indrelid, c.oid)
  join pg_catalog.pg_namespace n on n.oid = r.relnamespace
  left join held l on l.relation = c.oid
 where c.relkind in ('r', 'p', 'm', 'i', 'I') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
