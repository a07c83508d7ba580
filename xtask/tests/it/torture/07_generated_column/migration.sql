alter table "Order" add column euros numeric generated always as (cents / 100.0) stored;
