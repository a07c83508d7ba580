//! `parity` row by row against what a person would type into `psql` for the same answer: an anti-join each way, and a join for the values. `parity`
//! is the whole command, its counts too.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::parity::{Sides, our_pairs};
use super::samples::Samples;
use super::{silently, time};

/// Every fact, with its number and value, under other names and another type.
const COPY: &str = r#"create table fact_copy (fact_id bigint primary key, shop text, value jsonb, created_at timestamptz);
insert into fact_copy select id, "shopDomain", value, "createdAt" at time zone 'UTC' from "DashboardFact""#;

/// One in a thousand is missing, two in a thousand are changed: within what the pairs below allow, so that there is one look.
const DIFFERENCES: &str = "delete from fact_copy where fact_id % 1000 = 7;
update fact_copy set value = '{\"x\": 1}' where fact_id % 500 = 9;
delete from facts where topic = 'dashboard.analytics' and abs(hashtext(id::text)) % 1000 = 7;
update facts set value = '{\"x\": 1}' where topic = 'dashboard.analytics' and abs(hashtext(id::text)) % 500 = 9";

const BY_NUMBER: [&str; 3] = [
    r#"select count(*) from "DashboardFact" p where not exists (select from fact_copy m where m.fact_id = p.id)"#,
    r#"select count(*) from fact_copy m where not exists (select from "DashboardFact" p where p.id = m.fact_id)"#,
    r#"select count(*) from "DashboardFact" p join fact_copy m on m.fact_id = p.id where m.value is distinct from p.value"#,
];

/// What a pair of ours compares, as `psql` is asked for it.
fn by_shop_and_time(kind: &str, key: &str) -> [String; 3] {
    let [prisma, mirror] =
        [format!(r#"p."factType" = '{kind}'"#), format!("m.topic = 'dashboard.analytics' and m.key = '{key}'")];
    let on = r#"m.project = p."shopDomain" and m.created_at = p."createdAt" at time zone 'UTC'"#;
    [
        format!(
            r#"select count(*) from "DashboardFact" p where {prisma} and not exists (select from facts m where {mirror} and {on})"#
        ),
        format!(
            r#"select count(*) from facts m where {mirror} and not exists (select from "DashboardFact" p where {prisma} and {on})"#
        ),
        format!(
            r#"select count(*) from "DashboardFact" p join facts m on {on} where {prisma} and {mirror} and m.value is distinct from p.value"#
        ),
    ]
}

pub fn run(rows: usize, runs: usize) -> Result<()> {
    let sides = Sides::new(rows)?;
    sides
        .sql(&[COPY, "vacuum analyze fact_copy", "vacuum analyze facts", r#"vacuum analyze "DashboardFact""#])
        .run()?;
    println!("{} rows a side, one by one:", sides.sql(&["select count(*) from fact_copy"]).read()?);
    let copy = |values: &str| {
        format!(
            "\nname = \"copy\"\nprisma = {{ table = \"DashboardFact\", time = \"createdAt\" }}\n\
             mirror = {{ table = \"fact_copy\", time = \"created_at\" }}\nrows = {{ key = {{ id = \"fact_id\" }}{values} }}\n"
        )
    };
    let (key, values) = (copy(""), copy(", values = { value = \"value\" }, threshold_pct = 1"));
    let ours =
        our_pairs()?.replace("values = { value = \"value\" } }", "values = { value = \"value\" }, threshold_pct = 1 }");
    let kinds = [("dashboard.session.opened", "view"), ("dashboard.refresh.triggered", "refresh")];
    let by_shop: Vec<String> = kinds.into_iter().flat_map(|(kind, key)| by_shop_and_time(kind, key)).collect();
    let by_shop: Vec<&str> = by_shop.iter().map(String::as_str).collect();
    for state in ["alike", "0.1 % missing, 0.2 % changed"] {
        let questions: [(&str, &str, &[&str]); 3] = [
            ("by number, no values", &key, &BY_NUMBER[..2]),
            ("by number, one value", &values, &BY_NUMBER),
            ("our pairs, by shop and time, one value", &ours, &by_shop),
        ];
        for (what, pairs, statements) in questions {
            sides.pairs(pairs)?;
            agree(&sides, statements)?;
            measure(&sides, statements, &format!("{what}, {state}"), runs)?;
        }
        sides.sql(&[DIFFERENCES, "analyze fact_copy", "analyze facts"]).run()?;
    }
    Ok(())
}

fn measure(sides: &Sides, statements: &[&str], what: &str, runs: usize) -> Result<()> {
    let (mut psql, mut parity) = (Samples::default(), Samples::default());
    for _ in 0..runs {
        psql.push(time(|| silently(sides.sql(statements)))?);
        parity.push(time(|| silently(sides.parity()))?);
    }
    let (plain, drill, ratio) = (psql.median(), parity.median(), parity.ratio_to(&psql));
    println!("{what}: psql {plain:.0} ms, parity {drill:.0} ms; {ratio} ({runs} pairs; budget 2.00)");
    Ok(())
}

/// Both give the same numbers: missing, extra and, where values are compared, changed.
fn agree(sides: &Sides, statements: &[&str]) -> Result<()> {
    let answer: Value = serde_json::from_str(&sides.parity().ignore_stderr().read()?)?;
    let pairs = answer["parity"]["pairs"].as_array().context("parity has pairs")?;
    let kinds = &["missing", "extra", "changed"][..(statements.len() / pairs.len())];
    let ours: Vec<String> =
        pairs.iter().flat_map(|pair| kinds.iter().map(|kind| pair["rows"][*kind].to_string())).collect();
    let (ours, theirs) = (ours.join("\n"), sides.sql(statements).read()?);
    ensure!(ours == theirs, "the rows differ: psql\n{theirs}\nparity\n{ours}");
    Ok(())
}
