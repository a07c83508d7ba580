//! Statements that drop, make and change what a catalog holds. The catalog's words are not all of SQL: what there is no statement for is None.

use postgres_protocol::escape::{escape_identifier, escape_literal};

use crate::postgres::connection::MIGRATING_ROLE;
use crate::schema::catalog::{Catalog, Object, ObjectKey, quoted};

/// What is inside of a table, a view or a domain, and that.
pub fn inside(key: &ObjectKey) -> Option<(String, String)> {
    let (name, holder) = key.path.split_last()?;
    Some((quoted([name]), quoted(holder)))
}

pub fn property<'a>(object: &'a Object, name: &str) -> Option<&'a str> {
    object.properties.get(name).map(|value| value.as_str())
}

/// A definition of the catalog without its semicolon.
pub fn definition(object: &Object) -> &str {
    property(object, "definition").map_or("", |text| text.trim_end().trim_end_matches(';'))
}

pub fn is_foreign_key(object: &Object) -> bool {
    definition(object).starts_with("FOREIGN KEY")
}

/// `TRIGGER "t" ON "public"."T"`, as DROP and COMMENT write it.
pub fn address(key: &ObjectKey) -> Option<String> {
    let kind = key.kind.to_uppercase();
    Some(match key.kind.as_str() {
        "trigger" | "policy" | "rule" => inside(key).map(|(name, table)| format!("{kind} {name} ON {table}"))?,
        "table"
        | "view"
        | "materialized view"
        | "foreign table"
        | "sequence"
        | "index"
        | "statistics"
        | "function"
        | "procedure"
        | "aggregate"
        | "type"
        | "domain"
        | "schema"
        | "extension"
        | "column"
        | "event trigger"
        | "collation"
        | "conversion"
        | "operator class"
        | "operator family"
        | "text search configuration"
        | "text search dictionary"
        | "text search parser"
        | "text search template"
        | "publication"
        | "foreign data wrapper"
        | "language"
        | "access method" => format!("{kind} {}", key.name()),
        "foreign server" => format!("SERVER {}", key.name()),
        "user mapping" => {
            format!("USER MAPPING FOR {} SERVER {}", role(key.signature.strip_prefix(" for ")?), quoted(&*key.path))
        }
        "operator" => {
            let (name, schema) = key.path.split_last()?;
            format!("OPERATOR {}.{name} {}", quoted(schema), key.signature.replacen("(-,", "(NONE,", 1))
        }
        "cast" | "transform" => format!("{kind}{}", key.signature),
        _ => return None,
    })
}

fn is_of_domain(key: &ObjectKey, catalog: &Catalog) -> bool {
    let (_, holder) = key.path.split_last().unwrap_or((&EMPTY, &[]));
    let domain = ObjectKey::new("domain", holder.to_vec(), "");
    key.kind == "constraint" && catalog.objects.contains_key(&domain)
}

const EMPTY: String = String::new();

/// `key`, which `catalog` has, goes; a column by itself.
pub fn drop(key: &ObjectKey, catalog: &Catalog) -> Option<String> {
    match (key.kind.as_str(), inside(key)) {
        ("constraint", Some((name, domain))) if is_of_domain(key, catalog) => {
            Some(format!("ALTER DOMAIN {domain} DROP CONSTRAINT {name};"))
        }
        ("constraint" | "column", Some((name, table))) => {
            Some(format!("ALTER TABLE {table} DROP {} {name};", key.kind.to_uppercase()))
        }
        _ => Some(format!("DROP {};", address(key)?)),
    }
}

