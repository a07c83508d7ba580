-- What `drop schema ... cascade` of the schemas $1 reaches outside of them, found as the server finds it: from the schema to all that depends on it, and
-- from a part to the whole that cannot be without it (a view's rule, a generated column's expression, an extension's member). Its own
-- objects, and what is only part of another row of the answer, are left out.
with recursive gone(classid, objid, objsubid) as (
  select 'pg_catalog.pg_namespace'::pg_catalog.regclass::oid, n.oid, 0 from pg_catalog.pg_namespace n where n.nspname = any($1)
  union
  select next.classid, next.objid, next.objsubid
    from gone, lateral (
      select d.classid, d.objid, d.objsubid from pg_catalog.pg_depend d
       where d.refclassid = gone.classid and d.refobjid = gone.objid
         and (gone.objsubid = 0 or d.refobjsubid = gone.objsubid)
      union all
      select d.refclassid, d.refobjid, d.refobjsubid from pg_catalog.pg_depend d
       where d.classid = gone.classid and d.objid = gone.objid and d.objsubid = gone.objsubid and d.deptype in ('i', 'e')) next),
found as (
  select g.*, i.type, i.identity, c.oid as relid, c.relkind, c.relowner, k.oid as constraint_id, t.oid as trigger_id, r.oid as rule_id,
         p.oid as policy_id, f.oid as default_id, pr.oid as published_id, fn.oid as function_id,
         coalesce(n.nspname::text, i.schema, en.nspname::text, case when i.type = 'schema' then i.name end) as home
    from gone g
    cross join lateral pg_catalog.pg_identify_object(g.classid, g.objid, g.objsubid) i
    left join pg_catalog.pg_trigger t on g.classid = 'pg_catalog.pg_trigger'::pg_catalog.regclass and t.oid = g.objid
    left join pg_catalog.pg_rewrite r on g.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass and r.oid = g.objid
    left join pg_catalog.pg_policy p on g.classid = 'pg_catalog.pg_policy'::pg_catalog.regclass and p.oid = g.objid
    left join pg_catalog.pg_attrdef f on g.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass and f.oid = g.objid
    left join pg_catalog.pg_constraint k on g.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass and k.oid = g.objid
    left join pg_catalog.pg_publication_rel pr on g.classid = 'pg_catalog.pg_publication_rel'::pg_catalog.regclass and pr.oid = g.objid
    left join pg_catalog.pg_proc fn on g.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass and fn.oid = g.objid
    left join pg_catalog.pg_extension e on g.classid = 'pg_catalog.pg_extension'::pg_catalog.regclass and e.oid = g.objid
    left join pg_catalog.pg_namespace en on en.oid = e.extnamespace
    left join pg_catalog.pg_class c on c.oid = coalesce(
      case when g.classid = 'pg_catalog.pg_class'::pg_catalog.regclass then g.objid end,
      t.tgrelid, r.ev_class, p.polrelid, f.adrelid, nullif(k.conrelid, 0))
    left join pg_catalog.pg_amop ao on g.classid = 'pg_catalog.pg_amop'::pg_catalog.regclass and ao.oid = g.objid
    left join pg_catalog.pg_amproc ap on g.classid = 'pg_catalog.pg_amproc'::pg_catalog.regclass and ap.oid = g.objid
    left join pg_catalog.pg_opfamily fam on fam.oid = coalesce(ao.amopfamily, ap.amprocfamily)
    left join pg_catalog.pg_namespace n on n.oid = coalesce(c.relnamespace, k.connamespace, fam.opfnamespace)
   where g.classid <> 'pg_catalog.pg_default_acl'::pg_catalog.regclass),
outside as (
  select * from found f
   where (f.home is null or f.home <> all($1)) and coalesce(f.home, '') !~ '^pg_(temp|toast)'
     -- A table's own type, an index of a partition, a key's triggers; an index of a column that goes.
     and not exists (
       select from pg_catalog.pg_depend d
         join found w on w.classid = d.refclassid and w.objid = d.refobjid and w.objsubid in (0, d.refobjsubid)
        where d.classid = f.classid and d.objid = f.objid and d.objsubid = f.objsubid
          and (d.deptype in ('i', 'P', 'S', 'e')
               or d.deptype = 'a' and w.home <> all($1) and w.relkind in ('r', 'p', 'f')
                  and not (f.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and f.relkind in ('r', 'p', 'f'))))
     and (f.objsubid = 0 or not exists (
       select from found w where w.classid = f.classid and w.objid = f.objid and w.objsubid = 0)))
select o.type, o.identity, made.statements, made.validate, stake.sql
  from outside o
  left join lateral (
    -- The statements, as far as the role may run them and they say everything.
    select array[pg_catalog.pg_get_triggerdef(t.oid)] || case t.tgenabled when 'O' then null else array[pg_catalog.format(
             'alter table %s %s trigger %I', o.relid::pg_catalog.regclass,
             case t.tgenabled when 'D' then 'disable' when 'R' then 'enable replica' else 'enable always' end, t.tgname)] end as statements,
           null as validate
      from pg_catalog.pg_trigger t
     where t.oid = o.trigger_id and pg_catalog.has_table_privilege(t.tgrelid, 'trigger')
       and (t.tgenabled = 'O' or pg_catalog.pg_has_role(o.relowner, 'usage'))
    union all
    select array[pg_catalog.format('alter table %s add constraint %I %s', o.relid::pg_catalog.regclass, k.conname,
             pg_catalog.pg_get_constraintdef(k.oid)
             || case when k.convalidated and k.contype in ('f', 'c') and o.relkind <> 'p' then ' NOT VALID' else '' end)],
           case when k.convalidated and k.contype in ('f', 'c') and o.relkind <> 'p' then pg_catalog.format(
             'alter table %s validate constraint %I', o.relid::pg_catalog.regclass, k.conname) end
      from pg_catalog.pg_constraint k
     where k.oid = o.constraint_id and k.conrelid <> 0 and k.conparentid = 0 and pg_catalog.pg_has_role(o.relowner, 'usage')
    union all
    select array[pg_catalog.format('alter table %s alter column %I set default %s', o.relid::pg_catalog.regclass, a.attname,
             pg_catalog.pg_get_expr(f.adbin, f.adrelid))], null
      from pg_catalog.pg_attrdef f join pg_catalog.pg_attribute a on a.attrelid = f.adrelid and a.attnum = f.adnum
     where f.oid = o.default_id and a.attgenerated = '' and pg_catalog.pg_has_role(o.relowner, 'usage')
    union all
    select array[pg_catalog.format('create policy %I on %s as %s for %s to %s', p.polname, o.relid::pg_catalog.regclass,
             case when p.polpermissive then 'permissive' else 'restrictive' end,
             case p.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' when 'd' then 'delete' else 'all' end,
             (select pg_catalog.string_agg(case role when 0 then 'public' else pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(role)) end, ', ')
                from unnest(p.polroles) role))
             || coalesce(' using (' || pg_catalog.pg_get_expr(p.polqual, p.polrelid) || ')', '')
             || coalesce(' with check (' || pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid) || ')', '')], null
      from pg_catalog.pg_policy p where p.oid = o.policy_id and pg_catalog.pg_has_role(o.relowner, 'usage')
    union all
    select array[pg_catalog.pg_get_ruledef(r.oid)], null
      from pg_catalog.pg_rewrite r
     where r.oid = o.rule_id and r.ev_enabled = 'O' and pg_catalog.pg_has_role(o.relowner, 'usage')
    union all
    select array[pg_catalog.pg_get_indexdef(o.relid)], null
     where o.relkind = 'i' and o.objsubid = 0 and pg_catalog.pg_has_role(o.relowner, 'usage')
    union all
    select array[pg_catalog.format('create %s %s%s as %s', case c.relkind when 'm' then 'materialized view' else 'view' end,
             c.oid::pg_catalog.regclass, ' with (' || pg_catalog.array_to_string(c.reloptions, ', ') || ')',
             pg_catalog.rtrim(pg_catalog.pg_get_viewdef(c.oid), ';') || case when c.relispopulated then '' else ' with no data' end)]
           || case when c.relowner = current_user::pg_catalog.regrole then null else array[pg_catalog.format(
                'alter table %s owner to %I', c.oid::pg_catalog.regclass, pg_catalog.pg_get_userbyid(c.relowner))] end
           || (select pg_catalog.array_agg(pg_catalog.format('grant %s on %s to %s%s', pg_catalog.lower(a.privilege_type), c.oid::pg_catalog.regclass,
                 case a.grantee when 0 then 'public' else pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) end,
                 case when a.is_grantable then ' with grant option' else '' end) order by a.grantee, a.privilege_type)
                 from pg_catalog.aclexplode(c.relacl) a where a.grantee <> c.relowner), null
      from pg_catalog.pg_class c
     where c.oid = o.relid and o.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and c.relkind in ('v', 'm') and o.objsubid = 0
       and pg_catalog.pg_has_role(c.relowner, 'usage') and pg_catalog.has_schema_privilege(c.relnamespace, 'create')
       and not exists (select from pg_catalog.pg_attribute a where a.attrelid = c.oid and a.attacl is not null)
    union all
    select array[pg_catalog.pg_get_functiondef(p.oid)]
           || case when p.proowner = current_user::pg_catalog.regrole then null else array[pg_catalog.format(
                'alter routine %s owner to %I', p.oid::pg_catalog.regprocedure, pg_catalog.pg_get_userbyid(p.proowner))] end
           || case when p.proacl is null then null else array[pg_catalog.format('revoke all on routine %s from public', p.oid::pg_catalog.regprocedure)] end
           || (select pg_catalog.array_agg(pg_catalog.format('grant execute on routine %s to %s%s', p.oid::pg_catalog.regprocedure,
                 case a.grantee when 0 then 'public' else pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) end,
                 case when a.is_grantable then ' with grant option' else '' end) order by a.grantee)
                 from pg_catalog.aclexplode(p.proacl) a where a.grantee <> p.proowner), null
      from pg_catalog.pg_proc p
     where p.oid = o.function_id and p.prokind in ('f', 'p') and pg_catalog.pg_has_role(p.proowner, 'usage')
       and pg_catalog.has_schema_privilege(p.pronamespace, 'create')
    union all
    select array[pg_catalog.format('alter publication %I add table %s', b.pubname,
             case when partial.row is null then pr.prrelid::pg_catalog.regclass::text
                  else pg_catalog.format('%s%s%s', pr.prrelid::pg_catalog.regclass, partial.columns, partial.filter) end)], null
      from pg_catalog.pg_publication_rel pr
      join pg_catalog.pg_publication b on b.oid = pr.prpubid and pg_catalog.pg_has_role(b.pubowner, 'usage')
      join pg_catalog.pg_class c on c.oid = pr.prrelid
      -- These two columns came with Postgres 15.
      cross join lateral (select nullif(pg_catalog.to_jsonb(pr) operator(pg_catalog.->>) 'prattrs', '') as attrs,
                                 pg_catalog.to_jsonb(pr) operator(pg_catalog.->>) 'prqual' as qual) has
      left join lateral (
        select true as row, case when has.attrs is null then '' else ' (' || (
                 select pg_catalog.string_agg(pg_catalog.quote_ident(name), ', ')
                   from pg_catalog.jsonb_array_elements_text(pg_catalog.to_jsonb(pt) operator(pg_catalog.->) 'attnames') name) || ')' end as columns,
               case when has.qual is null then '' else ' where (' || (pg_catalog.to_jsonb(pt) operator(pg_catalog.->>) 'rowfilter') || ')' end as filter
          from pg_catalog.pg_publication_tables pt, pg_catalog.pg_namespace pn
         where (has.attrs is not null or has.qual is not null) and pt.pubname = b.pubname
           and pn.oid = c.relnamespace and pt.schemaname = pn.nspname and pt.tablename = c.relname) partial on true
     where pr.oid = o.published_id and (partial.row or has.attrs is null and has.qual is null)
    union all
    select array[pg_catalog.format('alter publication %s add tables in schema %I', pg_catalog.quote_ident(a.object_args[1]), a.object_names[1])], null
      from pg_catalog.pg_identify_object_as_address(o.classid, o.objid, o.objsubid) a, pg_catalog.pg_roles me
     where o.type = 'publication namespace' and me.rolname = current_user and me.rolsuper) made on true
  left join lateral (
    select case when a.attname is not null then pg_catalog.format('select pg_catalog.count(%I) from %s', a.attname, o.relid::pg_catalog.regclass)
                when o.objsubid = 0 then pg_catalog.format('select pg_catalog.count(*) from %s', o.relid::pg_catalog.regclass) end as sql
      from pg_catalog.pg_class c left join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum = o.objsubid and o.objsubid <> 0
     where o.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and c.oid = o.relid and c.relkind in ('r', 'p')) stake on true
 order by o.objid, o.objsubid
