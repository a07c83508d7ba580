-- Rare kinds: that they exist is all that is noted.
select o.kind,
       array[n.nspname, o.name]::text[] as path,
       o.signature,
       o.catalog || ' ' || o.oid || ' 0' as address,
       null::text as container,
       '{}'::text[] as follows,
       pg_catalog.pg_get_userbyid(o.owner)::text as owner,
       '{}'::text[] as acl,
       '{}'::text[] as default_acl,
       '{}'::text[] as properties
  from (select 'collation' as kind, 'pg_collation' as catalog, oid, collnamespace as namespace, collname as name,
               '' as signature, collowner as owner from pg_catalog.pg_collation
        union all
        select 'conversion', 'pg_conversion', oid, connamespace, conname, '', conowner from pg_catalog.pg_conversion
        union all
        select 'operator', 'pg_operator', oid, oprnamespace, oprname,
               '(' || pg_catalog.format_type(oprleft, null) || ', ' || pg_catalog.format_type(oprright, null) || ')',
               oprowner from pg_catalog.pg_operator
        union all
        select 'operator class', 'pg_opclass', c.oid, opcnamespace, opcname, ' using ' || m.amname, opcowner
          from pg_catalog.pg_opclass c join pg_catalog.pg_am m on m.oid = c.opcmethod
        union all
        select 'operator family', 'pg_opfamily', f.oid, opfnamespace, opfname, ' using ' || m.amname, opfowner
          from pg_catalog.pg_opfamily f join pg_catalog.pg_am m on m.oid = f.opfmethod
        union all
        select 'text search configuration', 'pg_ts_config', oid, cfgnamespace, cfgname, '', cfgowner
          from pg_catalog.pg_ts_config
        union all
        select 'text search dictionary', 'pg_ts_dict', oid, dictnamespace, dictname, '', dictowner
          from pg_catalog.pg_ts_dict
        union all
        select 'text search parser', 'pg_ts_parser', oid, prsnamespace, prsname, '', null from pg_catalog.pg_ts_parser
        union all
        select 'text search template', 'pg_ts_template', oid, tmplnamespace, tmplname, '', null
          from pg_catalog.pg_ts_template) o
  join pg_catalog.pg_namespace n on n.oid = o.namespace
 where n.nspname = any($1)
