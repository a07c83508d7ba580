//! What was seen of a `migrate deploy`, and of the sessions around it, while it ran.

use serde::{Deserialize, Serialize};

use crate::words::duration;

/// Of one try.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Deploy {
    /// From 1.
    pub attempt: u8,
    /// How often the server was asked.
    pub looks: u64,
    /// How long it waited for locks, in all.
    pub waited_ms: u64,
    /// How long the one who waited longest waited behind it.
    pub blocked_ms: u64,
    pub waits: Vec<Wait>,
    /// The longest first, and not all of very many.
    pub blocked: Vec<Blocked>,
    /// Why nobody looked on, or not to the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unwatched: Option<String>,
}

/// One lock that it waited for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Wait {
    pub table: Option<String>,
    pub waited_ms: u64,
    /// Who held the lock and what it is, in words; null where it was over before it was asked for.
    pub held: Option<String>,
    /// What the holder was sent last, without its values; null where the role may not see it.
    pub statement: Option<String>,
}

/// A session that waited behind the deploy: for what it held, or for what it was itself waiting for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Blocked {
    pub pid: i32,
    pub role: Option<String>,
    pub application_name: Option<String>,
    pub table: Option<String>,
    pub waited_ms: u64,
}

impl Blocked {
    /// `backend pid 4711 (role `app`, `web`) waited 42.0 s for `Session``; `verb`: `waited` or `waits`.
    pub fn in_words(&self, verb: &str) -> String {
        let table = self.table.as_ref().map(|table| format!(" for `{table}`")).unwrap_or_default();
        format!("{} {verb} {}{table}", self.session(), duration(self.waited_ms))
    }

    fn session(&self) -> String {
        let role = self.role.as_ref().map(|role| format!("role `{role}`"));
        let facts: Vec<String> =
            role.into_iter().chain(self.application_name.as_ref().map(|name| format!("`{name}`"))).collect();
        let facts = if facts.is_empty() { String::new() } else { format!(" ({})", facts.join(", ")) };
        format!("backend pid {}{facts}", self.pid)
    }
}

impl Wait {
    pub fn in_words(&self) -> String {
        let what = || self.table.as_ref().map_or_else(|| "a lock".to_owned(), |table| format!("a lock on `{table}`"));
        let held = self.held.clone().unwrap_or_else(|| format!("nobody was seen to hold {}", what()));
        let statement = self.statement.as_ref().map(|sql| format!(", and was last sent `{sql}`")).unwrap_or_default();
        format!("{held}{statement}")
    }
}

impl Deploy {
    /// In one line; None where there is nothing to tell.
    pub fn in_words(&self) -> Option<String> {
        let waited = (self.waited_ms > 0).then(|| format!("it waited {} for locks", duration(self.waited_ms)));
        let blocked = self.blocked.first().map(|longest| format!("behind it {}", longest.in_words("waited")));
        let others = (self.blocked.len() > 1).then(|| format!("{} sessions waited behind it", self.blocked.len()));
        let unwatched = self.unwatched.as_ref().map(|why| format!("it was not watched to its end: {why}"));
        let told: Vec<String> = [waited, blocked, others, unwatched].into_iter().flatten().collect();
        (!told.is_empty()).then(|| told.join("; "))
    }
}
