create view paid as select p.name, o.cents from "Person" p join "Order" o on o."customerId" = p.id where o.status = 'paid';
comment on view paid is 'who paid; and how much';
alter table "Order" enable row level security;
create policy everyone on "Order" using (true) with check (cents < 1000000);
grant select on paid to public;
