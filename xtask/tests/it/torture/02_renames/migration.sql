alter table "Customer" rename to "Person";
alter table "Person" rename column city to town;
