-- Tables, views, materialized views and foreign tables. Sequences have a file of their own.
select case c.relkind when 'v' then 'view' when 'm' then 'materialized view' when 'f' then 'foreign table'
                      else 'table' end as kind,
       array[n.nspname, c.relname]::text[] as path,
       '' as signature,
       'pg_class ' || c.oid || ' 0' as address,
       null::text as container,
       '{}'::text[] as follows,
       pg_catalog.pg_get_userbyid(c.relowner)::text as owner,
       coalesce(c.relacl, pg_catalog.acldefault('r', c.relowner))::text[] as acl,
       pg_catalog.acldefault('r', c.relowner)::text[] as default_acl,
       array[
         'definition', case when c.relkind in ('v', 'm') then pg_catalog.pg_get_viewdef(c.oid) end,
         'persistence', case c.relpersistence when 'u' then 'unlogged' when 't' then 'temporary' end,
         'access method', (select am.amname from pg_catalog.pg_am am where am.oid = c.relam and am.amname <> 'heap'),
         'tablespace', case when c.reltablespace <> 0 then
            (select t.spcname from pg_catalog.pg_tablespace t where t.oid = c.reltablespace) end,
         'storage parameters', pg_catalog.array_to_string(c.reloptions, ', '),
         'toast storage parameters', (select pg_catalog.array_to_string(t.reloptions, ', ')
                                        from pg_catalog.pg_class t where t.oid = c.reltoastrelid),
         'populated', case when c.relkind = 'm' and not c.relispopulated then 'no' end,
         'access to its row type', (
            select pg_catalog.string_agg(g.role || g.may_grant, ', ' order by g.role)
              from (select case when a.grantee = 0 then 'PUBLIC'
                                when pg_catalog.pg_get_userbyid(a.grantee) = current_user then '<migrating role>'
                                else pg_catalog.pg_get_userbyid(a.grantee)::text end as role,
                           case when a.is_grantable then ' (may grant)' else '' end as may_grant
                      from pg_catalog.pg_type y, pg_catalog.aclexplode(y.typacl) a where y.oid = c.reltype) g),
         'row security', case when c.relrowsecurity and c.relforcerowsecurity then 'enabled and forced'
                              when c.relrowsecurity then 'enabled' when c.relforcerowsecurity then 'forced' end,
         'partition key', case when c.relkind = 'p' then pg_catalog.pg_get_partkeydef(c.oid) end,
         'partition bound', pg_catalog.pg_get_expr(c.relpartbound, c.oid),
         'parents', (select pg_catalog.string_agg(i.inhparent::pg_catalog.regclass::text
                                                        || case when i.inhdetachpending then ' (detaching)' else '' end, ', '
                                                        order by i.inhseqno)
                       from pg_catalog.pg_inherits i where i.inhrelid = c.oid),
         'row type', case when c.reloftype <> 0 then pg_catalog.format_type(c.reloftype, null) end,
         'replica identity', case c.relreplident when 'n' then 'nothing' when 'f' then 'full' when 'i' then
            'index ' || (select i.indexrelid::pg_catalog.regclass::text from pg_catalog.pg_index i
                          where i.indrelid = c.oid and i.indisreplident) end,
         'clustered on', (select i.indexrelid::pg_catalog.regclass::text from pg_catalog.pg_index i
                           where i.indrelid = c.oid and i.indisclustered),
         'foreign server', (select s.srvname
                                     || coalesce(' (' || pg_catalog.array_to_string(f.ftoptions, ', ') || ')', '')
                              from pg_catalog.pg_foreign_table f
                              join pg_catalog.pg_foreign_server s on s.oid = f.ftserver where f.ftrelid = c.oid),
         'publications', (select pg_catalog.string_agg(p.pubname
                                   || coalesce(' (' || (select pg_catalog.string_agg(a.attname, ', ' order by a.attnum) -- since 15
                                                          from pg_catalog.pg_attribute a -- since 15
                                                         where a.attrelid = c.oid and a.attnum = any(pr.prattrs)) || ')', '') -- since 15
                                   || coalesce(' where ' || pg_catalog.pg_get_expr(pr.prqual, pr.prrelid), '') -- since 15
                                   , ', ' order by p.pubname)
                            from pg_catalog.pg_publication_rel pr
                            join pg_catalog.pg_publication p on p.oid = pr.prpubid where pr.prrelid = c.oid),
         'triggers unlike the parent''s', case when c.relispartition then (
            select pg_catalog.string_agg(distinct s.name || ' fires ' || case s.state when 'D' then 'never' when 'R' then 'on replicas only'
                                                                       when 'A' then 'always' else 'as usual' end, ', ')
              from (select coalesce('constraint ' || k.conname, g.tgname::text) as name, g.tgenabled as state
                      from pg_catalog.pg_trigger g
                      left join pg_catalog.pg_constraint k on k.oid = g.tgconstraint and g.tgisinternal
                      left join pg_catalog.pg_trigger p on p.oid = g.tgparentid
                     where g.tgrelid = c.oid and g.tgenabled <> coalesce(p.tgenabled, 'O')
                       and (g.tgparentid <> 0 or g.tgisinternal and k.conparentid <> 0)) s) end,
         'indexes unlike the parent''s', case when c.relispartition then (
            select pg_catalog.string_agg(pg_catalog.concat_ws(' ', x.relname, '(' || pg_catalog.array_to_string(x.reloptions, ', ') || ')',
                                           case when not i.indisvalid then 'invalid' end,
                                           (select 'tablespace ' || t.spcname from pg_catalog.pg_tablespace t where t.oid = x.reltablespace),
                                           'statistics targets ' || s.targets), ', ' order by x.relname)
              from pg_catalog.pg_index i join pg_catalog.pg_class x on x.oid = i.indexrelid and x.relispartition
              join pg_catalog.pg_inherits h on h.inhrelid = x.oid join pg_catalog.pg_class px on px.oid = h.inhparent
              cross join lateral (select pg_catalog.string_agg(a.attnum || ': ' || a.attstattarget, ', ' order by a.attnum) as targets
                                    from pg_catalog.pg_attribute a where a.attrelid = x.oid and a.attstattarget >= 0) s
             where i.indrelid = c.oid and (x.reloptions is distinct from px.reloptions or x.reltablespace <> px.reltablespace
                   or not i.indisvalid or s.targets is not null)) end
       ]::text[] as properties
  from pg_catalog.pg_class c
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
 where n.nspname = any($1) and c.relkind in ('r', 'p', 'v', 'm', 'f') and c.relname <> '_prisma_migrations'
