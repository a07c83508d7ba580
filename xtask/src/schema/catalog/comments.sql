-- Comments, by the address of what they describe. Those that initdb wrote are not of interest, but for the one on
-- schema "public".
select d.classoid::pg_catalog.regclass || ' ' || d.objoid || ' ' || d.objsubid as address, d.description
  from pg_catalog.pg_description d
 where d.objoid >= 16384 or d.classoid = 'pg_catalog.pg_namespace'::pg_catalog.regclass
