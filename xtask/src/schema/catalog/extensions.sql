-- Extensions of the whole database: a migration may put one into any schema. Their members are not listed.
select 'extension' as kind,
       array[e.extname]::text[] as path,
       '' as signature,
       'pg_extension ' || e.oid || ' 0' as address,
       null::text as container,
       '{}'::text[] as follows,
       null::text as owner,
       '{}'::text[] as acl,
       '{}'::text[] as default_acl,
       array['version', e.extversion, 'schema', n.nspname]::text[] as properties
  from pg_catalog.pg_extension e
  join pg_catalog.pg_namespace n on n.oid = e.extnamespace
 where $1::text[] is not null
