-- Row security policies. That row security is on at all is a property of the table.
select 'policy' as kind,
       array[n.nspname, c.relname, p.polname]::text[] as path,
       '' as signature,
       'pg_policy ' || p.oid || ' 0' as address,
       'pg_class ' || c.oid || ' 0' as container,
       '{}'::text[] as follows,
       null::text as owner,
       '{}'::text[] as acl,
       '{}'::text[] as default_acl,
       array[
         'command', case p.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update'
                                  when 'd' then 'delete' else 'all' end,
         'kind', case when p.polpermissive then 'permissive' else 'restrictive' end,
         'roles', (select pg_catalog.string_agg(r.name, ', ' order by r.name)
                     from (select case when o = 0 then 'PUBLIC'
                                       when pg_catalog.pg_get_userbyid(o) = current_user then '<migrating role>'
                                       else pg_catalog.pg_get_userbyid(o)::text end as name
                             from pg_catalog.unnest(p.polroles) o) r),
         'using', pg_catalog.pg_get_expr(p.polqual, p.polrelid),
         'check', pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid)
       ]::text[] as properties
  from pg_catalog.pg_policy p
  join pg_catalog.pg_class c on c.oid = p.polrelid
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 where n.nspname = any($1)
