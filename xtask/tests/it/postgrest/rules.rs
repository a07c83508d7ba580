//! PostgREST's rules, each with the page of its documentation that it is from, and the gateway's.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fallible_iterator::FallibleIterator;
use percent_encoding::percent_decode_str;
use postgres::{Client, NoTls, Transaction};

use super::http::{Request, Response};
use super::{SECRET_KEY, Shared};

/// "Configuration: db-schemas".
const EXPOSED: &str = "public";
/// "Configuration: db-max-rows", with Supabase's default.
const MOST_ROWS: u64 = 1000;

/// Table to column to type: what was there when it was loaded ("Schema Cache").
pub type Cache = BTreeMap<String, BTreeMap<String, String>>;

pub fn cache(url: &str) -> Cache {
    let mut client = Client::connect(url, NoTls).unwrap();
    let columns = "select c.relname::text, a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod)
                     from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
                    where c.relnamespace = to_regnamespace('public') and c.relkind in ('r', 'p', 'v', 'm')";
    let mut cache = Cache::new();
    for row in client.query(columns, &[]).unwrap() {
        cache.entry(row.get(0)).or_default().insert(row.get(1), row.get(2));
    }
    cache
}

/// "Schema Cache Reloading": `NOTIFY pgrst` alone, or with `reload schema`.
pub fn listen(shared: &Shared) {
    let mut client = Client::connect(&shared.database, NoTls).unwrap();
    client.batch_execute("listen pgrst").unwrap();
    while !shared.ended() {
        let heard = client.notifications().timeout_iter(Duration::from_millis(20)).next();
        let Ok(heard) = heard else { return };
        let reload = heard.is_some_and(|heard| matches!(heard.payload(), "" | "reload schema"));
        if reload && !shared.deaf.load(Ordering::Relaxed) {
            *shared.cache.lock().unwrap() = cache(&shared.database);
        }
    }
}

/// "Errors": every error is an object of these four.
pub fn error(status: u16, code: &str, message: &str) -> Response {
    let body = serde_json::json!({ "code": code, "message": message, "details": null, "hint": null });
    Response::new(status, body.to_string()).header("Content-Type", "application/json; charset=utf-8")
}

/// The gateway's have no code.
fn gateway_error(message: &str, hint: &str) -> Response {
    let body = serde_json::json!({ "message": message, "hint": hint });
    Response::new(401, body.to_string()).header("Content-Type", "application/json; charset=utf-8")
}

pub fn answer(shared: &Shared, request: &Request) -> Response {
    let role = match role(shared, request) {
        Ok(role) => role,
        Err(refused) => return refused,
    };
    // "Schemas: GET/HEAD".
    let profile = request.header("accept-profile").unwrap_or(EXPOSED);
    if profile != EXPOSED {
        return error(406, "PGRST106", &format!("Invalid schema: {profile}"));
    }
    let Some((table, query)) = parsed(&request.target) else { return Response::new(404, "") };
    let columns = shared.cache.lock().unwrap().get(&table).cloned();
    let Some(columns) = columns else {
        return error(404, "PGRST205", &format!("Could not find the table 'public.{table}' in the schema cache"));
    };
    let exact = request.header("prefer").is_some_and(|prefer| prefer.contains("count=exact"));
    match Question::read(&table, &query, &columns).and_then(|question| question.ask(shared, role, exact)) {
        Ok(page) => page.response(exact),
        Err(refused) => refused,
    }
}

/// "Understanding API keys" (Supabase): every key goes in `apikey`; a legacy one is a JWT, which PostgREST reads from `Authorization` and
/// without which the role is `anon`; a secret one is no JWT, and the gateway makes one of it.
fn role(shared: &Shared, request: &Request) -> Result<&'static str, Response> {
    let Some(key) = request.header("apikey") else {
        return Err(gateway_error("No API key found in request", "No `apikey` request header or url param was found."));
    };
    let Some((_, role)) = shared.keys.iter().find(|(known, _)| known == key) else {
        return Err(gateway_error("Invalid API key", "Double check your API key."));
    };
    match request.header("authorization").map(|value| value.strip_prefix("Bearer ").unwrap_or_default()) {
        Some(token) if token.split('.').count() != 3 => {
            Err(error(401, "PGRST301", &format!("Expected 3 parts in JWT; got {}", token.split('.').count())))
        }
        Some(token) if token != key => Err(error(401, "PGRST301", "JWSError JWSInvalidSignature")),
        Some(_) => Ok(role),
        None if key == SECRET_KEY => Ok(role),
        None => Ok("anon"),
    }
}

fn parsed(target: &str) -> Option<(String, Vec<(String, String)>)> {
    let decoded = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8().unwrap().into_owned();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let table = decoded(path.strip_prefix("/rest/v1/")?);
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    Some((table, pairs.map(|(name, value)| (decoded(name), decoded(value))).collect()))
}

