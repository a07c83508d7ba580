alter table "Person" drop column note;
