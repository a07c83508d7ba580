-- Functions, procedures and aggregates. `pg_get_functiondef` refuses aggregates, so their parts are named one by one.
select case p.prokind when 'p' then 'procedure' when 'a' then 'aggregate' else 'function' end as kind,
       array[n.nspname, p.proname]::text[] as path,
       '(' || pg_catalog.oidvectortypes(p.proargtypes) || ')' as signature,
       'pg_proc ' || p.oid || ' 0' as address,
       null::text as container,
       '{}'::text[] as follows,
       pg_catalog.pg_get_userbyid(p.proowner)::text as owner,
       coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))::text[] as acl,
       pg_catalog.acldefault('f', p.proowner)::text[] as default_acl,
       array[
         'definition', case when p.prokind <> 'a' then pg_catalog.pg_get_functiondef(p.oid) end,
         'aggregate', (select pg_catalog.concat_ws(', ',
                                'state function ' || g.aggtransfn::pg_catalog.regprocedure::text,
                                'state ' || pg_catalog.format_type(g.aggtranstype, null),
                                'initial ' || pg_catalog.quote_literal(g.agginitval),
                                'final function ' || nullif(g.aggfinalfn::oid, 0)::pg_catalog.regprocedure::text,
                                'combine function ' || nullif(g.aggcombinefn::oid, 0)::pg_catalog.regprocedure::text,
                                'serialize ' || nullif(g.aggserialfn::oid, 0)::pg_catalog.regprocedure::text,
                                'deserialize ' || nullif(g.aggdeserialfn::oid, 0)::pg_catalog.regprocedure::text,
                                'moving state function ' || nullif(g.aggmtransfn::oid, 0)::pg_catalog.regprocedure::text,
                                'inverse ' || nullif(g.aggminvtransfn::oid, 0)::pg_catalog.regprocedure::text,
                                'moving state ' || pg_catalog.format_type(nullif(g.aggmtranstype, 0), null),
                                'moving initial ' || pg_catalog.quote_literal(g.aggminitval),
                                'moving final function ' || nullif(g.aggmfinalfn::oid, 0)::pg_catalog.regprocedure::text,
                                'sort operator ' || nullif(g.aggsortop, 0)::pg_catalog.regoperator::text,
                                'kind ' || g.aggkind::text || g.aggnumdirectargs,
                                'final ' || pg_catalog.concat(g.aggfinalextra, g.aggfinalmodify, ' ', g.aggmfinalextra, g.aggmfinalmodify),
                                'space ' || pg_catalog.concat_ws(' ', g.aggtransspace, g.aggmtransspace),
                                'arguments ' || pg_catalog.pg_get_function_arguments(p.oid),
                                'returns ' || pg_catalog.format_type(p.prorettype, null),
                                'parallel ' || p.proparallel::text)
                         from pg_catalog.pg_aggregate g where g.aggfnoid = p.oid)
       ]::text[] as properties
  from pg_catalog.pg_proc p
  join pg_catalog.pg_namespace n on n.oid = p.pronamespace
 where n.nspname = any($1)
