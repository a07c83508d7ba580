-- Types that someone named: enums, domains, composites, ranges and base types. Row types, array types and multiranges
-- follow from others.
select case t.typtype when 'd' then 'domain' else 'type' end as kind,
       array[n.nspname, t.typname]::text[] as path,
       '' as signature,
       'pg_type ' || t.oid || ' 0' as address,
       null::text as container,
       '{}'::text[] as follows,
       pg_catalog.pg_get_userbyid(t.typowner)::text as owner,
       coalesce(t.typacl, pg_catalog.acldefault('T', t.typowner))::text[] as acl,
       pg_catalog.acldefault('T', t.typowner)::text[] as default_acl,
       array[
         'form', case t.typtype when 'e' then 'enum' when 'c' then 'composite' when 'r' then 'range'
                                when 'b' then 'base' when 'p' then 'shell' end,
         'base', case when t.typtype = 'b' then pg_catalog.concat_ws(' ', t.typinput, t.typoutput, t.typreceive, t.typsend, t.typmodin,
                        t.typmodout, t.typanalyze, pg_catalog.to_jsonb(t)->>'typsubscript', t.typlen, t.typbyval, t.typalign, t.typstorage,
                        t.typcategory, t.typispreferred, t.typdelim, pg_catalog.format_type(nullif(t.typelem, 0), null)) end,
         'labels', (select pg_catalog.string_agg(pg_catalog.quote_literal(e.enumlabel), ', ' order by e.enumsortorder)
                      from pg_catalog.pg_enum e where e.enumtypid = t.oid),
         'attributes', (select pg_catalog.string_agg(pg_catalog.quote_ident(a.attname) || ' '
                                 || pg_catalog.format_type(a.atttypid, a.atttypmod)
                                 || coalesce(' collate ' || (select nullif(co.oid, b.typcollation)::pg_catalog.regcollation::text
                                                               from pg_catalog.pg_collation co where co.oid = a.attcollation), ''),
                                 ', ' order by a.attnum)
                          from pg_catalog.pg_attribute a join pg_catalog.pg_type b on b.oid = a.atttypid
                         where t.typtype = 'c' and a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped),
         'type', case when t.typtype = 'd' then pg_catalog.format_type(t.typbasetype, t.typtypmod) end,
         'collation', (select pg_catalog.quote_ident(cn.nspname) || '.' || pg_catalog.quote_ident(co.collname)
                         from pg_catalog.pg_collation co
                         join pg_catalog.pg_namespace cn on cn.oid = co.collnamespace
                         join pg_catalog.pg_type b on b.oid = t.typbasetype
                        where t.typtype = 'd' and co.oid = t.typcollation and t.typcollation <> b.typcollation),
         'nullable', case when t.typtype = 'd' then case when t.typnotnull then 'no' else 'yes' end end,
         'default', coalesce(pg_catalog.pg_get_expr(t.typdefaultbin, 0), t.typdefault),
         'range of', (select pg_catalog.concat_ws(', ',
                               pg_catalog.format_type(r.rngsubtype, null),
                               'multirange ' || pg_catalog.format_type(r.rngmultitypid, null),
                               'operator class ' || (select pg_catalog.format('%I.%I', o.opcnamespace::pg_catalog.regnamespace, o.opcname) from pg_catalog.pg_opclass o
                                                      where o.oid = r.rngsubopc),
                               'collation ' || (select pg_catalog.format('%I.%I', co.collnamespace::pg_catalog.regnamespace, co.collname) from pg_catalog.pg_collation co
                                                 where co.oid = r.rngcollation),
                               'canonical ' || nullif(r.rngcanonical::oid, 0)::pg_catalog.regprocedure::text,
                               'difference ' || nullif(r.rngsubdiff::oid, 0)::pg_catalog.regprocedure::text)
                        from pg_catalog.pg_range r where r.rngtypid = t.oid)
       ]::text[] as properties
  from pg_catalog.pg_type t
  join pg_catalog.pg_namespace n on n.oid = t.typnamespace
 where n.nspname = any($1)
   and (t.typtype in ('e', 'd', 'r', 'p')
        or t.typtype = 'c' and exists (select from pg_catalog.pg_class c where c.oid = t.typrelid and c.relkind = 'c')
        or t.typtype = 'b' and not exists (select from pg_catalog.pg_type e where e.typarray = t.oid))
