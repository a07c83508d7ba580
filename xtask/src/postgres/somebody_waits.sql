select from pg_catalog.pg_locks l where not l.granted and l.pid is not null limit 1
