drop trigger shout on "Person";
drop function shout();
