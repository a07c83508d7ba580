-- Sequences: their parameters, never their current value. One that a column owns comes and goes with the column.
select 'sequence' as kind,
       array[n.nspname, c.relname]::text[] as path,
       '' as signature,
       'pg_class ' || c.oid || ' 0' as address,
       'pg_class ' || o.refobjid || ' ' || o.refobjsubid as container,
       case when o.refobjid is null then '{}'::text[] else array['pg_class ' || o.refobjid || ' 0'] end as follows,
       pg_catalog.pg_get_userbyid(c.relowner)::text as owner,
       coalesce(c.relacl, pg_catalog.acldefault('s', c.relowner))::text[] as acl,
       pg_catalog.acldefault('s', c.relowner)::text[] as default_acl,
       array[
         'type', pg_catalog.format_type(s.seqtypid, null),
         'start', s.seqstart, 'increment', s.seqincrement, 'minimum', s.seqmin, 'maximum', s.seqmax,
         'cache', s.seqcache, 'cycle', case when s.seqcycle then 'yes' else 'no' end,
         'persistence', case c.relpersistence when 'u' then 'unlogged' end,
         'owned by', (select pg_catalog.format('%I.%I', tc.relname, ta.attname)
                        from pg_catalog.pg_attribute ta join pg_catalog.pg_class tc on tc.oid = ta.attrelid
                       where ta.attrelid = o.refobjid and ta.attnum = o.refobjsubid)
       ]::text[] as properties
  from pg_catalog.pg_class c
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  join pg_catalog.pg_sequence s on s.seqrelid = c.oid
  left join pg_catalog.pg_depend o on o.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and o.objid = c.oid
       and o.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass and o.refobjsubid > 0 and o.deptype in ('a', 'i')
 where n.nspname = any($1)
