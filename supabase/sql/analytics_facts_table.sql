-- The mirror of HotDash's analytics facts: what `packages/memory/supabase` writes and the parity check counts.
-- Safe to run again: it adds what is missing and changes nothing that is there.

create table if not exists public.facts (
  id uuid primary key default gen_random_uuid(),
  project text not null,
  topic text not null,
  key text not null,
  value jsonb not null,
  created_at timestamptz not null default now()
);

create index if not exists facts_topic_idx on public.facts (topic);
create index if not exists facts_topic_key_idx on public.facts (topic, key);
create index if not exists facts_created_at_idx on public.facts (created_at desc);

comment on table public.facts is 'Analytics facts, mirrored from Prisma''s DashboardFact';
comment on column public.facts.project is 'The shop that the fact is about';
comment on column public.facts.topic is 'What kind of thing happened, such as dashboard.analytics';
comment on column public.facts.key is 'What happened, such as view or refresh';
comment on column public.facts.value is 'The fact itself';

-- Nobody reads or writes facts over REST but the service role.
alter table public.facts enable row level security;

do $$
begin
  -- A plain Postgres has no such role, and nothing to grant.
  if exists (select from pg_catalog.pg_roles where rolname = 'service_role') then
    grant usage on schema public to service_role;
    grant select, insert, update, delete on public.facts to service_role;
    if not exists (
      select from pg_catalog.pg_policies
       where schemaname = 'public' and tablename = 'facts' and policyname = 'The service role reads and writes facts'
    ) then
      create policy "The service role reads and writes facts" on public.facts
        for all to service_role using (true) with check (true);
    end if;
  end if;
end
$$;
