-- Believable rows for HotDash's tables, for the staging drill's sandbox (`drill.toml`, `[prisma] seed`).
--
-- In, as settings of the transaction: `drill.rows`, how many rows each table gets; `drill.now`, when it is; `drill.only_empty`, whether a
-- table that has rows is left alone. Times lie in the 30 days before `drill.now`. The same database gets the same rows, and running it again
-- adds rows with fresh keys. No value can be taken for a real one: tokens begin with `seeded_`, addresses are of example.com.

select setseed((select count(*) from "Session") % 1000 / 1000.0);

-- Keys look like a version 4 UUID that begins with the row's number: keys that grow are the cheapest to index.
insert into "Session" (id, shop, state, "isOnline", scope, expires, "accessToken", "userId", "firstName", "lastName", email,
                       "accountOwner", locale, collaborator, "emailVerified")
select '5eed' || lpad(to_hex(n >> 16), 4, '0') || '-' || lpad(to_hex(n & 65535), 4, '0')
         || '-4' || lpad(to_hex(floor(random() * 4096)::int), 3, '0')
         || '-8000-' || lpad(to_hex(floor(random() * 281474976710656)::bigint), 12, '0'),
       (array['alpine', 'birch', 'cedar', 'delta', 'ember', 'fjord', 'granite', 'harbor'])[1 + floor(random() * 8)::int]
         || '-' || (array['alpine', 'birch', 'cedar', 'delta', 'ember', 'fjord', 'granite', 'harbor'])[1 + floor(random() * 8)::int]
         || '-' || floor(random() * 4)::int || '.myshopify.com',
       lpad(floor(random() * 1000000000000000)::bigint::text, 15, '0'),
       n % 3 = 0,
       'read_orders,read_products,write_inventory',
       current_setting('drill.now')::timestamptz at time zone 'UTC' - random() * random() * interval '30 days',
       'seeded_' || md5(n || ' ' || random()),
       70000000000 + n,
       (array['Ana', 'Björn', 'Chloé', 'Dmitri', 'Łucja', 'Mei', 'Noor', '太郎'])[1 + floor(random() * 8)::int],
       (array['Åkesson', 'Brown', 'García', 'Ivanova', 'Nguyễn', 'O’Neill', 'Schröder', '山田'])[1 + floor(random() * 8)::int],
       'user' || n || '@example.com',
       random() < 0.1,
       (array['en', 'de', 'fr', 'ja', 'pt-BR'])[1 + floor(random() * 5)::int],
       random() < 0.1,
       random() < 0.1
  from (select coalesce(max(('x' || substr(id, 5, 4) || substr(id, 10, 4))::bit(32)::bigint), -1) as last
          from "Session" where id ~ '^5eed[0-9a-f]{4}-[0-9a-f]{4}-4[0-9a-f]{3}-8000-') earlier
 cross join lateral generate_series(last + 1, last + current_setting('drill.rows')::bigint) n
 where not (current_setting('drill.only_empty')::boolean and exists (select from "Session"));

insert into "DashboardFact" ("shopDomain", "factType", scope, value, metadata, "evidenceUrl", "createdAt", "updatedAt")
select shop, kind, scope,
       case
         when kind like 'dashboard.%' then jsonb_build_object('count', amount % 500, 'by', person)
         when kind = 'shopify.orders.summary'
           then jsonb_build_object('orders', amount % 500, 'revenue', amount / 100.0, 'currency', '€', 'top', array['Café mug ☕'])
         else jsonb_build_object('items', amount % 500, 'threshold', amount % 50, 'note', 'naïve – 要確認')
       end,
       case when amount % 2 = 0 then jsonb_build_object('generatedBy', 'seed', 'requestId', to_hex(amount)) end,
       case when amount % 4 = 0 then 'https://evidence.example.com/' || to_hex(n) end,
       moment - age, moment - age * sooner
  from (select n, random() * interval '30 days' as age, random() as sooner, floor(random() * 1000000)::int as amount,
               current_setting('drill.now')::timestamptz at time zone 'UTC' as moment,
               'shop-' || floor(random() * 256)::int || '.myshopify.com' as shop,
               (array['ops', 'growth', 'support'])[1 + floor(random() * 3)::int] as scope,
               (array['Ana Brown', 'Björn García', 'Łucja Nguyễn', '太郎 山田'])[1 + floor(random() * 4)::int] as person,
               (array['dashboard.session.opened', 'dashboard.session.opened', 'dashboard.session.opened', 'dashboard.session.opened',
                      'dashboard.refresh.triggered', 'dashboard.refresh.triggered', 'shopify.orders.summary',
                      'shopify.inventory.low_stock', 'chatwoot.escalations.open',
                      'ga.landing_pages.anomaly'])[1 + floor(random() * 10)::int] as kind
          from generate_series(1, current_setting('drill.rows')::bigint) n) fact
 where not (current_setting('drill.only_empty')::boolean and exists (select from "DashboardFact"));

insert into "DecisionLog" (scope, actor, action, rationale, "evidenceUrl", "shopDomain", "externalRef", payload, "createdAt")
select (array['ops', 'growth', 'support'])[1 + floor(random() * 3)::int],
       (array['ops@hotdash.example.com', 'support@hotdash.example.com', 'assistant', 'scheduler'])[1 + floor(random() * 4)::int],
       (array['chatwoot.approve_send', 'inventory.reorder', 'dashboard.acknowledge', 'seo.dismiss_anomaly'])[1 + floor(random() * 4)::int],
       (array['Customer waited over an hour', 'Stock below the weekly run rate', 'Known campaign effect – no action',
              'Überprüft ✓'])[1 + floor(random() * 4)::int],
       case when random() < 0.25 then 'https://evidence.example.com/' || to_hex(n) end,
       'shop-' || floor(random() * 256)::int || '.myshopify.com',
       'conversation-' || floor(random() * 100000)::int,
       jsonb_build_object('items', floor(random() * 500)::int, 'note', 'naïve – 要確認'),
       current_setting('drill.now')::timestamptz at time zone 'UTC' - random() * interval '30 days'
  from generate_series(1, current_setting('drill.rows')::bigint) n
 where not (current_setting('drill.only_empty')::boolean and exists (select from "DecisionLog"));
