//! What to do about an error of the server, by its SQLSTATE and where that is not enough by its words: one table, for our own statements, for
//! logins and for what a child prints.

use crate::hint::Hint;

/// Whose session the error ended: only ours have limits of our own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    Ours,
    Childs,
}

/// None where the server's own words are enough.
pub fn fix(sqlstate: &str, message: &str, whose: Whose) -> Option<Hint> {
    let says = |words: &str| message.contains(words);
    let advice = match sqlstate {
        "53300" if says("for role \"") => {
            "close other sessions of this role, or raise its limit: alter role … connection limit …"
        }
        "53300" if says("for database \"") => {
            "close other sessions of this database, or raise its limit: alter database … connection limit …"
        }
        "53300" if says("reserved") => {
            "close other clients of the server: what is left of max_connections is reserved for superusers"
        }
        "53300" => "close other clients of the server, or raise its max_connections",
        "57014" if says("statement timeout") && whose == Whose::Ours => {
            "raise the limit under `[timeouts]` in drill.toml: `query`, or `snapshot` for the rows of a table"
        }
        "57014" if says("statement timeout") => {
            "raise statement_timeout, which the role, the database or the server sets: alter role … set statement_timeout = 0"
        }
        "57014" => "run this again: another session cancelled it (pg_cancel_backend)",
        "57P01" => {
            "run this again once the server is up: it was stopped, or somebody ended the session (pg_terminate_backend)"
        }
        "57P02" => "read the server's log: one of its processes crashed, and it ended all sessions",
        "57P03" => "wait until the server has started, then run this again",
        "57P05" | "25P03" | "25P04" => {
            "raise the timeout that ended the session, which the role, the database or the server sets"
        }
        "53100" => "make room on the server's disk (not on this machine's), then run this again",
        "53200" => "give the server more memory, or lower its work_mem; then run this again",
        _ => return None,
    };
    Some(advice.into())
}

#[cfg(test)]
mod tests {
    use postgres::{Client, NoTls};

    use super::*;
    use crate::postgres::connection::failure;
    use crate::postgres::server::{Database, open, url};

    fn advice(error: postgres::Error) -> String {
        let failure = failure("ask", error);
        let cause = failure.causes().next().unwrap_or_default();
        let hint = failure.hint.map(|hint| hint.line(&crate::hint::Aim::default()));
        format!("{cause}\n  {}", hint.unwrap_or_default())
    }

    #[allow(clippy::disallowed_methods, reason = "the errors of a login, as the server words them")]
    fn refused(role: &str, database: &str) -> String {
        advice(Client::connect(&url(role, database), NoTls).err().unwrap())
    }

    /// In the words of a real server.
    #[test]
    fn each_cause_has_a_fix_of_its_own() {
        let mut database = Database::new();
        let name = database.name.clone();
        database.run(&format!("alter database {name} connection limit 0"));
        let mut said = vec![refused("crowded", "postgres"), refused("clerk", &name)];

        let mut client = open(&name);
        client.client().batch_execute("set statement_timeout = '50ms'").unwrap();
        said.push(advice(client.client().batch_execute("select pg_catalog.pg_sleep(9)").unwrap_err()));
        client.client().batch_execute("set statement_timeout = 0").unwrap();
        let pid: i32 = client.client().query_one("select pg_catalog.pg_backend_pid()", &[]).unwrap().get(0);
        let other = std::thread::spawn(move || {
            let asleep =
                "select exists (select from pg_catalog.pg_stat_activity where pid = $1 and wait_event = 'PgSleep')";
            while !database.connection.client().query_one(asleep, &[&pid]).unwrap().get::<_, bool>(0) {}
            database.ask::<bool>(&format!("select pg_catalog.pg_cancel_backend({pid})"));
        });
        said.push(advice(client.client().batch_execute("select pg_catalog.pg_sleep(9)").unwrap_err()));
        other.join().unwrap();
        let text = said.join("\n").replace(&name, "NAME");
        insta::assert_snapshot!(text, @r#"
        FATAL: too many connections for role "crowded" (SQLSTATE 53300)
          close other sessions of this role, or raise its limit: alter role … connection limit …
        FATAL: too many connections for database "NAME" (SQLSTATE 53300)
          close other sessions of this database, or raise its limit: alter database … connection limit …
        ERROR: canceling statement due to statement timeout (SQLSTATE 57014)
          raise the limit under `[timeouts]` in drill.toml: `query`, or `snapshot` for the rows of a table
        ERROR: canceling statement due to user request (SQLSTATE 57014)
          run this again: another session cancelled it (pg_cancel_backend)
        "#);
    }

    /// What cannot be made here without breaking the server for other tests: its words are from PostgreSQL's sources.
    #[test]
    fn what_the_server_words_alike_is_told_apart_too() {
        let slots = "remaining connection slots are reserved for roles with the SUPERUSER attribute";
        let table = [
            ("53300", "sorry, too many clients already"),
            ("53300", slots),
            ("53300", "too many connections for role \"app\""),
            ("57P01", "terminating connection due to administrator command"),
            ("57P03", "the database system is starting up"),
            ("53100", "could not extend file \"base/5/1\": No space left on device"),
            ("57014", "canceling statement due to statement timeout"),
            ("42P01", "relation \"x\" does not exist"),
        ];
        let lines = table.map(|(sqlstate, message)| {
            let hint = fix(sqlstate, message, Whose::Childs).map(|hint| hint.line(&crate::hint::Aim::default()));
            format!("{sqlstate} {message}: {}", hint.unwrap_or_default())
        });
        insta::assert_snapshot!(lines.join("\n"), @r#"
        53300 sorry, too many clients already: close other clients of the server, or raise its max_connections
        53300 remaining connection slots are reserved for roles with the SUPERUSER attribute: close other clients of the server: what is left of max_connections is reserved for superusers
        53300 too many connections for role "app": close other sessions of this role, or raise its limit: alter role … connection limit …
        57P01 terminating connection due to administrator command: run this again once the server is up: it was stopped, or somebody ended the session (pg_terminate_backend)
        57P03 the database system is starting up: wait until the server has started, then run this again
        53100 could not extend file "base/5/1": No space left on device: make room on the server's disk (not on this machine's), then run this again
        57014 canceling statement due to statement timeout: raise statement_timeout, which the role, the database or the server sets: alter role … set statement_timeout = 0
        42P01 relation "x" does not exist: 
        "#);
    }
}
