-- Extensions of the whole database: a migration may put one into any schema. Their members are not listed.
select 'extension' as kind,
       array[e.extname]::text[] as path,
       '' as signature,
       'pg_extension ' || e.oid || ' 0' as address,
       null::text as container,
       '{}'::text[] as follows,
       case when e.oid >= 16384 then pg_catalog.pg_get_userbyid(e.extowner)::text end as owner,
       '{}'::text[] as acl,
       '{}'::text[] as default_acl,
       array['version', e.extversion, 'schema', n.nspname,
             'members', (select pg_catalog.count(*) from pg_catalog.pg_depend d
                          where d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass and d.refobjid = e.oid and d.deptype = 'e')]::text[] as properties
  from pg_catalog.pg_extension e
  join pg_catalog.pg_namespace n on n.oid = e.extnamespace
 where $1::text[] is not null
