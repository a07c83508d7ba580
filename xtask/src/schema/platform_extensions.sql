-- Extensions with the schema each is in, and the names by which others refer to what it brings.
select e.extname::text, n.nspname::text, array(
         select p.proname::text from pg_catalog.pg_proc p join pg_catalog.pg_depend d
             on d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass and d.objid = p.oid
          where d.deptype = 'e' and d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass and d.refobjid = e.oid
         union
         select t.typname::text from pg_catalog.pg_type t join pg_catalog.pg_depend d
             on d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass and d.objid = t.oid
          where d.deptype = 'e' and d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass and d.refobjid = e.oid
         union
         select o.opcname::text from pg_catalog.pg_opclass o join pg_catalog.pg_depend d
             on d.classid = 'pg_catalog.pg_opclass'::pg_catalog.regclass and d.objid = o.oid
          where d.deptype = 'e' and d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass and d.refobjid = e.oid)
  from pg_catalog.pg_extension e
  join pg_catalog.pg_namespace n on n.oid = e.extnamespace
 where e.extname <> 'plpgsql'
 order by 1
