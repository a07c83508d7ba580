-- What belongs to the database and to no schema. Of those that refer to schemas, which is as good as lying in one: `schema` is the
-- first of ours, and one that refers to other schemas alone is theirs. Passwords are in user mappings and in options that are
-- called like one: of these the names alone.
with options as (
    select o.*, (select pg_catalog.string_agg(case when x ~* '^[^=]*(pass|secret|token|key|cred|auth)' then pg_catalog.split_part(x, '=', 1) else x end, ', ' order by x)
                   from pg_catalog.unnest(o.list) x) as shown
      from (select 'pg_foreign_data_wrapper' as catalog, oid, fdwoptions as list from pg_catalog.pg_foreign_data_wrapper
            union all select 'pg_foreign_server', oid, srvoptions from pg_catalog.pg_foreign_server) o),
referring as (
    select 'cast' as kind, 'pg_cast' as catalog, c.oid,
           pg_catalog.format(' (%s as %s)', pg_catalog.format_type(castsource, null), pg_catalog.format_type(casttarget, null)) as signature,
           array['function', nullif(castfunc, 0)::pg_catalog.regprocedure::text,
                 'context', case castcontext when 'e' then 'explicit' when 'a' then 'assignment' else 'implicit' end,
                 'method', case castmethod when 'b' then 'binary' when 'i' then 'inout' else 'function' end]::text[] as properties,
           array[(select typnamespace from pg_catalog.pg_type t where t.oid = castsource),
                 (select typnamespace from pg_catalog.pg_type t where t.oid = casttarget),
                 (select pronamespace from pg_catalog.pg_proc p where p.oid = castfunc)] as namespaces
      from pg_catalog.pg_cast c where c.oid >= 16384
    union all
    select 'transform', 'pg_transform', f.oid,
           pg_catalog.format(' for %s language %I', pg_catalog.format_type(trftype, null), lanname),
           array['from SQL', trffromsql::text, 'to SQL', trftosql::text]::text[],
           array[(select typnamespace from pg_catalog.pg_type t where t.oid = trftype),
                 (select pronamespace from pg_catalog.pg_proc p where p.oid = trffromsql),
                 (select pronamespace from pg_catalog.pg_proc p where p.oid = trftosql)]
      from pg_catalog.pg_transform f join pg_catalog.pg_language l on l.oid = f.trflang),
referred as (
    select r.*, (select pg_catalog.min(n.nspname) from pg_catalog.pg_namespace n
                  where n.oid = any(r.namespaces) and n.nspname = any($1::text[])) as schema,
           exists (select from pg_catalog.pg_namespace n
                    where n.oid = any(r.namespaces) and n.nspname <> all($1::text[] || '{pg_catalog}'::text[])) as elsewhere
      from referring r)
select o.kind,
       case when o.name is null then '{}'::text[] else array[o.name]::text[] end as path,
       o.signature,
       o.catalog || ' ' || o.oid || ' 0' as address,
       null::text as container,
       '{}'::text[] as follows,
       pg_catalog.pg_get_userbyid(o.owner)::text as owner,
       o.acl::text[] as acl,
       o.default_acl::text[] as default_acl,
       o.properties
  from (select 'publication' as kind, 'pg_publication' as catalog, p.oid, pubname::text as name, '' as signature, pubowner as owner,
               '{}'::aclitem[] as acl, '{}'::aclitem[] as default_acl,
               array['all tables', case when puballtables then 'yes' end, 'via root', case when pubviaroot then 'yes' end,
                     'publishes', pg_catalog.concat_ws(', ', case when pubinsert then 'insert' end, case when pubupdate then 'update' end,
                                                    case when pubdelete then 'delete' end, case when pubtruncate then 'truncate' end),
                     'generated columns', nullif(nullif(pg_catalog.to_jsonb(p)->>'pubgencols', 'n'), 'false')]::text[] as properties
          from pg_catalog.pg_publication p
        union all
        select 'foreign data wrapper', 'pg_foreign_data_wrapper', f.oid, fdwname, '', fdwowner,
               coalesce(fdwacl, pg_catalog.acldefault('F', fdwowner)), pg_catalog.acldefault('F', fdwowner),
               array['handler', nullif(fdwhandler, 0)::pg_catalog.regproc::text,
                     'validator', nullif(fdwvalidator, 0)::pg_catalog.regproc::text, 'options', o.shown]::text[]
          from pg_catalog.pg_foreign_data_wrapper f join options o on o.catalog = 'pg_foreign_data_wrapper' and o.oid = f.oid
        union all
        select 'foreign server', 'pg_foreign_server', s.oid, srvname, '', srvowner,
               coalesce(srvacl, pg_catalog.acldefault('S', srvowner)), pg_catalog.acldefault('S', srvowner),
               array['wrapper', f.fdwname, 'type', srvtype, 'version', srvversion, 'options', o.shown]::text[]
          from pg_catalog.pg_foreign_server s join pg_catalog.pg_foreign_data_wrapper f on f.oid = s.srvfdw
          join options o on o.catalog = 'pg_foreign_server' and o.oid = s.oid
        union all
        select 'user mapping', 'pg_user_mapping', u.umid, srvname,
               ' for ' || case when umuser = 0 then 'PUBLIC' when usename = current_user then '<migrating role>' else usename end,
               null, '{}', '{}', '{}'
          from pg_catalog.pg_user_mappings u
        union all
        select 'language', 'pg_language', oid, lanname, '', lanowner,
               coalesce(lanacl, pg_catalog.acldefault('l', lanowner)), pg_catalog.acldefault('l', lanowner),
               array['trusted', lanpltrusted::text, 'handler', nullif(lanplcallfoid, 0)::pg_catalog.regproc::text,
                     'inline', nullif(laninline, 0)::pg_catalog.regproc::text,
                     'validator', nullif(lanvalidator, 0)::pg_catalog.regproc::text]::text[]
          from pg_catalog.pg_language where oid >= 16384 or lanacl is not null -- of the server's own only what was granted or revoked
        union all
        select 'access method', 'pg_am', oid, amname, '', null, '{}', '{}',
               array['type', case amtype when 'i' then 'index' else 'table' end, 'handler', amhandler::text]::text[]
          from pg_catalog.pg_am where oid >= 16384
        union all
        select 'event trigger', 'pg_event_trigger', g.oid, evtname, '', evtowner, '{}', '{}',
               array['event', evtevent, 'function', evtfoid::pg_catalog.regprocedure::text, 'schema', n.nspname,
                     'tags', pg_catalog.array_to_string(evttags, ', '),
                     'fires', case evtenabled when 'D' then 'never' when 'R' then 'on replicas only' when 'A' then 'always' end]::text[]
          from pg_catalog.pg_event_trigger g
          join pg_catalog.pg_proc p on p.oid = evtfoid join pg_catalog.pg_namespace n on n.oid = p.pronamespace
        union all
        select kind, catalog, oid, null, signature, null, '{}', '{}', properties || array['schema', schema]::text[]
          from referred where schema is not null or not elsewhere) o
