create type "Status" as enum ('open', 'paid');
create table "Customer" (id serial primary key, name text not null, city text, note text);
create table "Order" (
  id serial primary key, "customerId" int not null references "Customer" (id), status "Status" not null default 'open',
  cents int not null check (cents >= 0)
);
insert into "Customer" (name, city, note) select 'customer; ' || i, 'city ' || i % 3, 'it''s ' || i from generate_series(1, 30) i;
insert into "Order" ("customerId", status, cents) select i, case when i % 2 = 0 then 'paid' else 'open' end::"Status", i * 100
  from generate_series(1, 30) i;