/// What makes `key` again as `catalog` has it; comments, grants and switches follow.
pub fn create(key: &ObjectKey, catalog: &Catalog) -> Option<String> {
    let object = catalog.objects.get(key)?;
    let (name, text) = (key.name(), definition(object));
    let options = property(object, "storage parameters").map(|list| format!(" WITH ({list})")).unwrap_or_default();
    Some(match key.kind.as_str() {
        "view" => format!("CREATE VIEW {name}{options} AS\n{text};"),
        "materialized view" => {
            let data = if property(object, "populated").is_some() { "\n  WITH NO DATA" } else { "" };
            format!("CREATE MATERIALIZED VIEW {name}{options} AS\n{text}{data};")
        }
        "constraint" => {
            let (name, holder) = inside(key)?;
            let kind = if is_of_domain(key, catalog) { "DOMAIN" } else { "TABLE" };
            format!("ALTER {kind} {holder} ADD CONSTRAINT {name} {text};")
        }
        "policy" => inside(key).map(|(name, table)| policy(&name, &table, object))?,
        "column" => {
            let (_, table) = inside(key)?;
            format!("ALTER TABLE {table} ADD COLUMN {};", column(key, object, catalog)?)
        }
        "table" => table(key, catalog)?,
        // Of a partitioned table the server writes ONLY, whatever its partitions have.
        "index" => format!("{};", text.replacen(" ON ONLY ", " ON ", 1)),
        "trigger" | "rule" | "statistics" | "function" | "procedure" if !text.is_empty() => {
            format!("{text};")
        }
        "type" => match (property(object, "form")?, property(object, "labels"), property(object, "attributes")) {
            ("enum", labels, _) => format!("CREATE TYPE {name} AS ENUM ({});", labels.unwrap_or_default()),
            ("composite", _, attributes) => format!("CREATE TYPE {name} AS ({});", attributes.unwrap_or_default()),
            _ => return None,
        },
        "domain" => {
            let collation = property(object, "collation").map(|name| format!(" COLLATE {name}")).unwrap_or_default();
            let default = property(object, "default").map(|value| format!(" DEFAULT {value}")).unwrap_or_default();
            let null = if property(object, "nullable") == Some("no") { " NOT NULL" } else { "" };
            format!("CREATE DOMAIN {name} AS {}{collation}{default}{null};", property(object, "type")?)
        }
        "sequence" => format!("CREATE SEQUENCE {name} AS {}{};", property(object, "type")?, parameters(object)?),
        "schema" => format!("CREATE SCHEMA {name};"),
        "publication" => {
            let all = property(object, "all tables").map(|_| " FOR ALL TABLES").unwrap_or_default();
            format!("CREATE PUBLICATION {name}{all} WITH ({});", published(object))
        }
        "event trigger" => event_trigger(&name, object)?,
        "extension" => format!("CREATE EXTENSION {name} SCHEMA {};", escape_identifier(property(object, "schema")?)),
        _ => return None,
    })
}

/// The parameters of a sequence, but for its type.
pub fn parameters(object: &Object) -> Option<String> {
    let of = |name: &str| property(object, name);
    let cycle = if of("cycle") == Some("yes") { "CYCLE" } else { "NO CYCLE" };
    Some(format!(
        " INCREMENT BY {} MINVALUE {} MAXVALUE {} START WITH {} CACHE {} {cycle}",
        of("increment")?,
        of("minimum")?,
        of("maximum")?,
        of("start")?,
        of("cache")?
    ))
}

/// What counts the column that `key` names.
pub fn sequence_of<'a>(key: &ObjectKey, catalog: &'a Catalog) -> Option<(&'a ObjectKey, &'a Object)> {
    let counts = |object: &Object| object.follows.iter().any(|path| path[..] == key.path[..]);
    catalog.objects.iter().find(|(other, object)| other.kind == "sequence" && counts(object))
}

/// ` GENERATED … AS IDENTITY`, with whatever of its sequence is not as the server would make it.
pub fn identity(key: &ObjectKey, column: &Object, catalog: &Catalog) -> Option<String> {
    let kind = property(column, "identity")?.to_uppercase();
    let usual = |kind: &str| match kind {
        "smallint" => i64::from(i16::MAX),
        "integer" => i64::from(i32::MAX),
        _ => i64::MAX,
    };
    let options = sequence_of(key, catalog).map_or(Some(String::new()), |(sequence, object)| {
        let [schema, table, column] = &key.path[..] else { return None };
        let is_usual = sequence.path[..] == [schema.clone(), format!("{table}_{column}_seq")];
        let name = if is_usual { String::new() } else { format!("SEQUENCE NAME {} ", sequence.name()) };
        let maximum = usual(property(object, "type")?);
        let plain = format!(" INCREMENT BY 1 MINVALUE 1 MAXVALUE {maximum} START WITH 1 CACHE 1 NO CYCLE");
        let parameters = Some(parameters(object)?).filter(|parameters| *parameters != plain).unwrap_or_default();
        Some(format!("{name}{}", parameters.trim_start()).trim_end().to_owned())
    })?;
    let options = if options.is_empty() { options } else { format!(" ({options})") };
    Some(format!(" GENERATED {kind} AS IDENTITY{options}"))
}

/// Has a sequence that was made anew go on behind the values that are in the column; None where it cannot be what counts them.
pub fn count_on(sequence: &ObjectKey, parameters: &Object, key: &ObjectKey, column: &Object) -> Option<String> {
    let of = |name: &str| property(parameters, name);
    let (name, table) = inside(key)?;
    let is_number = matches!(property(column, "type")?, "smallint" | "integer" | "bigint");
    let last = if of("increment")?.starts_with('-') { "min" } else { "max" };
    is_number.then_some(format!(
        "SELECT pg_catalog.setval({}, pg_catalog.{last}({name})) FROM {table} HAVING pg_catalog.{last}({name}) BETWEEN {} AND {};",
        escape_literal(&sequence.name()),
        of("minimum")?,
        of("maximum")?
    ))
}

