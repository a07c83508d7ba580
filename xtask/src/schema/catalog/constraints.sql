-- Constraints of tables and domains. What a partition or a child table has only because its parent has it is left out,
-- and so are the NOT NULL rows of Postgres 18, which the column's `nullable` says already.
select 'constraint' as kind,
       array[n.nspname, coalesce(c.relname, t.typname), k.conname]::text[] as path,
       '' as signature,
       'pg_constraint ' || k.oid || ' 0' as address,
       case when k.conrelid <> 0 then 'pg_class ' || k.conrelid || ' 0'
                                 else 'pg_type ' || k.contypid || ' 0' end as container,
       array(select 'pg_class ' || d.refobjid || ' ' || d.refobjsubid
               from pg_catalog.pg_depend d
              where d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass and d.objid = k.oid
                and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass) as follows,
       null::text as owner,
       '{}'::text[] as acl,
       '{}'::text[] as default_acl,
       array[
         'definition', pg_catalog.pg_get_constraintdef(k.oid),
         'triggers', (select pg_catalog.string_agg(distinct case g.tgenabled when 'D' then 'disabled' when 'R' then 'on replicas only'
                                                                   else 'always' end, ', ')
                        from pg_catalog.pg_trigger g
                       where g.tgconstraint = k.oid and g.tgisinternal and g.tgenabled <> 'O'),
         'index', (select nullif(pg_catalog.concat_ws(' ', pg_catalog.array_to_string(x.reloptions, ', '),
                                   case when not i.indisvalid then 'invalid' end,
                                   (select 'tablespace ' || s.spcname from pg_catalog.pg_tablespace s where s.oid = x.reltablespace),
                                   (select 'statistics targets ' || pg_catalog.string_agg(a.attnum || ': ' || a.attstattarget, ', ' order by a.attnum)
                                      from pg_catalog.pg_attribute a where a.attrelid = x.oid and a.attstattarget >= 0)), '')
                     from pg_catalog.pg_index i join pg_catalog.pg_class x on x.oid = i.indexrelid
                    where i.indexrelid = k.conindid and k.contype in ('p', 'u', 'x'))
       ]::text[] as properties
  from pg_catalog.pg_constraint k
  join pg_catalog.pg_namespace n on n.oid = k.connamespace
  left join pg_catalog.pg_class c on c.oid = k.conrelid
  left join pg_catalog.pg_type t on t.oid = k.contypid
 where n.nspname = any($1) and k.contype in ('c', 'f', 'p', 'u', 'x')
   and k.conparentid = 0 and (k.conislocal or k.coninhcount = 0)
