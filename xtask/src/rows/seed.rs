//! Believable rows for HotDash's tables, any number of them: streamed by COPY, so memory stays flat, and made by a
//! seeded generator, so the same database gets the same rows.
//!
//! The rows resemble what the app writes, but no value can be taken for a real one: tokens have a prefix of their own,
//! addresses are of example.com.

use std::fmt::Write as _;
use std::io::Write as _;

use fastrand::Rng;
use jiff::Timestamp;
use postgres::Transaction;
use postgres_protocol::escape::escape_identifier;

use crate::error::{Failure, Result};
use crate::guard::StagingTarget;
use crate::postgres::connection::{Connection, failure};
use crate::postgres::counts::Counts;
use crate::rows::app_mirror::{Mishaps, feed, no_time_limit};

/// How far back the rows reach, in milliseconds: 30 days.
const SPREAD_MS: u64 = 30 * 24 * 3600 * 1000;

/// Sent to the server at a time; larger ones are no faster.
const CHUNK_BYTES: usize = 64 * 1024;

/// The prefix of a session's id, which tells seeded sessions from real ones.
const SESSION_ID_PREFIX: &str = "5eed";

const TABLES: [&str; 3] = ["Session", "DashboardFact", "DecisionLog"];

const FACT_TYPES: [&str; 10] = [
    "dashboard.session.opened",
    "dashboard.session.opened",
    "dashboard.session.opened",
    "dashboard.session.opened",
    "dashboard.refresh.triggered",
    "dashboard.refresh.triggered",
    "shopify.orders.summary",
    "shopify.inventory.low_stock",
    "chatwoot.escalations.open",
    "ga.landing_pages.anomaly",
];
const FIRST_NAMES: [&str; 8] = ["Ana", "Björn", "Chloé", "Dmitri", "Łucja", "Mei", "Noor", "太郎"];
const LAST_NAMES: [&str; 8] = ["Åkesson", "Brown", "García", "Ivanova", "Nguyễn", "O’Neill", "Schröder", "山田"];
const SHOP_WORDS: [&str; 8] = ["alpine", "birch", "cedar", "delta", "ember", "fjord", "granite", "harbor"];
const LOCALES: [&str; 5] = ["en", "de", "fr", "ja", "pt-BR"];
const ACTORS: [&str; 4] = ["ops@hotdash.example.com", "support@hotdash.example.com", "assistant", "scheduler"];
const ACTIONS: [&str; 4] =
    ["chatwoot.approve_send", "inventory.reorder", "dashboard.acknowledge", "seo.dismiss_anomaly"];
const RATIONALES: [&str; 4] = [
    "Customer waited over an hour",
    "Stock below the weekly run rate",
    "Known campaign effect – no action",
    "Überprüft ✓",
];

/// Adds `rows` to each of the three tables of schema `public`, with times in the 30 days before `now`; returns how many
/// were added. All of it is one transaction. Running it again adds rows with fresh keys. A column that the seeder does
/// not know keeps its default or NULL where it may, and is filled by its type otherwise. A mirror gets the new facts as well (an empty one
/// all facts), but for what `mishaps` keep from it.
///
/// # Errors
/// `blocked` when a table is not there; `failed` when the server refuses the rows.
pub fn seed(
    connection: &mut Connection,
    _: &StagingTarget,
    rows: u64,
    mishaps: &Mishaps,
    now: Timestamp,
) -> Result<Counts> {
    connection.write(|transaction| {
        no_time_limit(transaction)?;
        let mut counts = Counts::new();
        for table in TABLES {
            let columns = columns(transaction, table)?;
            let start = start(transaction, table)?;
            copy(transaction, table, &columns, start..start + rows, now)?;
            counts.insert(format!("public.{table}"), rows);
        }
        if let Some(mirrored) = feed(transaction, mishaps, now)? {
            counts.insert("public.facts".to_owned(), mirrored);
        }
        Ok(counts)
    })
}

/// As `seed`, for those of the tables that are there and hold nothing yet; returns which those were.
///
/// # Errors
/// As `seed`.
pub fn seed_empty(connection: &mut Connection, _: &StagingTarget, rows: u64, now: Timestamp) -> Result<Vec<String>> {
    seed_made(connection, rows, now)
}

