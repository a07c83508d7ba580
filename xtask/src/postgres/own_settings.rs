//! What our own sessions run under, whatever the role, the database or the server prefers.
//!
//! A role may have any setting turned against us: a limit that ends our session, a transaction that may not write, another reading of a
//! literal. So each one that can change what our statements mean, return or live to see is set. `role` and `session_authorization` are left: who
//! a session acts as is the database's business, children act as the same one, and what we ask is who `current_user` is.

use std::time::Duration;

use postgres_protocol::escape::escape_literal;

/// Longest wait for a lock that another session holds: long enough for a short transaction, short enough not to queue
/// others behind us.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// Names and values as the server shows them. One that the server does not know is left out; one that is right already is left alone, since
/// some may be set by a superuser only.
const SETTINGS: [(&str, &str); 30] = [
    // Names and row counts mean what they say: with `row_security` off the server raises an error where it would silently return fewer rows.
    ("search_path", "pg_catalog, pg_temp"),
    ("row_security", "off"),
    ("gin_fuzzy_search_limit", "0"),
    ("zero_damaged_pages", "off"),
    ("ignore_checksum_failure", "off"),
    ("restrict_nonsystem_relation_kind", ""),
    // Triggers and foreign keys are at work.
    ("session_replication_role", "origin"),
    // A transaction is what `begin` says.
    ("default_transaction_read_only", "off"),
    ("default_transaction_isolation", "read committed"),
    ("default_transaction_deferrable", "off"),
    // A session lives as long as we hold it.
    ("idle_session_timeout", "0"),
    ("idle_in_transaction_session_timeout", "0"),
    ("transaction_timeout", "0"),
    ("exit_on_error", "off"),
    // A literal is read as it was written.
    ("standard_conforming_strings", "on"),
    ("backslash_quote", "safe_encoding"),
    ("array_nulls", "on"),
    ("transform_null_equals", "off"),
    ("xmloption", "content"),
    // Values and definitions are printed in one way.
    ("quote_all_identifiers", "off"),
    ("TimeZone", "UTC"),
    ("DateStyle", "ISO, YMD"),
    ("IntervalStyle", "postgres"),
    ("extra_float_digits", "1"),
    ("bytea_output", "hex"),
    ("xmlbinary", "base64"),
    ("lc_monetary", "C"),
    ("client_min_messages", "notice"),
    // Catalogs are the server's own.
    ("allow_system_table_mods", "off"),
    // Compiling a catalog query takes longer than running it.
    ("jit", "off"),
];

/// As one request; `is_local`: until the transaction ends. The limit on statements comes first, and alone: the role's own may be too short for
/// anything else.
pub fn sql(statement_timeout: Duration, is_local: bool) -> String {
    let (set, scope) = if is_local { ("set local", "true") } else { ("set", "false") };
    let rows: Vec<String> = SETTINGS.iter().map(|(name, value)| format!("('{name}', '{value}')")).collect();
    format!(
        "{set} statement_timeout = {}; {set} lock_timeout = {};
         select pg_catalog.set_config(s.name, s.value, {scope}) from (values {}) s (name, value)
          where pg_catalog.current_setting(s.name, true) operator(pg_catalog.<>) s.value",
        statement_timeout.as_millis(),
        LOCK_TIMEOUT.as_millis(),
        rows.join(", ")
    )
}

/// Sets each of `settings` that may be set, for the session.
pub fn as_elsewhere(settings: &[(String, String)]) -> String {
    let row = |(name, value): &(String, String)| format!("({}, {})", escape_literal(name), escape_literal(value));
    let rows: Vec<String> = settings.iter().map(row).collect();
    if rows.is_empty() {
        return String::new();
    }
    let each = format!(
        "declare s record; begin
           for s in select * from (values {}) v (name, value) loop
             begin perform pg_catalog.set_config(s.name, s.value, false); exception when others then null; end;
           end loop;
         end",
        rows.join(", ")
    );
    format!("do {}", escape_literal(&each))
}

