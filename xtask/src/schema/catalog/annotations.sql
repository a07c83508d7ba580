-- What is said of objects of every kind beside them, by their address: comments, security labels, and the extensions that they
-- go with. Comments that initdb wrote are not of interest, but for those on schema "public" and on extensions. What is no object of
-- its own (a partition's share of its parent's trigger, a composite's attribute) has it said of the object that it is within.
with within as (
    select 'pg_trigger ' || g.oid || ' 0' as address, 'pg_class ' || g.tgrelid || ' 0' as container, ' of trigger ' || g.tgname as name
      from pg_catalog.pg_trigger g where g.tgparentid <> 0
    union all
    select 'pg_constraint ' || k.oid || ' 0',
           case when k.conrelid <> 0 then 'pg_class ' || k.conrelid else 'pg_type ' || k.contypid end || ' 0', ' of constraint ' || k.conname
      from pg_catalog.pg_constraint k
     where k.conparentid <> 0 or not k.conislocal and k.coninhcount > 0 or k.contype not in ('c', 'f', 'p', 'u', 'x')
    union all
    select 'pg_rewrite ' || r.oid || ' 0', 'pg_class ' || r.ev_class || ' 0', ' of its rule'
      from pg_catalog.pg_rewrite r where r.rulename = '_RETURN' and r.oid >= 16384
    union all
    select 'pg_class ' || c.oid || ' ' || a.attnum, 'pg_type ' || c.reltype || ' 0', ' of attribute ' || a.attname
      from pg_catalog.pg_class c join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum > 0 where c.relkind = 'c'
    union all
    select 'pg_class ' || i.indexrelid || ' 0',
           case when x.relispartition then 'pg_class ' || i.indrelid else 'pg_constraint ' || k.oid end || ' 0',
           case when x.relispartition then ' of index ' || x.relname else ' of its index' end
      from pg_catalog.pg_index i join pg_catalog.pg_class x on x.oid = i.indexrelid
      left join pg_catalog.pg_constraint k on k.conrelid = i.indrelid and k.conindid = i.indexrelid and k.contype in ('p', 'u', 'x')
     where x.relispartition or k.oid is not null)
-- The server's own schemas and extensions are within nothing.
select 'pg_namespace ' || n.oid || ' 0' as address, 'comment' as name, d.description as said
  from pg_catalog.pg_namespace n
  join pg_catalog.pg_description d on d.objoid = n.oid and d.classoid = 'pg_catalog.pg_namespace'::pg_catalog.regclass and d.objsubid = 0
 where n.oid < 16384
union all
select 'pg_extension ' || e.oid || ' 0', 'comment', d.description
  from pg_catalog.pg_extension e
  join pg_catalog.pg_description d on d.objoid = e.oid and d.classoid = 'pg_catalog.pg_extension'::pg_catalog.regclass and d.objsubid = 0
 where e.oid < 16384
union all
select coalesce(w.container, s.address) as address, s.name || coalesce(w.name, '') as name, s.said
  from (select d.classoid::pg_catalog.regclass || ' ' || d.objoid || ' ' || d.objsubid as address, 'comment' as name, d.description as said
          from pg_catalog.pg_description d
         where d.objoid >= 16384
        union all
        select l.classoid::pg_catalog.regclass || ' ' || l.objoid || ' ' || l.objsubid, 'security label by ' || l.provider, l.label
          from pg_catalog.pg_seclabel l
        union all
        select d.classid::pg_catalog.regclass || ' ' || d.objid || ' ' || d.objsubid, 'depends on extension',
               pg_catalog.string_agg(e.extname::text, ', ' order by e.extname)
          from pg_catalog.pg_depend d
          join pg_catalog.pg_extension e on e.oid = d.refobjid and d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
         where d.deptype = 'x'
         group by 1) s
  left join within w on w.address = s.address
