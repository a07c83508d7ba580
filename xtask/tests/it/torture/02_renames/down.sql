alter table "Person" rename column town to city;
alter table "Person" rename to "Customer";
