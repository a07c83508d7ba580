alter table "Person" disable trigger shout;
alter table "Person" add column town text;
update "Person" p set town = a.town from "Address" a where a."personId" = p.id;
alter table "Person" enable trigger shout;
drop table "Address";
