-- The seeder's rows, many times over; two fifths of the mirror's are of another topic, as in the app. Indexes are made when the rows are
-- there: ten times faster, and as compact as Postgres makes them.
alter table "DashboardFact" set (autovacuum_enabled = off);
alter table facts set (autovacuum_enabled = off);
create temporary table one_fact as select * from "DashboardFact";
create temporary table one_copy as select * from facts;
create temporary table made as select indexrelid::regclass::text as name, pg_get_indexdef(indexrelid) as again from pg_index
  where indrelid in ('"DashboardFact"'::regclass, 'facts'::regclass) and not indisprimary;
select 'drop index ' || name from made \gexec
insert into "DashboardFact" ("shopDomain", "factType", scope, value, metadata, "evidenceUrl", "createdAt", "updatedAt")
  select "shopDomain", "factType", scope, value, metadata, "evidenceUrl", "createdAt" - i * interval '7 s', "updatedAt"
    from one_fact, generate_series(1, :rows / 100000 - 1) i;
insert into facts (project, topic, key, value, created_at)
  select project, topic, key, value, created_at - i * interval '7 s' from one_copy, generate_series(1, :rows / 100000 - 1) i;
insert into facts (project, topic, key, value, created_at)
  select 'docs', 'memory.note', 'note', value, created_at from facts limit :rows - (select count(*) from facts);
select again from made \gexec
analyze "DashboardFact";
analyze facts;
