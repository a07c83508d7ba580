-- Schemas. Their owner and grants are what `migrate reset` loses: it drops and re-creates the schema.
select 'schema' as kind,
       array[n.nspname]::text[] as path,
       '' as signature,
       'pg_namespace ' || n.oid || ' 0' as address,
       null::text as container,
       '{}'::text[] as follows,
       pg_catalog.pg_get_userbyid(n.nspowner)::text as owner,
       coalesce(n.nspacl, pg_catalog.acldefault('n', n.nspowner))::text[] as acl,
       pg_catalog.acldefault('n', n.nspowner)::text[] as default_acl,
       array[
         'publications', (select pg_catalog.string_agg(p.pubname, ', ' order by p.pubname) -- since 15
                            from pg_catalog.pg_publication_namespace pn -- since 15
                            join pg_catalog.pg_publication p on p.oid = pn.pnpubid -- since 15
                           where pn.pnnspid = n.oid), -- since 15
         null, null
       ]::text[] as properties
  from pg_catalog.pg_namespace n
 where n.nspname = any($1)