/// As `seed_empty`, in a database that the run itself has made.
///
/// # Errors
/// As `seed`.
pub fn seed_made(connection: &mut Connection, rows: u64, now: Timestamp) -> Result<Vec<String>> {
    const IS_THERE: &str = "select pg_catalog.to_regclass('public.' || pg_catalog.quote_ident($1)) is not null";
    connection.write(|transaction| {
        let mut filled = Vec::new();
        for table in TABLES {
            let ask = |error| failure("look at the tables to seed", &error);
            let is_there: bool = transaction.query_one(IS_THERE, &[&table]).map_err(ask)?.get(0);
            let any = format!("select from public.{} limit 1", escape_identifier(table));
            if is_there && transaction.query(&any, &[]).map_err(ask)?.is_empty() {
                let columns = columns(transaction, table)?;
                copy(transaction, table, &columns, 0..rows, now)?;
                filled.push(format!("public.{table}"));
            }
        }
        Ok(filled)
    })
}

/// A column, and what goes into it.
struct Column {
    name: String,
    value: Value,
}

/// What is written into a column.
enum Value {
    /// By the meaning of a column of the models.
    Known(Known),
    /// By the type of a column that was added since.
    Number,
    SmallNumber,
    Boolean,
    Text {
        max_length: Option<usize>,
    },
    Uuid,
    Json,
    Time,
    Bytes,
    EmptyArray,
    Label(String),
}

#[derive(Clone, Copy)]
enum Known {
    SessionId,
    Shop,
    State,
    Online,
    Scopes,
    Expires,
    Token,
    UserId,
    FirstName,
    LastName,
    Email,
    Rarely,
    Locale,
    FactType,
    Area,
    Payload,
    Metadata,
    EvidenceUrl,
    CreatedAt,
    UpdatedAt,
    Actor,
    Action,
    Rationale,
    ExternalRef,
}

fn known(table: &str, column: &str) -> Option<Known> {
    Some(match (table, column) {
        ("Session", "id") => Known::SessionId,
        ("Session", "shop") | (_, "shopDomain") => Known::Shop,
        ("Session", "state") => Known::State,
        ("Session", "isOnline") => Known::Online,
        ("Session", "scope") => Known::Scopes,
        ("Session", "expires") => Known::Expires,
        ("Session", "accessToken") => Known::Token,
        ("Session", "userId") => Known::UserId,
        ("Session", "firstName") => Known::FirstName,
        ("Session", "lastName") => Known::LastName,
        ("Session", "email") => Known::Email,
        ("Session", "accountOwner" | "collaborator" | "emailVerified") => Known::Rarely,
        ("Session", "locale") => Known::Locale,
        ("DashboardFact", "factType") => Known::FactType,
        ("DashboardFact" | "DecisionLog", "scope") => Known::Area,
        ("DashboardFact", "value") | ("DecisionLog", "payload") => Known::Payload,
        ("DashboardFact", "metadata") => Known::Metadata,
        (_, "evidenceUrl") => Known::EvidenceUrl,
        (_, "createdAt") => Known::CreatedAt,
        (_, "updatedAt") => Known::UpdatedAt,
        ("DecisionLog", "actor") => Known::Actor,
        ("DecisionLog", "action") => Known::Action,
        ("DecisionLog", "rationale") => Known::Rationale,
        ("DecisionLog", "externalRef") => Known::ExternalRef,
        _ => return None,
    })
}

/// The columns that we fill. Keys from a sequence are left to it, so the sequence stays right.
fn columns(transaction: &mut Transaction<'_>, table: &str) -> Result<Vec<Column>> {
    const COLUMNS: &str = "
        select a.attname::text, a.attnotnull and not a.atthasdef and a.attidentity = '',
               b.typname::text, b.typcategory::text,
               case when b.typname in ('varchar', 'bpchar') then nullif(a.atttypmod, -1) - 4 end,
               (select e.enumlabel::text from pg_catalog.pg_enum e where e.enumtypid = b.oid
                 order by e.enumsortorder limit 1)
          from pg_catalog.pg_attribute a
          join pg_catalog.pg_class c on c.oid = a.attrelid
          join pg_catalog.pg_namespace n on n.oid = c.relnamespace
          join pg_catalog.pg_type t on t.oid = a.atttypid
          join pg_catalog.pg_type b on b.oid = coalesce(nullif(t.typbasetype, 0), t.oid)
         where n.nspname = 'public' and c.relname = $1 and c.relkind in ('r', 'p')
           and a.attnum > 0 and not a.attisdropped and a.attgenerated = '' order by a.attnum";
    let rows = transaction.query(COLUMNS, &[&table]).map_err(|error| failure("look at the tables to seed", &error))?;
    if rows.is_empty() {
        return Err(Failure::blocked(format!("there is no table `public.{table}` to seed"))
            .hint("apply the migrations first: cargo xtask forward --sandbox"));
    }
    let mut columns = Vec::new();
    for row in &rows {
        let (name, required): (String, bool) = (row.get(0), row.get(1));
        match known(table, &name) {
            Some(known) => columns.push(Column { name, value: Value::Known(known) }),
            None if required => columns.push(Column { value: by_type(table, &name, row)?, name }),
            None => {}
        }
    }
    Ok(columns)
}

