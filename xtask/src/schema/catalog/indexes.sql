-- Indexes that are not the inside of a constraint, nor a partition's share of its parent's index.
select 'index' as kind,
       array[n.nspname, c.relname]::text[] as path,
       '' as signature,
       'pg_class ' || c.oid || ' 0' as address,
       'pg_class ' || i.indrelid || ' 0' as container,
       array(select 'pg_class ' || d.refobjid || ' ' || d.refobjsubid
               from pg_catalog.pg_depend d
              where d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.objid = c.oid
                and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass) as follows,
       null::text as owner,
       '{}'::text[] as acl,
       '{}'::text[] as default_acl,
       array[
         'definition', pg_catalog.pg_get_indexdef(c.oid),
         'tablespace', case when c.reltablespace <> 0 then
            (select t.spcname from pg_catalog.pg_tablespace t where t.oid = c.reltablespace) end,
         'valid', case when not i.indisvalid then 'no' end,
         'statistics targets', (select pg_catalog.string_agg(a.attnum || ': ' || a.attstattarget, ', ' order by a.attnum)
                                  from pg_catalog.pg_attribute a where a.attrelid = c.oid and a.attstattarget >= 0)
       ]::text[] as properties
  from pg_catalog.pg_index i
  join pg_catalog.pg_class c on c.oid = i.indexrelid
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 where n.nspname = any($1) and not c.relispartition
   and not exists (select from pg_catalog.pg_constraint k
                    where k.conrelid = i.indrelid and k.conindid = i.indexrelid and k.contype in ('p', 'u', 'x'))
