-- Triggers, but for those that implement a constraint and those that a partition has from its parent.
select 'trigger' as kind,
       array[n.nspname, c.relname, g.tgname]::text[] as path,
       '' as signature,
       'pg_trigger ' || g.oid || ' 0' as address,
       'pg_class ' || c.oid || ' 0' as container,
       '{}'::text[] as follows,
       null::text as owner,
       '{}'::text[] as acl,
       '{}'::text[] as default_acl,
       array[
         'definition', pg_catalog.pg_get_triggerdef(g.oid),
         'fires', case g.tgenabled when 'D' then 'never' when 'R' then 'on replicas only' when 'A' then 'always' end
       ]::text[] as properties
  from pg_catalog.pg_trigger g
  join pg_catalog.pg_class c on c.oid = g.tgrelid
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 where n.nspname = any($1) and not g.tgisinternal and g.tgparentid = 0
