-- # boolean
create table bools (a bool);
-- rows
insert into bools values (true), (false), (null);

-- # smallint, integer, bigint: the least and the greatest
create table ints (a int2, b int4, c int8);
-- rows
insert into ints values (-32768, -2147483648, -9223372036854775808), (32767, 2147483647, 9223372036854775807), (null, 0, null);

-- # numeric: NaN, infinities, 131072 digits, 16383 decimals, negative scale, trailing zeros
create table numerics (a numeric, b numeric(1000, 500), c numeric(10, -3));
-- rows
insert into numerics values ('NaN', ('0.' || repeat('1', 500))::numeric, 123456789), ('Infinity', 1.10, -123456789), ('-Infinity', null, 1499.99),
  (('1' || repeat('0', 131071))::numeric, 1e-400, null), (('0.' || repeat('0', 16382) || '1')::numeric, 0, 0), (1.10, 1.1, 0), (-0.0, -0.0, 0);

-- # real, double precision: NaN, infinities, subnormals, negative zero, the last digit
create table floats (a float4, b float8);
-- rows
insert into floats values ('NaN', 'NaN'), ('Infinity', '-Infinity'), ('-Infinity', 'Infinity'), (1e-45, 5e-324), (3.4028235e38, 1.7976931348623157e308),
  (-0.0::float4, -0.0::float8), ('-0', '-0'), (0.1::float4, 0.1::float8 + 0.2::float8), (16777217, 9007199254740993), (null, null);

-- # money: the least and the greatest
create table moneys (a money);
-- rows
insert into moneys values ('-92233720368547758.08'), ('92233720368547758.07'), ('0.01'), (null);

