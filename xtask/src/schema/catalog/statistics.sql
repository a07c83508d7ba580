-- Extended statistics.
select 'statistics' as kind,
       array[n.nspname, s.stxname]::text[] as path,
       '' as signature,
       'pg_statistic_ext ' || s.oid || ' 0' as address,
       'pg_class ' || s.stxrelid || ' 0' as container,
       array(select 'pg_class ' || s.stxrelid || ' ' || k from pg_catalog.unnest(s.stxkeys) k) as follows,
       pg_catalog.pg_get_userbyid(s.stxowner)::text as owner,
       '{}'::text[] as acl,
       '{}'::text[] as default_acl,
       array['definition', pg_catalog.pg_get_statisticsobjdef(s.oid), 'target', nullif(s.stxstattarget, -1)]::text[] as properties
  from pg_catalog.pg_statistic_ext s
  join pg_catalog.pg_namespace n on n.oid = s.stxnamespace
 where n.nspname = any($1)
