drop policy everyone on "Order";
alter table "Order" disable row level security;
drop view paid;
