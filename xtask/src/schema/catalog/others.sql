-- Rare kinds that lie in a schema. The schemas come first: the server has hundreds of operators of its own.
with ours as (select n.oid, n.nspname from pg_catalog.pg_namespace n where n.nspname = any($1))
select o.kind,
       array[n.nspname, o.name]::text[] as path,
       o.signature,
       o.catalog || ' ' || o.oid || ' 0' as address,
       null::text as container,
       '{}'::text[] as follows,
       pg_catalog.pg_get_userbyid(o.owner)::text as owner,
       '{}'::text[] as acl,
       '{}'::text[] as default_acl,
       o.properties
  from (select 'collation' as kind, 'pg_collation' as catalog, c.oid, collnamespace as namespace, collname as name,
               '' as signature, collowner as owner,
               -- The locale of ICU has had three names, the first of which was that of the C library too.
               array['provider', collprovider::text, 'deterministic', collisdeterministic::text,
                     'locale', coalesce(j->>'colllocale', j->>'colliculocale',
                                        pg_catalog.concat_ws(' ', collcollate, nullif(collctype, collcollate))),
                     'rules', j->>'collicurules']::text[] as properties
          from ours join pg_catalog.pg_collation c on collnamespace = ours.oid cross join pg_catalog.to_jsonb(c) j
        union all
        select 'conversion', 'pg_conversion', c.oid, connamespace, conname, '', conowner,
               array['from', pg_catalog.pg_encoding_to_char(conforencoding), 'to', pg_catalog.pg_encoding_to_char(contoencoding),
                     'function', conproc::text, 'default', condefault::text]::text[]
          from ours join pg_catalog.pg_conversion c on connamespace = ours.oid
        union all
        select 'operator', 'pg_operator', o.oid, oprnamespace, oprname,
               '(' || pg_catalog.format_type(oprleft, null) || ', ' || pg_catalog.format_type(oprright, null) || ')', oprowner,
               array['function', oprcode::text, 'result', pg_catalog.format_type(nullif(oprresult, 0), null),
                     'restrict', oprrest::text, 'join', oprjoin::text,
                     'commutator', nullif(oprcom, 0)::pg_catalog.regoperator::text,
                     'negator', nullif(oprnegate, 0)::pg_catalog.regoperator::text,
                     'hashes', oprcanhash::text, 'merges', oprcanmerge::text]::text[]
          from ours join pg_catalog.pg_operator o on oprnamespace = ours.oid
        union all
        select 'operator class', 'pg_opclass', c.oid, opcnamespace, opcname, ' using ' || m.amname, opcowner,
               array['type', pg_catalog.format_type(opcintype, null), 'stored as', pg_catalog.format_type(nullif(opckeytype, 0), null),
                     'family', pg_catalog.format('%I.%I', f.opfnamespace::pg_catalog.regnamespace, f.opfname), 'default', opcdefault::text]::text[]
          from ours join pg_catalog.pg_opclass c on opcnamespace = ours.oid
          join pg_catalog.pg_am m on m.oid = c.opcmethod join pg_catalog.pg_opfamily f on f.oid = c.opcfamily
        union all
        select 'operator family', 'pg_opfamily', f.oid, opfnamespace, opfname, ' using ' || m.amname, opfowner,
               array[
                 'operators', (select pg_catalog.string_agg(pg_catalog.concat_ws(' ', o.amopstrategy, o.amopopr::pg_catalog.regoperator,
                                        o.amoppurpose, nullif(pg_catalog.concat_ws('.', s.opfnamespace::pg_catalog.regnamespace, s.opfname), '')), ', '
                                        order by o.amopstrategy, o.amopopr::pg_catalog.regoperator::text)
                                 from pg_catalog.pg_amop o left join pg_catalog.pg_opfamily s on s.oid = o.amopsortfamily
                                where o.amopfamily = f.oid),
                 'functions', (select pg_catalog.string_agg(pg_catalog.format('%s %s for %s, %s', p.amprocnum, p.amproc::pg_catalog.regprocedure,
                                        pg_catalog.format_type(p.amproclefttype, null), pg_catalog.format_type(p.amprocrighttype, null)), ', '
                                        order by p.amprocnum, p.amproc::pg_catalog.regprocedure::text,
                                        pg_catalog.format_type(p.amproclefttype, null), pg_catalog.format_type(p.amprocrighttype, null))
                                 from pg_catalog.pg_amproc p where p.amprocfamily = f.oid)]::text[]
          from ours join pg_catalog.pg_opfamily f on opfnamespace = ours.oid join pg_catalog.pg_am m on m.oid = f.opfmethod
        union all
        select 'text search configuration', 'pg_ts_config', c.oid, cfgnamespace, cfgname, '', cfgowner,
               array['parser', pg_catalog.format('%I.%I', p.prsnamespace::pg_catalog.regnamespace, p.prsname),
                     'mapping', (select pg_catalog.string_agg(m.maptokentype || ' ' || m.mapdict::pg_catalog.regdictionary::text, ', '
                                          order by m.maptokentype, m.mapseqno)
                                   from pg_catalog.pg_ts_config_map m where m.mapcfg = c.oid)]::text[]
          from ours join pg_catalog.pg_ts_config c on cfgnamespace = ours.oid join pg_catalog.pg_ts_parser p on p.oid = c.cfgparser
        union all
        select 'text search dictionary', 'pg_ts_dict', d.oid, dictnamespace, dictname, '', dictowner,
               array['template', pg_catalog.format('%I.%I', t.tmplnamespace::pg_catalog.regnamespace, t.tmplname), 'options', dictinitoption]::text[]
          from ours join pg_catalog.pg_ts_dict d on dictnamespace = ours.oid join pg_catalog.pg_ts_template t on t.oid = d.dicttemplate
        union all
        select 'text search parser', 'pg_ts_parser', p.oid, prsnamespace, prsname, '', null,
               array['functions', pg_catalog.concat_ws(', ', prsstart, prstoken, prsend, prsheadline, prslextype)]::text[]
          from ours join pg_catalog.pg_ts_parser p on prsnamespace = ours.oid
        union all
        select 'text search template', 'pg_ts_template', t.oid, tmplnamespace, tmplname, '', null,
               array['functions', pg_catalog.concat_ws(', ', tmplinit, tmpllexize)]::text[]
          from ours join pg_catalog.pg_ts_template t on tmplnamespace = ours.oid) o
  join ours n on n.oid = o.namespace
