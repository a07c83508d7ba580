-- What comes with something else and is no difference of its own: what an extension owns, and the constructor functions
-- and the cast of a range type.
select d.classid::pg_catalog.regclass || ' ' || d.objid || ' 0' as address
  from pg_catalog.pg_depend d
 where d.deptype = 'e' or d.deptype = 'i' and d.classid in ('pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_cast'::pg_catalog.regclass)
