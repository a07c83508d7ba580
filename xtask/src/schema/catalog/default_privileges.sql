-- What objects created later will be granted: for the schemas, and for the whole database (an empty path).
select 'default privileges' as kind,
       case when n.nspname is null then '{}'::text[] else array[n.nspname]::text[] end as path,
       ' of ' || case when pg_catalog.pg_get_userbyid(a.defaclrole) = current_user then '<migrating role>'
                      else pg_catalog.pg_get_userbyid(a.defaclrole)::text end
         || ' on ' || case a.defaclobjtype when 'r' then 'tables' when 'S' then 'sequences' when 'f' then 'functions'
                                           when 'T' then 'types' when 'n' then 'schemas'
                                           else 'large objects' end as signature,
       'pg_default_acl ' || a.oid || ' 0' as address,
       null::text as container,
       '{}'::text[] as follows,
       null::text as owner,
       a.defaclacl::text[] as acl,
       '{}'::text[] as default_acl,
       '{}'::text[] as properties
  from pg_catalog.pg_default_acl a
  left join pg_catalog.pg_namespace n on n.oid = a.defaclnamespace
 where a.defaclnamespace = 0 or n.nspname = any($1)
