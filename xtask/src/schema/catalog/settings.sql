-- What sessions begin with: the settings of this database, of the migrating role, of all roles, and of any role in this database. A setting that a
-- project made up (`app.jwt_secret`) may hold a secret: that it is set is all that is read.
select 'settings' as kind,
       '{}'::text[] as path,
       ' of ' || case when s.setrole = 0 then case when s.setdatabase = 0 then 'all roles' else '' end when pg_catalog.pg_get_userbyid(s.setrole) = current_user then '<migrating role>'
                      else 'role ' || pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(s.setrole)) end
              || case when s.setrole <> 0 and s.setdatabase <> 0 then ' in ' else '' end
              || case when s.setdatabase <> 0 then 'the database' else '' end as signature,
       'pg_db_role_setting ' || s.setdatabase || ' ' || s.setrole as address,
       null::text as container,
       '{}'::text[] as follows,
       null::text as owner,
       '{}'::text[] as acl,
       '{}'::text[] as default_acl,
       (select pg_catalog.array_agg(part.part order by x.ordinality, part.ordinality)
          from pg_catalog.unnest(s.setconfig) with ordinality x (setting, ordinality)
          cross join lateral pg_catalog.unnest(array[pg_catalog.split_part(x.setting, '=', 1),
                                                     case when x.setting ~* '^[^=]*([.]|pass|secret|token|key)' then 'set'
                                                          else pg_catalog.substr(x.setting, pg_catalog.strpos(x.setting, '=') + 1) end]) with ordinality part (part, ordinality)) as properties
  from pg_catalog.pg_db_role_setting s
  left join pg_catalog.pg_database d on d.oid = s.setdatabase
 where $1::text[] is not null and (d.datname = pg_catalog.current_database()
        or s.setdatabase = 0 and (s.setrole = 0 or pg_catalog.pg_get_userbyid(s.setrole) = current_user))