pub fn policy(name: &str, table: &str, object: &Object) -> String {
    let clause = |name: &str, before: &str, after: &str| {
        property(object, name).map(|text| format!(" {before}{text}{after}")).unwrap_or_default()
    };
    let roles = property(object, "roles").map(|roles| {
        let roles: Vec<String> = roles.split(", ").map(role).collect();
        format!(" TO {}", roles.join(", "))
    });
    format!(
        "CREATE POLICY {name} ON {table}{}{}{}{}{};",
        clause("kind", "AS ", ""),
        clause("command", "FOR ", ""),
        roles.unwrap_or_default(),
        clause("using", "USING (", ")"),
        clause("check", "WITH CHECK (", ")")
    )
}

/// As SQL writes a role of the catalog.
fn role(role: &str) -> String {
    match role {
        "PUBLIC" => "PUBLIC".to_owned(),
        MIGRATING_ROLE => "CURRENT_USER".to_owned(),
        other => escape_identifier(other),
    }
}

/// The parameters of a publication that every server knows.
pub fn published(object: &Object) -> String {
    let root = property(object, "via root").is_some();
    let publishes = escape_literal(property(object, "publishes").unwrap_or_default());
    format!("publish = {publishes}, publish_via_partition_root = {root}")
}

fn event_trigger(name: &str, object: &Object) -> Option<String> {
    let of = |name: &str| property(object, name);
    let tags = of("tags").map(|tags| tags.split(", ").map(escape_literal).collect::<Vec<_>>().join(", "));
    let tags = tags.map(|tags| format!(" WHEN TAG IN ({tags})")).unwrap_or_default();
    Some(format!("CREATE EVENT TRIGGER {name} ON {}{tags} EXECUTE FUNCTION {};", of("event")?, of("function")?))
}

/// What a column can be besides what `column` writes; comments and grants follow.
const RARE_OF_COLUMN: [&str; 7] =
    ["storage", "compression", "statistics target", "options", "foreign options", "not null", "also its own"];

/// As CREATE TABLE and ADD COLUMN write it.
pub fn column(key: &ObjectKey, object: &Object, catalog: &Catalog) -> Option<String> {
    if RARE_OF_COLUMN.iter().any(|name| property(object, name).is_some()) {
        return None;
    }
    let collation = property(object, "collation").map(|name| format!(" COLLATE {name}")).unwrap_or_default();
    let value = match (property(object, "generated"), property(object, "identity"), property(object, "default")) {
        (Some(kind), _, Some(value)) => format!(" GENERATED ALWAYS AS ({value}) {}", kind.to_uppercase()),
        (_, Some(_), _) => identity(key, object, catalog)?,
        (_, _, Some(value)) => format!(" DEFAULT {value}"),
        _ => String::new(),
    };
    let null = if property(object, "nullable") == Some("no") { " NOT NULL" } else { "" };
    Some(format!("{} {}{collation}{value}{null}", quoted(key.path.last()), property(object, "type")?))
}

const RARE_OF_TABLE: [&str; 6] =
    ["persistence", "access method", "tablespace", "toast storage parameters", "row type", "access to its row type"];

fn table(key: &ObjectKey, catalog: &Catalog) -> Option<String> {
    let object = catalog.objects.get(key)?;
    let of = |name: &str| property(object, name);
    let options = of("storage parameters").map(|list| format!(" WITH ({list})")).unwrap_or_default();
    let by = of("partition key").map(|key| format!(" PARTITION BY {key}")).unwrap_or_default();
    if RARE_OF_TABLE.iter().any(|name| of(name).is_some()) {
        return None;
    }
    match (of("parents"), of("partition bound")) {
        (Some(parent), Some(bound)) => {
            return Some(format!("CREATE TABLE {} PARTITION OF {parent} {bound}{by}{options};", key.name()));
        }
        (Some(_), None) => return None,
        _ => {}
    }
    let is_its = |one: &&ObjectKey| one.kind == "column" && one.path.starts_with(&key.path) && one.path.len() == 3;
    let mut columns: Vec<&ObjectKey> = catalog.objects.keys().filter(is_its).collect();
    let position =
        |one: &&ObjectKey| property(&catalog.objects[*one], "position").and_then(|at| at.parse::<u32>().ok());
    columns.sort_by_key(position);
    let columns: Option<Vec<String>> = columns.iter().map(|one| column(one, &catalog.objects[*one], catalog)).collect();
    let columns: Vec<String> = columns?.into_iter().map(|column| format!("\n  {column}")).collect();
    Some(format!("CREATE TABLE {} ({}\n){by}{options};", key.name(), columns.join(",")))
}