#[derive(Debug)]
struct Question {
    table: String,
    select: String,
    condition: String,
    values: Vec<String>,
    order: String,
    limit: u64,
    offset: u64,
}

struct Page {
    rows: String,
    length: u64,
    total: u64,
    offset: u64,
}

impl Question {
    /// "Horizontal Filtering" and "Limits and Pagination"; what is no parameter is a column.
    fn read(table: &str, query: &[(String, String)], columns: &BTreeMap<String, String>) -> Result<Question, Response> {
        let mut question = Question {
            table: table.to_owned(),
            select: "*".to_owned(),
            condition: "true".to_owned(),
            values: Vec::new(),
            order: String::new(),
            limit: MOST_ROWS,
            offset: 0,
        };
        for (name, value) in query {
            match name.as_str() {
                "select" if value == "*" => {}
                "select" => question.select = value.split(',').map(quoted).collect::<Vec<_>>().join(", "),
                "limit" => question.limit = value.parse::<u64>().unwrap().min(MOST_ROWS),
                "offset" => question.offset = value.parse().unwrap(),
                "order" => {
                    let mut words = value.split('.');
                    let (column, direction) = (words.next().unwrap(), words.next().unwrap_or("asc"));
                    let nulls = if words.next() == Some("nullslast") { "nulls last" } else { "" };
                    assert!(matches!(direction, "asc" | "desc"));
                    question.order = format!("order by {} {direction} {nulls}", quoted(column));
                }
                column => question.filter(column, value, columns)?,
            }
        }
        Ok(question)
    }

    fn filter(&mut self, column: &str, value: &str, columns: &BTreeMap<String, String>) -> Result<(), Response> {
        let Some(kind) = columns.get(column) else {
            return Err(error(400, "42703", &format!("column {}.{column} does not exist", self.table)));
        };
        let (operator, operand) = value.split_once('.').unwrap_or((value, ""));
        let operator = match operator {
            "eq" => "=",
            "neq" => "<>",
            "gt" => ">",
            "gte" => ">=",
            "lt" => "<",
            "lte" => "<=",
            _ => return Err(error(400, "PGRST100", &format!("failed to parse filter ({value})"))),
        };
        self.values.push(operand.to_owned());
        let place = self.values.len();
        self.condition.push_str(&format!(" and {} {operator} ${place}::text::{kind}", quoted(column)));
        Ok(())
    }

    /// "Transactions": read only, as the key's role, under its settings.
    fn ask(&self, shared: &Shared, role: &str, exact: bool) -> Result<Page, Response> {
        let mut client = Client::connect(&shared.database, NoTls).unwrap();
        let mut transaction = client.build_transaction().read_only(true).start().unwrap();
        let timeout = shared.statement_timeout.load(Ordering::Relaxed);
        let settings = format!("set local role {role}; set local statement_timeout = {timeout}");
        transaction.batch_execute(&settings).unwrap();
        self.page(&mut transaction, exact).map_err(|failed| {
            let failed = failed.as_db_error().unwrap();
            let status = match failed.code().code() {
                "42501" if role == "anon" => 401,
                "42501" => 403,
                "42P01" => 404,
                code if code.starts_with("57") => 500,
                _ => 400,
            };
            error(status, failed.code().code(), failed.message())
        })
    }

    fn page(&self, transaction: &mut Transaction<'_>, exact: bool) -> Result<Page, postgres::Error> {
        let Question { select, condition, order, limit, offset, .. } = self;
        let from = format!("from public.{} where {condition}", quoted(&self.table));
        let values: Vec<&(dyn postgres::types::ToSql + Sync)> = self.values.iter().map(|value| value as _).collect();
        let rows = format!(
            "select coalesce(json_agg(page), '[]')::text, count(*) from (select {select} {from} {order} limit {limit} offset {offset}) page"
        );
        let page = transaction.query_one(&rows, &values)?;
        let length = page.get::<_, i64>(1).unsigned_abs();
        // "Counting": without it the total is not known.
        let total = match exact {
            true => transaction.query_one(&format!("select count(*) {from}"), &values)?.get::<_, i64>(0).unsigned_abs(),
            false => 0,
        };
        Ok(Page { rows: page.get(0), length, total, offset: self.offset })
    }
}

impl Page {
    /// "Limits and Pagination": 206 with only some of the rows, 416 beyond them.
    fn response(self, exact: bool) -> Response {
        let Page { rows, length, total, offset } = self;
        if exact && offset > 0 && offset >= total {
            return error(416, "PGRST103", "Requested range not satisfiable");
        }
        let range = if length == 0 { "*".to_owned() } else { format!("{offset}-{}", offset + length - 1) };
        let (status, total) = match exact {
            true if length < total => (206, total.to_string()),
            true => (200, total.to_string()),
            false => (200, "*".to_owned()),
        };
        Response::new(status, rows)
            .header("Content-Type", "application/json; charset=utf-8")
            .header("Content-Range", format!("{range}/{total}"))
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
