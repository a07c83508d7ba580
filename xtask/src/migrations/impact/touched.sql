   and (l.relation is not null or pg_catalog.pg_stat_get_xact_numscans(c.oid) > 0
        or i.indrelid in (select relation from held) or r.oid in (select relation from held))
