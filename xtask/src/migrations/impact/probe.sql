with recursive held as materialized (
  select l.relation, pg_catalog.string_agg(l.mode, ',') as modes from pg_catalog.pg_locks l
   where l.pid = pg_catalog.pg_backend_pid() and l.locktype = 'relation' and l.granted
     and l.database = (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database())
   group by 1),
below as (
  select relation from held
  union select h.inhrelid from pg_catalog.pg_inherits h join below on h.inhparent = below.relation),
touched as materialized (
  select relation as oid from below
  union select i.indexrelid from pg_catalog.pg_index i join below on i.indrelid = below.relation
  union select s.oid from pg_catalog.pg_class s where s.oid <= LAST and s.relkind in ('r', 'p', 'm') and pg_catalog.pg_stat_get_xact_numscans(s.oid) > 0)
select c.oid, r.oid as root, n.nspname || '.' || r.relname as name, c.relkind, c.relfilenode, c.oid <> coalesce(i.indrelid, c.oid) as is_index,
       pg_catalog.pg_stat_get_xact_numscans(c.oid) as scans,
       pg_catalog.pg_stat_get_xact_tuples_inserted(c.oid) + pg_catalog.pg_stat_get_xact_tuples_updated(c.oid)
         + pg_catalog.pg_stat_get_xact_tuples_deleted(c.oid) as changed,
       l.modes
  from LOOKED_AT c
  left join pg_catalog.pg_index i on i.indexrelid = c.oid
  cross join lateral (
    select r.oid, r.relname, r.relnamespace from pg_catalog.pg_class r where r.oid = coalesce(
           (select pg_catalog.pg_partition_root(t.oid) from pg_catalog.pg_class t where t.oid = coalesce(i.indrelid, c.oid) and t.relispartition),
           i.indrelid, c.oid) offset 0) r
  join pg_catalog.pg_namespace n on n.oid = r.relnamespace
  left join held l on l.relation = c.oid
 where c.relkind in ('r', 'p', 'm', 'i', 'I') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
