create function shout() returns trigger language plpgsql as $body$
begin
  -- a ; in a body, and a $$ in a string
  new.note := upper(coalesce(new.note, 'a;b $$ c'));
  return new;
end
$body$;
create trigger shout before insert or update on "Person" for each row execute function shout();
