-- What HotDash's app does with its facts: a copy of each opened session and each refresh goes into the mirror, with the fact's own value and
-- time. For the staging drill's sandbox (`drill.toml`, `[supabase] feed_sql`).
--
-- Copies the facts that this very transaction has added, or all of them where the mirror has none yet. What a mirror with facts in it lacks, it
-- lacks still: that is for parity to find.
--
-- In, as settings of the transaction: `drill.now`, and what goes wrong on the way. `drill.mirror_drop_pct`: how many percent of each kind
-- never arrive, spread evenly, exact to the row; `drill.mirror_duplicate_pct`: how many arrive twice (of a fact that is dropped too, one copy
-- is left); `drill.mirror_delay_seconds`: how long a fact is on its way, so that younger ones are not there yet.

insert into facts (project, topic, key, value, created_at)
select "shopDomain", 'dashboard.analytics', key, value, "createdAt" at time zone 'UTC'
  from (select fact.*, kind.key,
               row_number() over (partition by kind.key) as number,
               count(*) over (partition by kind.key) as facts
          from "DashboardFact" fact
          join (values ('dashboard.session.opened', 'view'), ('dashboard.refresh.triggered', 'refresh')) kind (type, key)
            on fact."factType" = kind.type
         where (fact.xmin = pg_current_xact_id()::xid
                or not exists (select from facts where topic = 'dashboard.analytics'))
           and (current_setting('drill.mirror_delay_seconds')::bigint = 0
                or fact."createdAt" <= current_setting('drill.now')::timestamptz at time zone 'UTC'
                                       - current_setting('drill.mirror_delay_seconds')::bigint * interval '1 second')) fact
 cross join lateral (select round(facts * current_setting('drill.mirror_drop_pct')::float8 / 100)::bigint as dropped,
                            round(facts * current_setting('drill.mirror_duplicate_pct')::float8 / 100)::bigint as doubled) share
 -- The n-th of a share falls on the row at which n whole steps of its width are full.
 cross join lateral generate_series(1, 1 - (number * dropped / facts - (number - 1) * dropped / facts)
                                         + (number * doubled / facts - (number - 1) * doubled / facts));
