//! Words that logs of migrations are made of. A password that is one of them is masked only where a password stands,
//! or the log would be destroyed.

use std::sync::LazyLock;

/// Lower case, sorted.
#[rustfmt::skip]
const COMMON: &[&str] = &[
    "abort", "aborted", "access", "account", "action", "active", "added", "address", "admin", "administrator",
    "after", "alias", "allow", "allowed", "alter", "altered", "analytics", "apikey", "application", "applied",
    "apply", "applying", "array", "async", "at", "authenticated", "authentication", "author", "authorization",
    "backend", "backup", "backward", "base", "basic", "before", "begin", "bigint", "binary", "block", "blocked",
    "boolean", "branch", "buffer", "build", "bytes", "cache", "cannot", "cascade", "catalog", "change", "changed",
    "changeme", "changes", "character", "check", "checks", "checksum", "child", "claim", "class", "client", "close",
    "closed", "cluster", "collation", "column", "columns", "command", "comment", "commit", "committed", "complete",
    "completed", "config", "configuration", "confirm", "connect", "connected", "connecting", "connection",
    "connections", "console", "const", "constraint", "constraints", "container", "content", "context", "continue",
    "copy", "could", "count", "counts", "create", "created", "creating", "credentials", "current", "cursor",
    "dashboard", "data", "database", "databases", "datasource", "date", "datname", "debug", "decision", "default",
    "defaults", "delete", "deleted", "demo", "deploy", "deployment", "description", "detail", "details", "detected",
    "dev", "development", "different", "digest", "direct", "directory", "disable", "disabled", "doctor", "document",
    "does", "domain", "done", "down", "drift", "drill", "drop", "dropped", "duration", "during", "empty", "enable",
    "enabled", "encoding", "encrypted", "ending", "engine", "entry", "environment", "errno", "error", "errors",
    "event", "events", "evidence", "example", "exception", "execute", "executed", "exists", "exit", "expected",
    "export", "extension", "extensions", "fact", "facts", "fail", "failed", "failure", "false", "fatal", "feedback",
    "fetch", "field", "fields", "file", "files", "find", "finished", "first", "folder", "following", "force",
    "foreign", "format", "forward", "found", "from", "function", "functions", "generate", "generated", "generating",
    "global", "grant", "grants", "group", "guest", "handle", "hash", "have", "header", "headers", "hello", "help",
    "hint", "history", "host", "hosts", "http", "https", "image", "import", "index", "indexes", "info", "information",
    "init", "initial", "input", "insert", "inserted", "install", "installed", "integer", "interface", "internal",
    "interrupted", "into", "invalid", "issue", "json", "jsonb", "keys", "kind", "language", "last", "latest",
    "ledger", "length", "level", "library", "like", "limit", "line", "link", "linked", "list", "listen", "listening",
    "load", "loaded", "loading", "local", "localhost", "location", "lock", "locked", "login", "main", "manager",
    "master", "match", "md5", "memory", "message", "method", "migrate", "migration", "migrations", "mirror",
    "missing", "mode", "model", "models", "module", "must", "name", "names", "native", "network", "never", "next",
    "nil", "node", "none", "normal", "not", "nothing", "notice", "null", "number", "object", "ok", "only", "open", "opened",
    "operation", "option", "optional", "options", "order", "other", "output", "owner", "package", "parameter",
    "parity", "parse", "parsing", "partition", "pass", "passed", "password", "passwords", "path", "pending",
    "permission", "permissions", "plan", "please", "policies", "policy", "pool", "pooler", "port", "postgres",
    "postgresql", "preview", "primary", "prisma", "private", "process", "prod", "production", "profile", "project",
    "prompt", "property", "provided", "provider", "proxy", "psql", "public", "push", "query", "read", "reading",
    "ready", "reason", "record", "recorded", "redacted", "reference", "references", "refused", "relation",
    "relations", "release", "remote", "remove", "removed", "rename", "replica", "report", "repository", "request",
    "require", "required", "reset", "resolve", "resolved", "response", "restore", "restored", "restrict", "result",
    "results", "retry", "return", "returned", "revert", "role", "roles", "rollback", "rolled", "root", "route",
    "rows", "running", "runtime", "safe", "same", "sandbox", "scan", "schema", "schemas", "scope", "scram-sha-256",
    "script", "seconds", "secret", "secrets", "security", "select", "sequence", "sequences", "serial", "server",
    "servers", "service", "session", "sessions", "set", "setting", "settings", "setup", "shadow", "shell", "shop",
    "shopify", "should", "show", "skip", "skipped", "smallint", "snapshot", "socket", "some", "source", "sql",
    "sqlite", "ssl", "stack", "stage", "stages", "staging", "standard", "start", "started", "starting", "state",
    "statement", "statements", "status", "step", "steps", "stop", "stopped", "storage", "stream", "strict", "string",
    "succeeded", "success", "successful", "successfully", "such", "supabase", "support", "symbol", "sync", "syntax",
    "system", "table", "tables", "tag", "target", "task", "template", "temporary", "tenant", "terminated", "test",
    "tests", "text", "than", "that", "the", "then", "this", "thread", "time", "timeout", "timestamp", "timestamptz",
    "title", "to", "token", "tool", "topic", "total", "transaction", "trigger", "triggers", "true", "trust", "try",
    "type", "types", "unable", "undefined", "unexpected", "unique", "unknown", "unless", "until", "up", "update",
    "updated", "upgrade", "user", "username", "users", "using", "uuid", "valid", "value", "values", "varchar",
    "verified", "verify", "version", "view", "views", "waiting", "warn", "warning", "warnings", "were", "what",
    "when", "where", "which", "while", "will", "with", "without", "worker", "workspace", "write", "written", "wrong",
    "yes", "your", "zone",
];

/// No word is longer.
const LONGEST: usize = 16;

/// Whether `word` is one of them, in any case.
pub fn is_common(word: &[u8]) -> bool {
    let mut lower = [0; LONGEST];
    let Some(letters) = lower.get_mut(..word.len()) else { return false };
    letters.copy_from_slice(word);
    letters.make_ascii_lowercase();
    let start = &STARTS[usize::from(lower[0])];
    // A zero at the end would not show in the number.
    let has_such = start.lengths & 1 << word.len() != 0 && !word.ends_with(b"\0");
    has_such && start.words.binary_search(&u128::from_be_bytes(lower)).is_ok()
}

/// The words that begin with one byte.
struct Start {
    /// As numbers, which are compared at once.
    words: Vec<u128>,
    /// A bit for each of their lengths: most of what is asked for is of another.
    lengths: u32,
}

static STARTS: LazyLock<[Start; 256]> = LazyLock::new(|| {
    std::array::from_fn(|first| {
        let words = COMMON.iter().map(|word| word.as_bytes()).filter(|word| usize::from(word[0]) == first);
        Start {
            lengths: words.clone().fold(0, |lengths, word| lengths | 1 << word.len()),
            words: words.map(number).collect(),
        }
    })
});

fn number(word: &[u8]) -> u128 {
    let mut bytes = [0; LONGEST];
    bytes[..word.len()].copy_from_slice(word);
    u128::from_be_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted() {
        assert!(COMMON.is_sorted(), "binary search needs it");
        assert!(COMMON.iter().all(|word| is_common(word.as_bytes())), "as long as can be asked for");
    }

    #[test]
    fn case_does_not_matter() {
        assert!(is_common(b"Postgres") && is_common(b"VALID") && !is_common(b"Hunter2"));
        assert!(!is_common(b"") && !is_common(b"valid\0") && !is_common(b"a word that is too long"));
    }
}
