//! Which startup parameters of a child pass on to the server. Allow-list: what is not known to be harmless is refused,
//! by name.
//!
//! Refused and not dropped, because a child that asked for `options=-c lock_timeout=3s` and silently got nothing would
//! be less safe than one that fails with a sentence. `options`, `replication`, `role`, `search_path` and the like can
//! all move a session to other data or other rights; `PGOPTIONS` sets the first for psql, node-postgres and the
//! Supabase CLI alike.

use crate::wire::Startup;

/// Formatting, naming and limits. Lower case: the server compares names of settings without regard to case.
const ALLOWED: [&str; 9] = [
    "application_name",
    "client_encoding",
    "datestyle",
    "extra_float_digits",
    "idle_in_transaction_session_timeout",
    "intervalstyle",
    "lock_timeout",
    "statement_timeout",
    "timezone",
];

/// A startup packet that may pass.
#[derive(Debug, PartialEq, Eq)]
pub struct Wishes {
    pub user: String,
    /// As the server would read it: the user's name where none is given.
    pub database: String,
    pub settings: Vec<(String, String)>,
}

/// Sorts the parameters of a startup packet. Error: the sentence for the child.
pub fn wishes(startup: &Startup) -> Result<Wishes, String> {
    let (mut user, mut database) = (None, None);
    let mut settings: Vec<(String, String)> = Vec::new();
    for (name, value) in &startup.parameters {
        let known = name.to_ascii_lowercase();
        let repeated = match name.as_str() {
            "user" => user.replace(value.clone()).is_some(),
            "database" => database.replace(value.clone()).is_some(),
            // psql and others send it empty.
            "options" if value.trim().is_empty() => false,
            _ if is_extension(name) => false,
            _ if ALLOWED.contains(&known.as_str()) => {
                let repeated = settings.iter().any(|(name, _)| name.eq_ignore_ascii_case(&known));
                settings.push((name.clone(), value.clone()));
                repeated
            }
            _ => return Err(format!("startup parameter \"{name}\" is not passed on to a pinned database")),
        };
        if repeated {
            return Err(format!("startup parameter \"{name}\" is given twice"));
        }
    }
    let user = user.ok_or("no user in the startup packet")?;
    let database = database.filter(|name: &String| !name.is_empty()).unwrap_or_else(|| user.clone());
    Ok(Wishes { user, database, settings })
}

/// Asks for more than protocol 3.0; answered before the login, passed on never.
pub fn is_extension(name: &str) -> bool {
    name.starts_with("_pq_.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(parameters: &[(&str, &str)]) -> Result<Wishes, String> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        wishes(&Startup { minor: 0, parameters: parameters.iter().map(owned).collect() })
    }

    #[test]
    fn settings_that_format_or_limit_pass() {
        let wishes = sorted(&[("user", "a"), ("database", "d"), ("DateStyle", "ISO"), ("lock_timeout", "3s")]).unwrap();
        assert_eq!(wishes.settings, [("DateStyle".into(), "ISO".into()), ("lock_timeout".into(), "3s".into())]);
    }

    #[test]
    fn settings_that_can_move_a_session_are_refused_in_any_case() {
        for name in ["options", "replication", "search_path", "SEARCH_PATH", "role", "session_authorization", "User"] {
            let refusal = sorted(&[("user", "a"), (name, "x")]).unwrap_err();
            assert!(refusal.contains(name), "{refusal}");
        }
    }

    #[test]
    fn empty_options_are_no_options() {
        assert_eq!(sorted(&[("user", "a"), ("options", "")]).unwrap().settings, []);
    }

    #[test]
    fn a_parameter_given_twice_is_refused() {
        assert!(sorted(&[("user", "a"), ("user", "b")]).is_err());
        assert!(sorted(&[("user", "a"), ("database", "b"), ("database", "c")]).is_err());
        assert!(sorted(&[("user", "a"), ("TimeZone", "UTC"), ("timezone", "UTC")]).is_err());
    }

    #[test]
    fn without_a_database_the_user_names_it() {
        assert_eq!(sorted(&[("user", "a")]).unwrap().database, "a");
        assert_eq!(sorted(&[("user", "a"), ("database", "")]).unwrap().database, "a");
    }

    #[test]
    fn without_a_user_there_is_no_session() {
        assert!(sorted(&[("database", "d")]).is_err());
    }
}
