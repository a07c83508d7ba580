-- Event triggers belong to the database; those that call a function of the schemas are theirs.
select 'event trigger' as kind,
       array[g.evtname]::text[] as path,
       '' as signature,
       'pg_event_trigger ' || g.oid || ' 0' as address,
       null::text as container,
       '{}'::text[] as follows,
       pg_catalog.pg_get_userbyid(g.evtowner)::text as owner,
       '{}'::text[] as acl,
       '{}'::text[] as default_acl,
       array[
         'event', g.evtevent,
         'function', g.evtfoid::pg_catalog.regprocedure,
         'tags', pg_catalog.array_to_string(g.evttags, ', '),
         'fires', case g.evtenabled when 'D' then 'never' when 'R' then 'on replicas only' when 'A' then 'always' end
       ]::text[] as properties
  from pg_catalog.pg_event_trigger g
  join pg_catalog.pg_proc p on p.oid = g.evtfoid
  join pg_catalog.pg_namespace n on n.oid = p.pronamespace
 where n.nspname = any($1)