fn by_type(table: &str, column: &str, row: &postgres::Row) -> Result<Value> {
    let (kind, category): (&str, &str) = (row.get(2), row.get(3));
    Ok(match (kind, category) {
        ("uuid", _) => Value::Uuid,
        ("json" | "jsonb", _) => Value::Json,
        ("bytea", _) => Value::Bytes,
        ("timestamp" | "timestamptz" | "date", _) => Value::Time,
        ("int2", _) => Value::SmallNumber,
        (_, "N") => Value::Number,
        (_, "B") => Value::Boolean,
        (_, "S") => {
            Value::Text { max_length: row.get::<_, Option<i32>>(4).map(|length| length.unsigned_abs() as usize) }
        }
        (_, "A") => Value::EmptyArray,
        (_, "E") => Value::Label(row.get::<_, Option<String>>(5).unwrap_or_default()),
        _ => {
            let message = format!(
                "the column `public.{table}.{column}` of type `{kind}` must have a value, and the seeder knows none"
            );
            return Err(Failure::blocked(message).hint("give the column a default, or teach the seeder its type"));
        }
    })
}

/// The number of the first row to add: those of an earlier seeding are not used again.
fn start(transaction: &mut Transaction<'_>, table: &str) -> Result<u64> {
    let sql = match table {
        "Session" => format!(
            "select pg_catalog.max(pg_catalog.substr(id, 5, 4) || pg_catalog.substr(id, 10, 4) collate pg_catalog.\"C\")
               from public.\"Session\"
              where id ~ '^{SESSION_ID_PREFIX}[0-9a-f]{{4}}-[0-9a-f]{{4}}-4[0-9a-f]{{3}}-8000-'"
        ),
        _ => format!("select pg_catalog.to_hex(pg_catalog.count(*)) from public.{}", escape_identifier(table)),
    };
    let row =
        transaction.query_one(&sql, &[]).map_err(|error| failure("look for rows of an earlier seeding", &error))?;
    let last: Option<&str> = row.get(0);
    Ok(last.and_then(|hex| u64::from_str_radix(hex, 16).ok()).map_or(0, |last| last + 1))
}

fn copy(
    transaction: &mut Transaction<'_>,
    table: &str,
    columns: &[Column],
    numbers: std::ops::Range<u64>,
    now: Timestamp,
) -> Result<()> {
    let names: Vec<String> = columns.iter().map(|column| escape_identifier(&column.name)).collect();
    let sql = format!("copy public.{} ({}) from stdin", escape_identifier(table), names.join(", "));
    let intent = format!("fill `public.{table}`");
    let mut writer = transaction.copy_in(&sql).map_err(|error| failure(&intent, &error))?;
    let mut random = Rng::with_seed(numbers.start ^ (table.len() as u64) << 48);
    let mut chunk = String::with_capacity(CHUNK_BYTES + 4096);
    let mut send = |chunk: &mut String| {
        let sent = writer.write_all(chunk.as_bytes());
        chunk.clear();
        sent.map_err(|error| Failure::failed(format!("could not {intent}")).caused_by(&error))
    };
    for number in numbers {
        write_row(&mut chunk, columns, &Row::draw(number, now, &mut random), &mut random);
        if chunk.len() >= CHUNK_BYTES {
            send(&mut chunk)?;
        }
    }
    send(&mut chunk)?;
    writer.finish().map_err(|error| failure(&intent, &error))?;
    Ok(())
}

