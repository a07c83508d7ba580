create table "Address" ("personId" int primary key references "Person" (id), town text);
insert into "Address" select id, town from "Person";
alter table "Person" drop column town;
