create index "Order_status_idx" on "Order" (status, cents desc);
create unique index "Address_town_key" on "Address" ("personId", town);
alter table "Person" add constraint one_of_a_name unique (name);
