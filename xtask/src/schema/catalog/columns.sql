-- Columns of tables; of views only those that carry something of their own, for the definition names the others.
select 'column' as kind,
       array[n.nspname, c.relname, a.attname]::text[] as path,
       '' as signature,
       'pg_class ' || c.oid || ' ' || a.attnum as address,
       'pg_class ' || c.oid || ' 0' as container,
       case when a.attinhcount > 0 then array(
         select 'pg_class ' || p.attrelid || ' ' || p.attnum
           from pg_catalog.pg_inherits i
           join pg_catalog.pg_attribute p on p.attrelid = i.inhparent and p.attname = a.attname
          where i.inhrelid = c.oid) else '{}'::text[] end as follows,
       null::text as owner,
       coalesce(a.attacl::text[], '{}'::text[]) as acl,
       '{}'::text[] as default_acl,
       array[
         'position', pg_catalog.row_number() over (partition by a.attrelid order by a.attnum),
         'type', pg_catalog.format_type(a.atttypid, a.atttypmod),
         'collation', case when a.attcollation <> t.typcollation then
            (select pg_catalog.quote_ident(cn.nspname) || '.' || pg_catalog.quote_ident(co.collname)
               from pg_catalog.pg_collation co
               join pg_catalog.pg_namespace cn on cn.oid = co.collnamespace where co.oid = a.attcollation) end,
         'nullable', case when a.attnotnull then 'no' else 'yes' end,
         'default', pg_catalog.pg_get_expr(d.adbin, d.adrelid),
         'generated', case a.attgenerated when 's' then 'stored' when 'v' then 'virtual' end,
         'identity', case a.attidentity when 'a' then 'always' when 'd' then 'by default' end,
         'not null', (select nullif(pg_catalog.concat_ws(', ', case when not k.convalidated then 'not valid' end, -- since 18
                                                         case when k.connoinherit then 'no inherit' end), '') -- since 18
                        from pg_catalog.pg_constraint k -- since 18
                       where k.conrelid = c.oid and k.contype = 'n' and a.attnum = any(k.conkey)), -- since 18
         -- It stays when the parent's goes.
         'also its own', case when a.attinhcount > 0 and a.attislocal then 'yes' end,
         'storage', case when a.attstorage <> t.typstorage then
            case a.attstorage when 'p' then 'plain' when 'e' then 'external' when 'm' then 'main'
                              else 'extended' end end,
         'compression', case a.attcompression when 'p' then 'pglz' when 'l' then 'lz4' end,
         'statistics target', nullif(a.attstattarget, -1),
         'options', pg_catalog.array_to_string(a.attoptions, ', '),
         'foreign options', pg_catalog.array_to_string(a.attfdwoptions, ', ')
       ]::text[] as properties
  from pg_catalog.pg_attribute a
  join pg_catalog.pg_class c on c.oid = a.attrelid
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  join pg_catalog.pg_type t on t.oid = a.atttypid
  left join pg_catalog.pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
 where n.nspname = any($1) and a.attnum > 0 and not a.attisdropped
   -- Says nothing new, but lets the server leave the columns of its own tables unread.
   and c.relnamespace = any(array(select s.oid from pg_catalog.pg_namespace s where s.nspname = any($1)))
   and (c.relkind in ('r', 'p', 'f')
        or c.relkind in ('v', 'm') and (a.attacl is not null or d.oid is not null or a.attoptions is not null
           or a.attstattarget >= 0 or a.attstorage <> t.typstorage or a.attcompression in ('p', 'l')
           or exists (select from pg_catalog.pg_seclabel x
                       where x.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass
                         and x.objoid = c.oid and x.objsubid = a.attnum)
           or exists (select from pg_catalog.pg_description x
                       where x.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass
                         and x.objoid = c.oid and x.objsubid = a.attnum)))