/// What the values of one row have in common.
struct Row {
    number: u64,
    created: Timestamp,
    updated: Timestamp,
    shop: u8,
    first_name: &'static str,
    last_name: &'static str,
    fact_type: &'static str,
}

impl Row {
    fn draw(number: u64, now: Timestamp, random: &mut Rng) -> Row {
        let age = random.u64(0..SPREAD_MS);
        Row {
            number,
            created: before(now, age),
            updated: before(now, random.u64(0..=age)),
            shop: random.u8(..),
            first_name: pick(&FIRST_NAMES, random),
            last_name: pick(&LAST_NAMES, random),
            fact_type: pick(&FACT_TYPES, random),
        }
    }
}

fn before(now: Timestamp, milliseconds: u64) -> Timestamp {
    let span = jiff::SignedDuration::from_millis(milliseconds as i64);
    now.checked_sub(span).unwrap_or(Timestamp::MIN)
}

fn pick<'a>(words: &[&'a str], random: &mut Rng) -> &'a str {
    words[random.usize(..words.len())]
}

const NULL: &str = "\\N";

fn write_row(out: &mut String, columns: &[Column], row: &Row, random: &mut Rng) {
    for (index, column) in columns.iter().enumerate() {
        if index > 0 {
            out.push('\t');
        }
        // Writing to a String cannot fail.
        let _ = write_value(out, &column.value, row, random);
    }
    out.push('\n');
}

/// Writes in the text format of COPY (PostgreSQL documentation, "COPY"): of what is written here only a label may need
/// its escapes.
fn write_value(out: &mut String, value: &Value, row: &Row, random: &mut Rng) -> std::fmt::Result {
    match value {
        Value::Known(known) => write_known(out, *known, row, random),
        Value::Number => write!(out, "{}", row.number),
        Value::SmallNumber => write!(out, "{}", row.number % 0x8000),
        Value::Boolean => write_flag(out, random.bool()),
        Value::Text { max_length } => {
            let text = format!("{:x}", row.number);
            // The end differs between neighbours; the beginning does not.
            let from = text.len().saturating_sub(max_length.unwrap_or(usize::MAX));
            out.write_str(&text[from..])
        }
        Value::Uuid => write!(out, "{:08x}-0000-4000-8000-{:012x}", random.u32(..), row.number),
        Value::Json => out.write_str("{}"),
        Value::Time => write!(out, "{}", row.created),
        Value::Bytes => write!(out, "\\\\x{:016x}", row.number),
        Value::EmptyArray => out.write_str("{}"),
        Value::Label(label) => out.write_str(&escaped(label)),
    }
}

fn write_known(out: &mut String, known: Known, row: &Row, random: &mut Rng) -> std::fmt::Result {
    match known {
        Known::SessionId => {
            // Shaped like a version 4 UUID that begins with the row's number: keys that grow are the cheapest to index.
            let (high, low) = (row.number >> 16, row.number & 0xffff);
            let (a, b) = (random.u16(..0x1000), random.u64(..1 << 48));
            write!(out, "{SESSION_ID_PREFIX}{high:04x}-{low:04x}-4{a:03x}-8000-{b:012x}")
        }
        Known::Shop => write_shop(out, row.shop),
        Known::State => write!(out, "{:015}", random.u64(0..1_000_000_000_000_000)),
        Known::Online => write_flag(out, row.number.is_multiple_of(3)),
        Known::Scopes => out.write_str("read_orders,read_products,write_inventory"),
        Known::Expires => write!(out, "{}", row.updated),
        Known::Token => write!(out, "seeded_{:016x}{:016x}", random.u64(..), random.u64(..)),
        Known::UserId => write!(out, "{}", 70_000_000_000 + row.number),
        Known::FirstName => out.write_str(row.first_name),
        Known::LastName => out.write_str(row.last_name),
        Known::Email => write!(out, "user{}@example.com", row.number),
        Known::Rarely => write_flag(out, random.u8(..10) == 0),
        Known::Locale => out.write_str(pick(&LOCALES, random)),
        Known::FactType => out.write_str(row.fact_type),
        Known::Area => out.write_str(pick(&["ops", "growth", "support"], random)),
        Known::Payload => write_payload(out, row, random),
        Known::Metadata if random.bool() => out.write_str(NULL),
        Known::Metadata => write!(out, "{{\"generatedBy\": \"seed\", \"requestId\": \"{:08x}\"}}", random.u32(..)),
        Known::EvidenceUrl if random.u8(..4) > 0 => out.write_str(NULL),
        Known::EvidenceUrl => write!(out, "https://evidence.example.com/{:x}", row.number),
        Known::CreatedAt => write!(out, "{}", row.created),
        Known::UpdatedAt => write!(out, "{}", row.updated),
        Known::Actor => out.write_str(pick(&ACTORS, random)),
        Known::Action => out.write_str(pick(&ACTIONS, random)),
        Known::Rationale => out.write_str(pick(&RATIONALES, random)),
        Known::ExternalRef => write!(out, "conversation-{}", random.u32(1..100_000)),
    }
}

