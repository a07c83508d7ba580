//! The variables that have a meaning here: which move a client, which move our own resolver, which must reach a child.
//!
//! Children get an environment built from an allow-list, so a variable that moves only a client needs no refusal: it is
//! named to the user and left behind. What moves the resolver of this very process is another matter.

/// Agent and consent gates of the wrapped CLIs read these. They are passed on as they are, the consent too, which
/// carries the user's own words: clearing a marker would switch a gate off, and setting the consent would answer it.
///
/// Prisma 6.19 and 7.10 (`ai-safety`), Supabase CLI 3.1 (agent mode); measured.
const MARKERS: &[&str] = &[
    "AGENT",
    "AI_AGENT",
    "ANTIGRAVITY_AGENT",
    "AUGMENT_AGENT",
    "CLAUDECODE",
    "CLAUDE_CODE",
    "CLAUDE_CODE_ENTRYPOINT",
    "CLINE_ACTIVE",
    "CODEX_CI",
    "CODEX_SANDBOX",
    "CODEX_SANDBOX_NETWORK_DISABLED",
    "CODEX_THREAD_ID",
    "COPILOT_CLI",
    "COPILOT_MODEL",
    "CRUSH",
    "CURSOR_AGENT",
    "CURSOR_TRACE_ID",
    "GEMINI_CLI",
    "OPENCODE",
    "OPENCODE_CLIENT",
    "OR_APP_NAME",
    "PRISMA_USER_CONSENT_FOR_DANGEROUS_AI_ACTION",
    "QWEN_CODE",
    "REPLIT_CLI",
    "REPLIT_SESSION",
    "REPL_ID",
];

/// glibc's resolver reads these in our own process (resolv.conf(5), hostname(7), host.conf(5)); with `ndots` and a
/// search domain every name can lead elsewhere.
pub const RESOLVER: [&str; 4] = ["HOSTALIASES", "LOCALDOMAIN", "RESOLV_HOST_CONF", "RES_OPTIONS"];

/// Database URLs that frameworks and hosts know by another name. They never reach a child, but one that leads elsewhere
/// shows that this environment is not what its owner believes.
pub const OTHER_URLS: [&str; 8] = [
    "DATABASE_URL",
    "DATABASE_URL_UNPOOLED",
    "DIRECT_URL",
    "POSTGRES_PRISMA_URL",
    "POSTGRES_URL",
    "POSTGRES_URL_NON_POOLING",
    "SHADOW_DATABASE_URL",
    "SUPABASE_DB_URL",
];

/// Names under which a Supabase project's ref is exported.
pub const PROJECTS: [&str; 2] = ["SUPABASE_PROJECT_ID", "SUPABASE_PROJECT_REF"];

const MOVING_PREFIXES: [&str; 8] = ["PG", "PRISMA_", "DOTENV_", "SUPABASE_", "BUN_", "DYLD_", "LD_", "NODE_"];
/// Set by cargo for all that it runs, and by images and installers; they move nothing of ours.
const HARMLESS: [&str; 4] = ["BUN_INSTALL", "LD_LIBRARY_PATH", "NODE_ENV", "NODE_VERSION"];
const RESERVED: [&str; 6] = ["HOME", "LD_LIBRARY_PATH", "OPENSSL_CONF", "PATH", "SSLKEYLOGFILE", "SUPABASE_YES"];

/// The variables that every child must get as they are, where they are set.
pub fn forwarded_markers() -> &'static [&'static str] {
    MARKERS
}

/// True for an exported variable that could move or configure a client, and is therefore left behind. No client reads one that begins
/// with `PG_` (libpq's have no such mark), and projects call their own URL so.
pub fn moves_a_client(name: &str) -> bool {
    let prefixed = MOVING_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    let prefixed = prefixed && !HARMLESS.contains(&name) && !name.starts_with("PG_");
    (prefixed || name == "DEBUG") && !MARKERS.contains(&name)
}

/// True for a variable that no env file may set for a child: it would move a client, our resolver or a gate.
pub fn is_reserved(name: &str) -> bool {
    let moves = moves_a_client(name) && !name.starts_with("SUPABASE_");
    moves || [&RESERVED[..], MARKERS, &RESOLVER].iter().any(|list| list.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_marker_of_an_agent_is_left_behind() {
        for marker in forwarded_markers() {
            assert!(!moves_a_client(marker), "{marker}");
            assert!(is_reserved(marker), "an env file must not set or clear {marker}");
        }
    }

    #[test]
    fn a_projects_own_url_may_be_called_after_postgres() {
        for name in ["PG_URL", "PG_DATABASE_URL"] {
            assert!(!is_reserved(name), "{name}");
        }
        for name in ["PGHOST", "PGSERVICEFILE", "PGURL", "PG"] {
            assert!(is_reserved(name), "{name}");
        }
    }

    #[test]
    fn what_cargo_and_a_shell_always_set_is_not_reported() {
        for name in ["LD_LIBRARY_PATH", "NODE_ENV", "PATH", "HOME", "CARGO_HOME", "LANG"] {
            assert!(!moves_a_client(name), "{name}");
        }
    }
}