-- # text, varchar, char, name, "char", citext: empty, blanks, every control character, what COPY escapes, beyond the BMP
create extension citext;
create table texts (a text, b varchar(20), c char(10), d name, e "char", f citext);
-- rows
insert into texts values ('', '', '', '', '', ''), ('\N', '\N', '\N', '\N', '\', '\N'), ('\.', '\.', '\.', '\.', 'N', 'CiTeXt'), (null, null, null, null, null, null),
  (E'\ttab\nline\r\nreturn\r\b\f\v\\ \\. \\N', E'\n', E'\t', E'\\t', E'\n', 'ÄÖ'), (' ', '  ', '   ', ' ', ' ', ' '), ('NULL', 'null', '""', '''', '"', ','),
  (E'\u0001\u001f\u007f\u0080\u009f\u2028\u202e\ufeff\uffff\U0010ffff😀', 'ünï', 'é', repeat('n', 63), '~', 'ß');

-- # bytea: every byte, empty, what looks like an escape
create table bytes (a bytea);
-- rows
insert into bytes values (''), (null), ('\x00'), ('\x5c78'), ((select string_agg(set_byte('\x00', 0, i), '' order by i) from generate_series(0, 255) i));

-- # bit, varbit: empty, long
create table bits (a bit(5), b varbit);
-- rows
insert into bits values (b'00000', b''), (b'11111', repeat('10', 5000)::varbit), (null, null);

-- # date, timestamp, timestamptz: infinities, BC, the first and the last, seconds of a zone's offset
create table moments (a date, b timestamp, c timestamptz, d timestamp(0));
-- rows
insert into moments values ('infinity', 'infinity', 'infinity', '2020-01-01 00:00:00.5'), ('-infinity', '-infinity', '-infinity', '1999-12-31 23:59:59.4'),
  ('4713-01-01 BC', '4713-01-01 00:00:00 BC', '4713-01-01 00:00:00+00 BC', '0001-01-01'), ('5874897-12-31', '294276-12-31 23:59:59.999999', '294276-12-31 23:59:59.999999+00', null),
  ('0001-12-31 BC', '0001-01-01', '1883-11-18 12:03:58-07:52:58', '1582-10-15'), (null, null, null, null);

-- # time, timetz, interval: 24:00, the widest zones, mixed signs, infinite intervals
create table spans (a time, b timetz, c interval, d interval year to month);
-- rows
insert into spans values ('24:00:00', '00:00:00+15:59:59', 'infinity', '1 year 2 mons'), ('00:00:00.000001', '23:59:59.999999-15:59:59', '-infinity', '-1 year'),
  ('23:59:60', '12:00-00:00:01', '-178000000 years', '178956970 years'), ('12:00', '12:00+05:30', '1 year -2 mons 3 days -04:05:06.789', null), (null, null, '-0.000001 seconds', null);

-- # json with odd spacing, repeated keys and 5,000 levels; jsonb, jsonpath
create table documents (a json, b jsonb, c jsonpath);
-- rows
insert into documents values ('{"a" : 1,  "a":2, "b":"\u0000x\ud83d\ude00\\\n"}', '{"a":[1,2,{"b":null}],"n":1e400,"s":"\ttab \"q\" \\ /"}', '$.a[*] ? (@.b like_regex "x\\d" flag "i")'),
  ('null', 'null', 'strict $'), (E' [1,\n\t2 ,3]  ', '123456789012345678901234567890.000000000000000000000000000000', null), ('""', '{}', null), (null, null, null),
  ((repeat('[', 5000) || repeat(']', 5000))::json, (repeat('{"a":', 3000) || '1' || repeat('}', 3000))::jsonb, null);

-- # xml: a document, a fragment, an entity, empty
create table xmls (a xml);
-- rows
set xmloption = content;
insert into xmls values (xmlparse(document '<?xml version="1.0"?><a b="&quot;">&lt;ü</a>')), (xmlparse(content 'a<b/>c')), (''), (null);

-- # tsvector, tsquery
create table searches (a tsvector, b tsquery);
-- rows
insert into searches values ('a:1A,3B fat:2 ''q'''' b'':4', 'fat & (rat | !cat:*AB) <-> x'), ('', ''), (null, null), (to_tsvector('simple', repeat('word ', 300)), null);

-- # inet, cidr, macaddr, macaddr8, uuid
create table networks (a inet, b cidr, c macaddr, d macaddr8, e uuid);
-- rows
insert into networks values ('10.0.0.1/8', '10.0.0.0/8', '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05', '00000000-0000-0000-0000-000000000000'),
  ('::1', 'fe80::/10', 'ff:ff:ff:ff:ff:ff', 'ff:ff:ff:ff:ff:ff:ff:ff', 'ffffffff-ffff-ffff-ffff-ffffffffffff'), ('::ffff:1.2.3.4/96', '0.0.0.0/0', null, null, null);

-- # point, line, lseg, box, path, polygon, circle: NaN, infinity, negative zero, open and closed
create table shapes (a point, b line, c lseg, d box, e path, f polygon, g circle);
-- rows
insert into shapes values ('(1e-300,-0)', '{1,2,3}', '[(0,0),(1,1)]', '((1,1),(0,0))', '[(0,0),(1,1),(2,0)]', '((0,0),(1,1),(2,0))', '<(0,0),1.1>'),
  ('(NaN,Infinity)', null, '[(-0,NaN),(1,1)]', '((Infinity,1),(0,-Infinity))', '((0,0),(1,1))', null, '<(0,0),0>'), (null, null, null, null, null, null, null);

-- # oid, xid, xid8, cid, tid, pg_lsn, pg_snapshot, txid_snapshot, refcursor
create table internals (a oid, b xid, c xid8, d cid, e tid, f pg_lsn, g pg_snapshot, h txid_snapshot, i refcursor);
-- rows
insert into internals values (4294967295, '4294967295', '18446744073709551615', '4294967295', '(4294967294,65535)', 'FFFFFFFF/FFFFFFFF', '10:20:10,14,15', '10:20:10,14,15', 'c'),
  (0, '0', '0', '0', '(0,0)', '0/0', '1:1:', '1:1:', ''), (null, null, null, null, null, null, null, null, null);

-- # oidvector, int2vector, aclitem
create table vectors (a oidvector, b int2vector, c aclitem);
-- rows
insert into vectors values ('1 2 4294967295', '1 -32768 32767', 'postgres=r*w/postgres'), ('', '', '=X/postgres'), (null, null, null);

-- # reg* types: names that need quotes, what no name is known of
create table "Odd name" (a int);
create table names (a regclass, b regtype, c regproc, d regprocedure, e regoper, f regoperator, g regrole, h regnamespace, i regcollation, j regconfig, k regdictionary);
-- rows
insert into names values ('"Odd name"', '"Odd name"[]', 'pg_sleep', 'sum(int4)', '*<>', '+(int4,int4)', 'postgres', 'public', '"C"', 'german', 'simple'),
  (4000000000, 'timestamp with time zone', 0, 0, 0, 0, 0, 'pg_catalog', 0, 0, 0), (null, null, null, null, null, null, null, null, null, null, null);

-- # enums, one with quotes in its labels, in another order than they were made
create type mood as enum ('sad', 'happy', 'we''ird "q"', '');
alter type mood add value 'so so' before 'happy';
create table moods (a mood, b mood[]);
-- rows
insert into moods values ('so so', '{sad,"we''ird \"q\"",NULL,""}'), ('', '{}'), (null, null);

-- # domains over text, arrays and composites, with checks
create domain code as citext check (value ~ '@');
create domain grades as int[] check (array_length(value, 1) < 9);
create table coded (a code, b grades);
-- rows
insert into coded values ('A@b', '{1,NULL,3}'), (null, '{}'), ('x@Y', null);

-- # composites, nested, of a table's row type
create type place as (street text, number int, tags text[]);
create type person as (name text, home place);
create table people_of (a place, b person, c coded);
-- rows
insert into people_of values (row('st, "x" (y)', 5, array['t1', null, 't,"2"']), row(E'a\nb', row('', null, '{}')), row('q@r', '{1}')), (row(null, null, null), row(null, null), null), (null, null, null);

-- # arrays: bounds, several dimensions, empty, NULL and "NULL", of composites, jsonb and bytea
create table lists (a int[], b text[], c text[][], d numeric[], e bytea[], f jsonb[], g place[], h date[]);
-- rows
insert into lists values ('{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}'), ('[-2:0]={1,2,NULL}', '{NULL,"NULL","",null,"a,b","{c}","\"q\"","\\N","back\\slash"," sp "}', '{{a,b},{NULL,"d d"}}', '{NaN,Infinity,1.10}',
   '{"\\x00","\\xdeadbeef",NULL}', '{"{\"a\": [1, \"x\"]}",NULL}', array[row('a"', 1, '{x}')::place, null], '{infinity,NULL,2020-01-01}'),
  ('[5:6][-1:0]={{1,2},{3,4}}', array[E'tab\tnl\n', '\.'], null, null, null, null, null, '[0:0]={-infinity}'), (null, null, null, null, null, null, null, null);

-- # ranges and multiranges: empty, unbounded, infinite, exclusive, of one's own
create type floats_range as range (subtype = float8, subtype_diff = float8mi);
create table ranges (a int4range, b int8range, c numrange, d daterange, e tsrange, f tstzrange, g floats_range);
create table multiranges (a int4multirange, b int8multirange, c nummultirange, d datemultirange, e tsmultirange, f tstzmultirange, g floats_multirange);
-- rows
insert into ranges values ('[1,5)', '(,)', '(1.10,1.100]', '[2020-01-01,)', '(-infinity,infinity)', '["2020-01-01 00:00:00+00",infinity]', '(1.1,NaN]'), ('empty', 'empty', 'empty', 'empty', 'empty', 'empty', 'empty'),
  (null, null, null, null, null, null, null);
insert into multiranges values ('{[1,3),[5,7)}', '{(,)}', '{(1.1,2.2],[3,4)}', '{[2020-01-01,)}', '{(-infinity,infinity)}', '{["2020-01-01 00:00:00+00",infinity]}', '{(1.1,NaN]}'), ('{}', '{}', '{}', '{}', '{}', '{}', '{}'),
  (null, null, null, null, null, null, null);

-- # hstore, of an extension
create extension hstore;
create table stores (a hstore);
-- rows
insert into stores values ('a=>1,b=>NULL,"c d"=>"e\"f\\g",""=>""'), (''), (null);

-- # a cell of 100 MB of text, one of 100 MB of bytes
create table cells (a text, b bytea);
-- rows
insert into cells select string_agg(md5(g::text), '') , null from generate_series(1, 3276800) g;
insert into cells values (null, decode(repeat('00ff5c0a', 26214400), 'hex'));

-- # cells of every storage and compression
create table stored (a text, b text, c text, d text);
alter table stored alter a set storage external, alter b set storage main, alter c set storage plain, alter d set compression pglz;
-- rows
insert into stored values (repeat('x', 9000), repeat('y', 3000), repeat('z', 200), repeat('w', 99999)), (null, null, null, null);

-- # partitions below partitions, a default, by list, range and hash
create table parts (id int, kind text, day date, primary key (id, day, kind)) partition by range (day);
create table parts_2025 partition of parts for values from ('2025-01-01') to ('2026-01-01') partition by list (kind);
create table parts_2025_a partition of parts_2025 for values in ('a');
create table parts_2025_rest partition of parts_2025 default;
create table parts_rest partition of parts default;
create table hashed (id int primary key, v text) partition by hash (id);
create table hashed_0 partition of hashed for values with (modulus 2, remainder 0);
create table hashed_1 (v text, gone int, id int not null);
alter table hashed_1 drop gone;
alter table hashed attach partition hashed_1 for values with (modulus 2, remainder 1);
-- rows
insert into parts values (1, 'a', '2025-05-05'), (2, 'b', '2025-05-05'), (3, 'c', '1999-01-01'), (4, 'a', 'infinity');
insert into hashed select g, 'v' || g from generate_series(1, 100) g;

-- # tables that inherit, several levels, equal rows in each
create table ancestor (id int, v text);
create table parent () inherits (ancestor);
create table child (extra text) inherits (parent);
-- rows
insert into ancestor values (1, 'same'), (1, 'same'); insert into parent values (1, 'same'); insert into child values (1, 'same', 'x'), (1, 'same', 'x');

-- # unlogged
create unlogged table unlogged (id int primary key, v text);
-- rows
insert into unlogged values (1, 'u'), (2, null);

-- # generated and identity columns, always and by default, with other steps
create table made (id int generated always as identity (start 100 increment 7), a int, twice int generated always as (a * 2) stored, id2 int generated by default as identity, said text generated always as (coalesce(t, '') || '!') stored, t text, primary key (id));
create table numbered (id serial primary key, small smallserial, big bigserial);
-- rows
insert into made (a, t) select g, case when g % 3 = 0 then null else 't' || g end from generate_series(1, 50) g; delete from made where a > 48; insert into made (a, t, id2) values (99, 'x', 5000);
insert into numbered select from generate_series(1, 20); delete from numbered where id > 15;

-- # sequences: never called, descending, cycling, at their end, set and not called
create sequence untouched;
create sequence downwards increment -5 minvalue -1000 maxvalue -1 start -10 cycle;
create sequence small as smallint maxvalue 100 cycle cache 7;
create sequence ended;
create sequence unset;
-- rows
select nextval('downwards') from generate_series(1, 205); select setval('small', 100, true); select setval('ended', 9223372036854775807, true); select setval('unset', 77, false);

-- # dropped columns, and columns added with a default later
create table dropped (a int, b text, c int, d text);
alter table dropped drop column b;
alter table dropped add column e text default 'dflt', add column f timestamptz default '2020-01-01 00:00:00+00';
alter table dropped drop column a;
-- rows
insert into dropped values (1, 'd', 'e', null), (2, null, null, 'infinity');

-- # no columns, with rows
create table empty_rows ();
-- rows
insert into empty_rows select from generate_series(1, 17);

-- # no key, equal rows, all NULL
create table keyless (a int, b text, c bytea);
-- rows
insert into keyless select null, null, null from generate_series(1, 5); insert into keyless select 1, 'same', '\x01' from generate_series(1, 5);

-- # row security, enabled and forced, with policies that hide rows from the owner
create table hidden (id int primary key, who text);
create policy nobody on hidden using (false) with check (false);
alter table hidden enable row level security, force row level security;
-- rows
alter table hidden no force row level security; insert into hidden values (1, 'me'), (2, 'other'); alter table hidden force row level security;

-- # foreign keys in a cycle, to itself, deferred, not valid
create table chicken (id int primary key, egg int);
create table egg (id int primary key, chicken int references chicken (id) deferrable initially deferred);
alter table chicken add constraint chicken_egg foreign key (egg) references egg (id) deferrable initially immediate;
create table tree (id int primary key, above int references tree (id) on delete cascade);
create table stray (id int primary key, above int);
alter table stray add constraint stray_above foreign key (above) references tree (id) not valid;
-- rows
begin; set constraints all deferred; insert into egg values (1, 1), (2, 2); insert into chicken values (1, 2), (2, 1); commit;
insert into tree values (4, 4), (1, null), (2, 1), (3, 2);
alter table stray drop constraint stray_above; insert into stray values (1, 999), (2, 1); alter table stray add constraint stray_above foreign key (above) references tree (id) not valid;

-- # deferred unique, exclusion, NULLS NOT DISTINCT, a check that is not valid
create extension btree_gist;
create table careful (id int primary key, u int unique deferrable initially deferred, room int, during tsrange, n int, m int, unique nulls not distinct (n, m), exclude using gist (room with =, during with &&));
create table late_check (v int);
alter table late_check add constraint late check (v > 0) not valid;
-- rows
insert into careful values (1, 10, 1, '[2020-01-01,2020-01-02)', null, null), (2, null, 1, '[2020-01-02,2020-01-03)', 1, null), (3, 30, 1, 'empty', 2, 2);
alter table late_check drop constraint late; insert into late_check values (-1), (5); alter table late_check add constraint late check (v > 0) not valid;

-- # triggers of every state, rules
create table touched (id int primary key, v text, n int default 0);
create function touch() returns trigger language plpgsql as $$ begin new.n := coalesce(new.n, 0) + 1; return new; end $$;
create trigger usual before insert or update on touched for each row execute function touch();
create trigger always before insert on touched for each row execute function touch();
create trigger never before insert on touched for each row execute function touch();
create trigger replica before insert on touched for each row execute function touch();
alter table touched enable always trigger always, disable trigger never, enable replica trigger replica;
create table ruled (id int primary key, v text);
create table ruled_log (id int, v text);
create rule logged as on insert to ruled do also insert into ruled_log values (new.id, new.v);
-- rows
insert into touched (id, v) values (1, 'a'), (2, 'b'); update touched set v = 'c' where id = 2; insert into ruled values (1, 'a'), (2, 'b');

-- # names: quotes, newlines, Unicode, reserved words, 63 bytes
create table "Üñï ""q"" ta.ble'x
y" ("co""l 'x" text, "select" int primary key, "ünï" text, "tab	tab" text);
create table "user" ("order" int primary key, "xmin " int, "TABLE" int);
create table a23456789012345678901234567890123456789012345678901234567890123 (id int primary key, a23456789012345678901234567890123456789012345678901234567890123 text);
-- rows
insert into "Üñï ""q"" ta.ble'x
y" values ('a', 1, 'b', 'c'), ('d', 2, null, E'\t'); insert into "user" values (1, 2, 3); insert into a23456789012345678901234567890123456789012345678901234567890123 values (1, 'x');

-- # 25,000 rows with indexes that are dropped meanwhile, referred to by 12,000
create table many (id bigint primary key, k int, v text);
create index many_k on many (k);
create index many_expression on many (lower(v)) where k > 3;
create table many_child (id int primary key, m bigint references many (id));
-- rows
insert into many select g, g % 10, 'Val' || g from generate_series(1, 25000) g; insert into many_child select g, g from generate_series(1, 12000) g;

-- # no rows
create table nothing (id int primary key);
-- rows