/// For a session that is otherwise a child's: it is ours to hold, also while nothing is asked of it.
pub const STAYS: &str = "select pg_catalog.set_config(s.name, '0', false)
      from (values ('idle_session_timeout'), ('idle_in_transaction_session_timeout')) s (name)
     where pg_catalog.current_setting(s.name, true) operator(pg_catalog.<>) '0'";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::connection::{Connection, CouldNot};
    use crate::postgres::server::{Database, open_as, url};
    use redact::Secret;

    /// Why a setting that anybody may change cannot matter to our sessions; a name, or all of a category but what is set above.
    const HARMLESS: [(&str, &str); 44] = [
        ("Query Tuning", "how fast, not what"),
        ("Reporting and Logging", "what the server writes into its own log"),
        ("Statistics /", "what the server counts about itself; we read no counter across two statements"),
        ("Resource Usage", "how fast; a statement that meets a limit fails and says so"),
        ("Write-Ahead Log", "when a commit reaches disks and standbys is the server's own trade"),
        ("Lock Management", "how soon a deadlock is noticed"),
        ("Replication", "of walsenders"),
        ("Connections and Authentication / TCP Settings", "how soon the server notices that we are gone"),
        ("Connections and Authentication / Authentication", "for passwords that are set; we set none on a target"),
        ("Shared Library Preloading", "code that a superuser lets in runs with or without us"),
        ("dynamic_library_path", "code that a superuser lets in runs with or without us"),
        ("vacuum_", "we vacuum nothing"),
        ("client_encoding", "the driver asks for UTF-8 in its first packet, which goes before the role's"),
        ("default_text_search_config", "we search no text"),
        ("icu_validation_level", "we make no collation"),
        ("lc_messages", "texts of errors are shown; what is read of them is the SQLSTATE"),
        ("lc_numeric", "for `to_char`, which we do not use"),
        ("lc_time", "for `to_char`, which we do not use"),
        ("timezone_abbreviations", "we write offsets as numbers"),
        ("check_function_bodies", "we make no function but our own"),
        ("createrole_self_grant", "roles are made on servers of our own alone"),
        ("default_table_access_method", "of new tables; the claim reads alike from any"),
        ("default_tablespace", "of new tables; the claim reads alike from any"),
        ("default_toast_compression", "how a long value lies on the disk"),
        ("temp_tablespaces", "where temporary files lie"),
        ("event_triggers", "off, none of them runs; on, they are the database's own"),
        ("gin_pending_list_limit", "how fast"),
        ("lock_timeout", "set beside the list"),
        ("statement_timeout", "set beside the list"),
        ("transaction_deferrable", "of the transaction at hand, which says it itself"),
        ("transaction_isolation", "of the transaction at hand, which says it itself"),
        ("transaction_read_only", "of the transaction at hand, which says it itself"),
        ("allow_in_place_tablespaces", "we make no tablespace"),
        ("backtrace_functions", "what the server writes into its own log"),
        ("debug_", "of the server's developers: how fast, and what it logs"),
        ("jit_", "how fast; it is off"),
        ("trace_", "what the server writes into its own log"),
        ("wal_consistency_checking", "how fast"),
        ("synchronize_seqscans", "in which order rows come that nobody ordered"),
        ("lo_compat_privileges", "we touch no large object"),
        ("escape_string_warning", "a notice"),
        ("plpgsql.", "we send no PL/pgSQL but the fence's"),
        ("application_name", "the driver says it in its first packet, which goes before the role's"),
        ("log_", "what the server writes into its own log"),
    ];

    #[test]
    fn every_setting_that_a_role_may_turn_against_us_is_set_or_has_a_reason_why_it_cannot_matter() {
        let mut database = Database::new();
        let listed =
            "select name, category from pg_catalog.pg_settings where context in ('user', 'superuser') order by 1";
        let rows = database.connection.client().query(listed, &[]).unwrap();
        let rows: Vec<(&str, &str)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        assert!(rows.len() > 150, "{}", rows.len());
        let matters = |name: &str, category: &str| {
            let is_set = SETTINGS.iter().any(|(known, _)| *known == name);
            let mut reasons = HARMLESS.iter().map(|(reason, _)| *reason);
            !is_set && !reasons.any(|begin| name.starts_with(begin) || category.contains(begin))
        };
        let forgotten: Vec<&str> = rows.iter().filter(|(name, of)| matters(name, of)).map(|(name, _)| *name).collect();
        assert_eq!(forgotten, [""; 0]);
        let is_known = |name: &str| rows.iter().any(|(known, _)| *known == name);
        let unknown: Vec<&str> = SETTINGS.iter().map(|(name, _)| *name).filter(|name| !is_known(name)).collect();
        assert_eq!(unknown, [""; 0], "set, and no setting of this server");
    }

    /// What is shown in a session of `role`, in a read and in a change.
    fn shown(connection: &mut Connection) -> Vec<(String, String)> {
        let asked = SETTINGS.iter().map(|(name, _)| *name).chain(["statement_timeout", "lock_timeout"]);
        let asked: Vec<&str> = asked.collect();
        let ask = |t: &mut postgres::Transaction<'_>| {
            let value = |name: &&str| {
                let shown = t.query_one("select pg_catalog.current_setting($1)", &[name]).could_not("ask")?;
                Ok(((*name).to_owned(), shown.get(0)))
            };
            asked.iter().map(value).collect::<crate::error::Result<Vec<(String, String)>>>()
        };
        let (read, written) = (connection.read(ask).unwrap(), connection.write(ask).unwrap());
        assert_eq!(read, written);
        read
    }

    #[test]
    fn a_session_is_ours_whatever_a_role_has_turned_against_it() {
        let mut database = Database::new();
        let hostile = [
            ("search_path", "evil"),
            ("row_security", "on"),
            ("gin_fuzzy_search_limit", "1"),
            ("zero_damaged_pages", "on"),
            ("ignore_checksum_failure", "on"),
            ("restrict_nonsystem_relation_kind", "view"),
            ("session_replication_role", "replica"),
            ("default_transaction_read_only", "on"),
            ("default_transaction_isolation", "serializable"),
            ("default_transaction_deferrable", "on"),
            ("idle_session_timeout", "300ms"),
            ("idle_in_transaction_session_timeout", "1ms"),
            ("transaction_timeout", "200ms"),
            ("exit_on_error", "on"),
            ("standard_conforming_strings", "off"),
            ("backslash_quote", "on"),
            ("array_nulls", "off"),
            ("transform_null_equals", "on"),
            ("xmloption", "document"),
            ("quote_all_identifiers", "on"),
            ("TimeZone", "Asia/Tokyo"),
            ("DateStyle", "german"),
            ("IntervalStyle", "iso_8601"),
            ("extra_float_digits", "-15"),
            ("bytea_output", "escape"),
            ("xmlbinary", "hex"),
            ("lc_monetary", "POSIX"),
            ("client_min_messages", "debug5"),
            ("allow_system_table_mods", "on"),
            ("jit", "on"),
            ("statement_timeout", "1"),
            ("lock_timeout", "1ms"),
        ];
        database.run("create role turned login superuser");
        for (name, value) in hostile {
            database.run(&format!("alter role turned set {name} = '{value}'"));
        }
        let mut expected: Vec<(String, String)> =
            SETTINGS.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        expected
            .extend([("statement_timeout", "1min"), ("lock_timeout", "5s")].map(|(n, v)| (n.to_owned(), v.to_owned())));
        for _ in 0..10 {
            assert_eq!(shown(&mut open_as("turned", &database.name)), expected);
        }
        // Longer than each of the limits, idle and at work.
        let mut connection = open_as("turned", &database.name);
        std::thread::sleep(Duration::from_millis(400));
        connection.write(|t| t.batch_execute("select pg_sleep(0.3)").could_not("wait")).unwrap();
    }

    /// A superuser has turned it against the role, and the role cannot turn it back.
    #[test]
    fn what_only_a_superuser_may_turn_back_refuses_and_names_the_statement() {
        let mut database = Database::new();
        let name = database.name.clone();
        database.run("create role replays login");
        let url = Secret::new(url("replays", &name));
        let whose =
            ["role \"replays\"", &format!("database \"{name}\""), &format!("role \"replays\" in database \"{name}\"")];
        for whose in whose {
            database.run(&format!("alter {whose} set session_replication_role = replica"));
            let refused = Connection::open(&url, "xtask tests", Duration::from_secs(60)).err().unwrap();
            let told = format!("{refused:?}");
            assert!(told.contains("permission denied to set parameter"), "{told}");
            assert_eq!(refused.status, crate::error::Status::Blocked);
            let fix = refused.hint.unwrap().line(&crate::hint::Aim::default());
            assert_eq!(fix, format!("alter {whose} reset session_replication_role"));
            database.run(&fix);
            Connection::open(&url, "xtask tests", Duration::from_secs(60)).unwrap();
        }
    }

    /// Who a session acts as is the database's business, and a child's session would act as the same one.
    #[test]
    fn a_role_that_acts_as_another_does_so_with_us_too() {
        let mut database = Database::new();
        database.run(
            "create role acting login; create role acted; grant acted to acting; alter role acting set role = 'acted'",
        );
        let who = |t: &mut postgres::Transaction<'_>| {
            Ok(t.query_one("select current_user::text || ' for ' || session_user::text", &[])
                .unwrap()
                .get::<_, String>(0))
        };
        assert_eq!(open_as("acting", &database.name).read(who).unwrap(), "acted for acting");
    }
}
