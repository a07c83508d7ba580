-- Rewrite rules, but for the one that makes a view a view.
select 'rule' as kind,
       array[n.nspname, c.relname, r.rulename]::text[] as path,
       '' as signature,
       'pg_rewrite ' || r.oid || ' 0' as address,
       'pg_class ' || c.oid || ' 0' as container,
       '{}'::text[] as follows,
       null::text as owner,
       '{}'::text[] as acl,
       '{}'::text[] as default_acl,
       array[
         'definition', pg_catalog.pg_get_ruledef(r.oid),
         'fires', case r.ev_enabled when 'D' then 'never' when 'R' then 'on replicas only' when 'A' then 'always' end
       ]::text[] as properties
  from pg_catalog.pg_rewrite r
  join pg_catalog.pg_class c on c.oid = r.ev_class
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 where n.nspname = any($1) and r.rulename <> '_RETURN'
