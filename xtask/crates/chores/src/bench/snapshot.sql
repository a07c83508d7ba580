insert into "Session" (id, shop, state, "accessToken", email)
  select md5(n::text), 'shop-' || n % 256, md5('s' || n), 'token_' || md5('t' || n), n || '@example.com' from generate_series(1, :rows) n;
insert into "DashboardFact" ("shopDomain", "factType", value, "createdAt", "updatedAt")
  select 'shop-' || n % 256, 'dashboard.session.opened', jsonb_build_object('count', n, 'by', md5(n::text)), now() - n * interval '1 second', now()
  from generate_series(1, :rows) n;
insert into "DecisionLog" (scope, actor, action, payload)
  select 'ops', 'user' || n % 100, 'dashboard.acknowledge', jsonb_build_object('n', n) from generate_series(1, :rows) n;
vacuum analyze;
