alter table "Person" drop column email;
drop extension citext;
