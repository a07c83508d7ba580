select w.pid, coalesce(extract(epoch from w.waitstart) * 1000000, 0)::int8,
       coalesce(extract(epoch from pg_catalog.clock_timestamp() - w.waitstart) * 1000, 0)::int8,
       pg_catalog.pg_blocking_pids(w.pid),
       case when w.database = (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database())
            then coalesce(t.relname, c.relname)::text end,
       a.usename::text, nullif(a.application_name, '')
  from (select l.pid, l.waitstart, coalesce(l.database, row_of.database) as database, coalesce(l.relation, row_of.relation) as relation
          from pg_catalog.pg_locks l
          left join lateral (
               select r.database, r.relation from pg_catalog.pg_locks r
                where l.locktype = 'transactionid' and r.pid = l.pid and r.locktype = 'tuple' and r.granted limit 1) row_of on true
         where not l.granted and l.pid is not null offset 0) w
  left join pg_catalog.pg_stat_activity a on a.pid = w.pid
  left join pg_catalog.pg_class c on c.oid = w.relation
  left join pg_catalog.pg_index i on i.indexrelid = w.relation
  left join pg_catalog.pg_class t on t.oid = i.indrelid
 order by w.waitstart, w.pid