fn write_flag(out: &mut String, flag: bool) -> std::fmt::Result {
    out.write_str(if flag { "t" } else { "f" })
}

/// One of 256 shops.
fn write_shop(out: &mut String, shop: u8) -> std::fmt::Result {
    let shop = shop as usize;
    write!(out, "{}-{}-{}.myshopify.com", SHOP_WORDS[shop % 8], SHOP_WORDS[shop / 8 % 8], shop / 64)
}

fn write_payload(out: &mut String, row: &Row, random: &mut Rng) -> std::fmt::Result {
    let (count, amount) = (random.u32(1..500), random.u32(..1_000_000));
    match row.fact_type {
        "dashboard.session.opened" | "dashboard.refresh.triggered" => {
            write!(out, "{{\"count\": {count}, \"by\": \"{} {}\"}}", row.first_name, row.last_name)
        }
        "shopify.orders.summary" => write!(
            out,
            "{{\"orders\": {count}, \"revenue\": {}.{:02}, \"currency\": \"€\", \"top\": [\"Café mug ☕\"]}}",
            amount / 100,
            amount % 100
        ),
        _ => write!(out, "{{\"items\": {count}, \"threshold\": {}, \"note\": \"naïve – 要確認\"}}", amount % 50),
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n").replace('\r', "\\r")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Status;
    use crate::guard::proven;
    use crate::postgres::server::Database;

    const MODELS: &str = r#"
        create table "Session" (id text primary key, shop text not null, state text not null,
            "isOnline" boolean not null default false,
            scope text, expires timestamp(3), "accessToken" text not null, "userId" bigint,
            "firstName" text, "lastName" text,
            email text, "accountOwner" boolean not null default false, locale text, collaborator boolean default false,
            "emailVerified" boolean default false);
        create table "DashboardFact" (id serial primary key, "shopDomain" text not null, "factType" text not null,
            scope text,
            value jsonb not null, metadata jsonb, "evidenceUrl" text,
            "createdAt" timestamp(3) not null default current_timestamp, "updatedAt" timestamp(3) not null);
        create table "DecisionLog" (id serial primary key, scope text not null, actor text not null,
            action text not null,
            rationale text, "evidenceUrl" text, "shopDomain" text, "externalRef" text, payload jsonb,
            "createdAt" timestamp(3) not null default current_timestamp)"#;

    fn database() -> Database {
        let mut database = Database::new();
        database.run(MODELS);
        database
    }

    fn now() -> Timestamp {
        "2026-11-22T12:00:00Z".parse().unwrap()
    }

    fn rows(database: &mut Database, table: &str) -> i64 {
        database.ask(&format!("select count(*) from public.\"{table}\""))
    }

    #[test]
    fn every_table_gets_the_rows_asked_for_none_included() {
        let mut database = database();
        let added = seed(&mut database.connection, &proven(), 0, &Mishaps::default(), now()).unwrap();
        assert_eq!(added.values().sum::<u64>(), 0);
        assert_eq!(TABLES.map(|table| rows(&mut database, table)), [0, 0, 0]);
        let added = seed(&mut database.connection, &proven(), 1001, &Mishaps::default(), now()).unwrap();
        assert_eq!(added["public.DashboardFact"], 1001);
        assert_eq!(TABLES.map(|table| rows(&mut database, table)), [1001, 1001, 1001]);
    }

    #[test]
    fn seeding_again_adds_fresh_keys_even_after_rows_were_deleted() {
        let mut database = database();
        seed(&mut database.connection, &proven(), 300, &Mishaps::default(), now()).unwrap();
        database.run(
            r#"delete from "Session" where right(id, 2) < '80'; insert into "Session" (id, shop, state, "accessToken")
                        values ('offline_shop', 's', 't', 'u')"#,
        );
        let left = rows(&mut database, "Session");
        seed(&mut database.connection, &proven(), 300, &Mishaps::default(), now()).unwrap();
        assert_eq!(rows(&mut database, "Session"), left + 300);
        let free: bool = database
            .ask(r#"select nextval('public."DashboardFact_id_seq"') > (select max(id) from public."DashboardFact")"#);
        assert!(free, "the sequence is behind the keys");
    }

    #[test]
    fn equal_databases_get_equal_rows() {
        let digest = || -> String {
            let mut database = database();
            seed(&mut database.connection, &proven(), 500, &Mishaps::default(), now()).unwrap();
            seed(&mut database.connection, &proven(), 500, &Mishaps::default(), now()).unwrap();
            database.ask(
                r#"select md5(string_agg(f::text, '' order by id)) || (select md5(string_agg(s::text, '' order by id))
                              from public."Session" s) from public."DashboardFact" f"#,
            )
        };
        assert_eq!(digest(), digest());
    }

    #[test]
    fn rows_are_believable() {
        let mut database = database();
        seed(&mut database.connection, &proven(), 2000, &Mishaps::default(), now()).unwrap();
        let wrong: i64 = database.ask(
            r#"select count(*) from public."DashboardFact"
                where not ("createdAt" between '2026-10-23 12:00' and '2026-11-22 12:00')
                   or not ("updatedAt" between "createdAt" and '2026-11-22 12:00')"#,
        );
        assert_eq!(wrong, 0);
        let spread: bool = database
            .ask(r#"select max("createdAt") - min("createdAt") > interval '29 days' from public."DashboardFact""#);
        assert!(spread);
        let opened: i64 = database
            .ask(r#"select count(*) from public."DashboardFact" where "factType" = 'dashboard.session.opened'"#);
        let refreshed: i64 = database
            .ask(r#"select count(*) from public."DashboardFact" where "factType" = 'dashboard.refresh.triggered'"#);
        assert!(opened > refreshed && refreshed > 100, "{opened} {refreshed}");
        assert!(
            database.ask::<bool>(r#"select bool_or(value::text ~ '[^ -~]') from public."DashboardFact""#),
            "no unicode"
        );
        assert!(database.ask::<bool>(r#"select bool_and("accessToken" like 'seeded\_%') from public."Session""#));
        assert!(database.ask::<bool>(r#"select count(distinct shop) > 100 from public."Session""#));
    }

    #[test]
    fn columns_that_the_seeder_does_not_know_are_filled_by_type_or_left_alone() {
        let mut database = database();
        database.run(
            r#"create type mood as enum ('it''s\fine', 'b'); create domain short as varchar(2);
               alter table "DecisionLog" add extra int not null, add small smallint not null, add mood mood not null,
                   add tags text[] not null,
                   add ref uuid not null unique, add seen timestamptz not null, add code varchar(3) not null,
                   add dom short not null,
                   add flag boolean not null, add raw bytea not null, add doc json not null, add later text,
                   add doubled int generated always as (extra * 2) stored, add ident int generated always as identity,
                   add given text not null default 'x'"#,
        );
        seed(&mut database.connection, &proven(), 100, &Mishaps::default(), now()).unwrap();
        let left: bool = database
            .ask(r#"select bool_and(given = 'x' and later is null and mood = 'it''s\fine') from public."DecisionLog""#);
        assert!(left);
    }

    #[test]
    fn what_cannot_be_seeded_is_said_and_nothing_is_added() {
        let mut database = database();
        database.run(r#"alter table "DecisionLog" add place point not null"#);
        let failure = seed(&mut database.connection, &proven(), 10, &Mishaps::default(), now()).unwrap_err();
        assert_eq!(failure.status, Status::Blocked);
        assert!(failure.message.contains("`public.DecisionLog.place` of type `point`"), "{failure:?}");
        assert_eq!(rows(&mut database, "Session"), 0);
        database.run(r#"drop table "DecisionLog""#);
        let failure = seed(&mut database.connection, &proven(), 10, &Mishaps::default(), now()).unwrap_err();
        assert_eq!(failure.message, "there is no table `public.DecisionLog` to seed");
    }
}