/// What is said of `key`, or no more.
pub fn comment(key: &ObjectKey, text: Option<&str>, catalog: &Catalog) -> Option<String> {
    let on = match (key.kind.as_str(), inside(key)) {
        ("constraint", Some((name, domain))) if is_of_domain(key, catalog) => {
            format!("CONSTRAINT {name} ON DOMAIN {domain}")
        }
        ("constraint", Some((name, table))) => format!("CONSTRAINT {name} ON {table}"),
        _ => address(key)?,
    };
    Some(format!("COMMENT ON {on} IS {};", text.map_or("NULL".to_owned(), escape_literal)))
}

/// What `key` grants to `grantee`, and nothing else; `privileges` are the catalog's words, None where it says nothing.
pub fn grants(key: &ObjectKey, object: &Object, grantee: &str, privileges: Option<&str>) -> Option<String> {
    let on = match key.kind.as_str() {
        "table" | "view" | "materialized view" | "foreign table" => format!("TABLE {}", key.name()),
        "column" => format!("TABLE {}", inside(key)?.1),
        "sequence" | "function" | "procedure" | "schema" | "type" | "domain" => address(key)?,
        _ => return None,
    };
    let of_column = if key.kind == "column" { format!(" ({})", inside(key)?.0) } else { String::new() };
    let to = role(grantee);
    let is_owner = property(object, "owner") == Some(grantee);
    let revoke = format!("REVOKE ALL{of_column} ON {on} FROM {to};");
    let grant = |words: Vec<&str>, option: &str| match words.is_empty() {
        true => String::new(),
        false => {
            let words: Vec<String> = words.iter().map(|word| format!("{word}{of_column}")).collect();
            format!("\nGRANT {} ON {on} TO {to}{option};", words.join(", "))
        }
    };
    Some(match privileges {
        None if is_owner => format!("GRANT ALL ON {on} TO {to};"),
        None | Some("nothing") => revoke,
        Some(list) => {
            let (may_grant, plain): (Vec<&str>, Vec<&str>) =
                list.split(", ").partition(|word| word.ends_with(MAY_GRANT));
            let may_grant = may_grant.into_iter().map(|word| word.trim_end_matches(MAY_GRANT)).collect();
            revoke + &grant(plain, "") + &grant(may_grant, " WITH GRANT OPTION")
        }
    })
}

const MAY_GRANT: &str = " (may grant)";

/// The switches of row security.
pub fn row_security(key: &ObjectKey, state: Option<&str>) -> String {
    let state = state.unwrap_or_default();
    let enable = if state.contains("enabled") { "ENABLE" } else { "DISABLE" };
    let force = if state.contains("forced") { "FORCE" } else { "NO FORCE" };
    format!("ALTER TABLE {} {enable} ROW LEVEL SECURITY, {force} ROW LEVEL SECURITY;", key.name())
}

/// When a trigger, an event trigger or a rule fires.
pub fn fires(key: &ObjectKey, when: Option<&str>) -> Option<String> {
    let how = match when {
        None => "ENABLE",
        Some("never") => "DISABLE",
        Some("on replicas only") => "ENABLE REPLICA",
        Some("always") => "ENABLE ALWAYS",
        _ => return None,
    };
    if key.kind == "event trigger" {
        return Some(format!("ALTER EVENT TRIGGER {} {how};", key.name()));
    }
    let (name, table) = inside(key)?;
    Some(format!("ALTER TABLE {table} {how} {} {name};", key.kind.to_uppercase()))
}

/// What gives `key` the last name of another path.
pub fn rename(key: &ObjectKey, catalog: &Catalog, to: &str) -> Option<String> {
    let to = escape_identifier(to);
    Some(match (key.kind.as_str(), inside(key)) {
        ("column", Some((name, table))) => format!("ALTER TABLE {table} RENAME COLUMN {name} TO {to};"),
        ("constraint", Some((name, domain))) if is_of_domain(key, catalog) => {
            format!("ALTER DOMAIN {domain} RENAME CONSTRAINT {name} TO {to};")
        }
        ("constraint", Some((name, table))) => format!("ALTER TABLE {table} RENAME CONSTRAINT {name} TO {to};"),
        ("extension", _) => return None,
        _ => format!("ALTER {} RENAME TO {to};", address(key)?),
    })
}

/// What moves `key` into another schema.
pub fn move_to(key: &ObjectKey, schema: &str) -> Option<String> {
    let may_move = matches!(
        key.kind.as_str(),
        "table"
            | "view"
            | "materialized view"
            | "foreign table"
            | "sequence"
            | "function"
            | "procedure"
            | "type"
            | "domain"
            | "statistics"
    );
    let address = address(key).filter(|_| may_move)?;
    Some(format!("ALTER {address} SET SCHEMA {};", escape_identifier(schema)))
}
