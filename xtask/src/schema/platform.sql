-- What lies outside of the migrations' schemas, each object as statements that make a likeness of it: enough to refer to.
-- $1: the schemas to look into; $2: the migrations' own.
with reached as (
    select n.oid, n.nspname, pg_catalog.quote_ident(n.nspname) || '.' as prefix
      from pg_catalog.pg_namespace n where n.nspname = any($1)
), is_of_extension as (
    select d.classid, d.objid from pg_catalog.pg_depend d where d.deptype = 'e'
), likeness (rank, schema, name, owner, statements) as (
    -- Types first: columns and functions are of them.
    select 1, r.nspname, t.typname, t.typowner, array[pg_catalog.format('create type %s%I as enum (%s)', r.prefix, t.typname,
             (select pg_catalog.string_agg(pg_catalog.quote_literal(e.enumlabel), ', ' order by e.enumsortorder)
                from pg_catalog.pg_enum e where e.enumtypid = t.oid))]
      from pg_catalog.pg_type t join reached r on r.oid = t.typnamespace
     where t.typtype = 'e' and not exists (select from is_of_extension x
             where x.classid = 'pg_catalog.pg_type'::pg_catalog.regclass and x.objid = t.oid)
    union all
    select 2, r.nspname, t.typname, t.typowner, array[pg_catalog.format('create domain %s%I as %s', r.prefix, t.typname,
             pg_catalog.format_type(t.typbasetype, t.typtypmod))]
      from pg_catalog.pg_type t join reached r on r.oid = t.typnamespace
     where t.typtype = 'd' and not exists (select from is_of_extension x
             where x.classid = 'pg_catalog.pg_type'::pg_catalog.regclass and x.objid = t.oid)
    union all
    -- A column at a time: one of a type that cannot be had leaves the others.
    select case when c.relkind = 'c' then 3 else 4 end, r.nspname, c.relname, c.relowner, array[
             case when c.relkind = 'c' then pg_catalog.format('create type %s%I as ()', r.prefix, c.relname)
                                       else pg_catalog.format('create table if not exists %s%I ()', r.prefix, c.relname) end]
           || array(select pg_catalog.format(
                        case when c.relkind = 'c' then 'alter type %s%I add attribute %I %s' else 'alter table %s%I add column if not exists %I %s%s' end,
                        r.prefix, c.relname, a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod),
                        case when a.attnotnull then ' not null' else '' end)
                      from pg_catalog.pg_attribute a
                     where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped order by a.attnum)
           || array(select pg_catalog.format('alter table %s%I add constraint %I %s', r.prefix, c.relname, k.conname,
                                             pg_catalog.pg_get_constraintdef(k.oid))
                      from pg_catalog.pg_constraint k where k.conrelid = c.oid and k.contype in ('p', 'u'))
           || array(select pg_catalog.pg_get_indexdef(i.indexrelid)
                      from pg_catalog.pg_index i
                     where i.indrelid = c.oid and i.indisunique
                       and not exists (select from pg_catalog.pg_constraint k where k.conindid = i.indexrelid))
      from pg_catalog.pg_class c join reached r on r.oid = c.relnamespace
     where c.relkind in ('r', 'p', 'f', 'c') and not exists (select from is_of_extension x
             where x.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and x.objid = c.oid)
    union all
    select 5, r.nspname, c.relname, c.relowner, array[pg_catalog.format('create view %s%I as select %s', r.prefix, c.relname,
             (select pg_catalog.string_agg(pg_catalog.format('null::%s as %I',
                         pg_catalog.format_type(a.atttypid, a.atttypmod), a.attname), ', ' order by a.attnum)
                from pg_catalog.pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped))]
      from pg_catalog.pg_class c join reached r on r.oid = c.relnamespace
     where c.relkind in ('v', 'm') and not exists (select from is_of_extension x
             where x.classid = 'pg_catalog.pg_class'::pg_catalog.regclass and x.objid = c.oid)
    union all
    select 6, r.nspname, c.relname, c.relowner, array[pg_catalog.format('create sequence if not exists %s%I', r.prefix, c.relname)]
      from pg_catalog.pg_class c join reached r on r.oid = c.relnamespace
     where c.relkind = 'S'
    union all
    -- It answers with nothing: the signature is what others are built on. Those of an extension come last, for where the
    -- extension itself cannot be had.
    select case when exists (select from is_of_extension x
                    where x.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass and x.objid = p.oid) then 8 else 7 end,
           r.nspname, p.proname, p.proowner, array[pg_catalog.format('create %s %s%I(%s)%s language plpgsql %s as %L',
             case p.prokind when 'p' then 'procedure' else 'function' end, r.prefix, p.proname,
             pg_catalog.pg_get_function_arguments(p.oid),
             ' returns ' || pg_catalog.pg_get_function_result(p.oid),
             case when p.prokind = 'p' then '' else
                 case p.provolatile when 'i' then 'immutable' when 's' then 'stable' else '' end
                 || case when p.proisstrict then ' strict' else '' end end,
             case when p.prokind = 'p' or p.proretset or p.proargmodes && '{o,b,t}'::"char"[]
                       or p.prorettype in ('void'::pg_catalog.regtype, 'event_trigger'::pg_catalog.regtype)
                  then 'begin return; end' else 'begin return null; end' end)]
      from pg_catalog.pg_proc p join reached r on r.oid = p.pronamespace
     where p.prokind in ('f', 'p')
)
select l.schema::text, l.name::text, pg_catalog.pg_get_userbyid(l.owner)::text = current_user, l.statements
  from likeness l order by l.rank, 1, 2
