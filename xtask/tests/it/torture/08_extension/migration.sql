create extension citext;
alter table "Person" add column email citext;
