-- What is said of objects of every kind beside them, by their address: comments, security labels, and the extensions that they
-- go with. Comments that initdb wrote are not of interest, but for the one on schema "public".
select d.classoid::pg_catalog.regclass || ' ' || d.objoid || ' ' || d.objsubid as address, 'comment' as name, d.description
  from pg_catalog.pg_description d
 where d.objoid >= 16384 or d.classoid = 'pg_catalog.pg_namespace'::pg_catalog.regclass
union all
select l.classoid::pg_catalog.regclass || ' ' || l.objoid || ' ' || l.objsubid, 'security label by ' || l.provider, l.label
  from pg_catalog.pg_seclabel l
union all
select d.classid::pg_catalog.regclass || ' ' || d.objid || ' ' || d.objsubid, 'depends on extension',
       pg_catalog.string_agg(e.extname::text, ', ' order by e.extname)
  from pg_catalog.pg_depend d
  join pg_catalog.pg_extension e on e.oid = d.refobjid and d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
 where d.deptype = 'x'
 group by 1
