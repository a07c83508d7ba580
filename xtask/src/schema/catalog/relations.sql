-- Tables, views, materialized views and foreign tables. Sequences have a file of their own.
select case c.relkind when 'v' then 'view' when 'm' then 'materialized view' when 'f' then 'foreign table'
                      else 'table' end as kind,
       array[n.nspname, c.relname]::text[] as path,
       '' as signature,
       'pg_class ' || c.oid || ' 0' as address,
       null::text as container,
       '{}'::text[] as follows,
       pg_catalog.pg_get_userbyid(c.relowner)::text as owner,
       coalesce(c.relacl, pg_catalog.acldefault('r', c.relowner))::text[] as acl,
       pg_catalog.acldefault('r', c.relowner)::text[] as default_acl,
       array[
         'definition', case when c.relkind in ('v', 'm') then pg_catalog.pg_get_viewdef(c.oid) end,
         'persistence', case c.relpersistence when 'u' then 'unlogged' when 't' then 'temporary' end,
         'access method', (select am.amname from pg_catalog.pg_am am where am.oid = c.relam and am.amname <> 'heap'),
         'tablespace', case when c.reltablespace <> 0 then
            (select t.spcname from pg_catalog.pg_tablespace t where t.oid = c.reltablespace) end,
         'storage parameters', pg_catalog.array_to_string(c.reloptions, ', '),
         'row security', case when c.relrowsecurity and c.relforcerowsecurity then 'enabled and forced'
                              when c.relrowsecurity then 'enabled' when c.relforcerowsecurity then 'forced' end,
         'partition key', case when c.relkind = 'p' then pg_catalog.pg_get_partkeydef(c.oid) end,
         'partition bound', pg_catalog.pg_get_expr(c.relpartbound, c.oid),
         'parents', (select pg_catalog.string_agg(i.inhparent::pg_catalog.regclass::text, ', ' order by i.inhseqno)
                       from pg_catalog.pg_inherits i where i.inhrelid = c.oid),
         'row type', case when c.reloftype <> 0 then pg_catalog.format_type(c.reloftype, null) end,
         'replica identity', case c.relreplident when 'n' then 'nothing' when 'f' then 'full' when 'i' then
            'index ' || (select i.indexrelid::pg_catalog.regclass::text from pg_catalog.pg_index i
                          where i.indrelid = c.oid and i.indisreplident) end,
         'clustered on', (select i.indexrelid::pg_catalog.regclass::text from pg_catalog.pg_index i
                           where i.indrelid = c.oid and i.indisclustered),
         'foreign server', (select s.srvname
                                     || coalesce(' (' || pg_catalog.array_to_string(f.ftoptions, ', ') || ')', '')
                              from pg_catalog.pg_foreign_table f
                              join pg_catalog.pg_foreign_server s on s.oid = f.ftserver where f.ftrelid = c.oid),
         'publications', (select pg_catalog.string_agg(p.pubname, ', ' order by p.pubname)
                            from pg_catalog.pg_publication_rel pr
                            join pg_catalog.pg_publication p on p.oid = pr.prpubid where pr.prrelid = c.oid)
       ]::text[] as properties
  from pg_catalog.pg_class c
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 where n.nspname = any($1) and c.relkind in ('r', 'p', 'v', 'm', 'f') and c.relname <> '_prisma_migrations'
