//! Why there is no count over REST. Source of the codes: PostgREST's documentation, "Errors"; of the statuses: Supabase's, "HTTP status codes".

use crate::causes::Fix::{Advice, Run, Sql};

causes! {
    NO_ADDRESS {
        name: "rest-no-address",
        title: "There is no address of a REST API to ask",
        codes: &[],
        fix: Run("parity --source sql"),
        more: "REST needs `https://<project ref>.supabase.co` in the variable that `url_env` under `[supabase]` names; SQL counts without it.",
    }
    NO_KEY {
        name: "rest-no-key",
        title: "There is no key to ask the REST API with",
        codes: &[],
        fix: Advice("copy the secret key (`sb_secret_…`) from the project's API settings to that variable"),
        more: "The variable is the one that `key_env` under `[supabase]` names. The publishable key counts only what row security lets everybody see.",
    }
    NOT_LOOPBACK {
        name: "rest-plain-http",
        title: "The REST API is plain HTTP, and its host is not this machine",
        codes: &[],
        fix: Advice("write its address with the number of this machine: `http://127.0.0.1:<port>`"),
        more: "The key goes with each question, and is not sent over a network in the clear.",
    }
    UNASKABLE {
        name: "rest-column-unaskable",
        title: "A column is called as a parameter of PostgREST is",
        codes: &[],
        fix: Run("parity --source sql"),
        more: "`limit`, `order`, `select` and the like have a meaning of their own in a question.",
    }
    UNREACHABLE {
        name: "rest-unreachable",
        title: "The REST API cannot be reached",
        codes: &[],
        fix: Advice("see whether the project is up (a paused one has no address), and reachable from here without a proxy"),
        more: "The drill asks without a proxy, so that no key goes through one.",
    }
    TIMED_OUT {
        name: "rest-timeout",
        title: "The REST API did not answer in time",
        codes: &[],
        fix: Run("parity --source sql"),
        more: "`query` under `[timeouts]` in drill.toml says how long REST may take.",
    }
    LOST {
        name: "rest-connection-lost",
        title: "The connection to the REST API was lost, again and again",
        codes: &[],
        fix: Advice("see whether the network between here and the project is up"),
        more: "Answers that end in the middle are asked for again; this is after the last try.",
    }
    IN_BETWEEN {
        name: "rest-something-in-between",
        title: "Something other than PostgREST answered in the place of the REST API",
        codes: &[],
        fix: Advice("see what stands between this machine and the REST API: a captive portal, a proxy"),
        more: "A redirect, a page, a certificate that nobody trusts, or an answer without a count. None of them is followed or believed.",
    }
    TABLE_MISSING {
        name: "mirror-table-missing",
        title: "The mirror's table is missing",
        codes: &[],
        fix: Run("mirror"),
        more: "PGRST205 or 42P01, and the database says so too. The script makes the table.",
    }
    UNKNOWN_TABLE {
        name: "rest-table-unknown",
        title: "The REST API does not know the mirror's table, and its database is not the target's",
        codes: &["PGRST205"],
        fix: Advice("run the mirror's script in that project's SQL editor, and then: NOTIFY pgrst, 'reload schema'"),
        more: "The drill writes to the target alone. Where the address is that of another project, correct it instead.",
    }
    STALE_CACHE {
        name: "rest-schema-cache-stale",
        title: "The REST API has not seen the mirror's table: its schema cache is stale",
        codes: &["PGRST202", "PGRST204"],
        fix: Sql("NOTIFY pgrst, 'reload schema'"),
        more: "Run it in the project's SQL editor. A project reloads by itself where its event trigger `pgrst_ddl_watch` is there.",
    }
    SCHEMA_NOT_EXPOSED {
        name: "rest-schema-not-exposed",
        title: "The REST API does not expose the target's schema",
        codes: &["PGRST106"],
        fix: Advice("add the schema to the exposed schemas in the project's API settings"),
        more: "PostgREST calls it `db-schemas`.",
    }
    KEY_REJECTED {
        name: "rest-key-rejected",
        title: "The REST API does not accept the key",
        codes: &["PGRST301", "PGRST302"],
        fix: Advice("copy the address and the secret key (`sb_secret_…`) anew, both from the API settings of one project"),
        more: "A key of another project, a key that was revoked, or one that lost a character on its way.",
    }
    KEY_TIME {
        name: "rest-key-not-valid-now",
        title: "The REST API says that the key is not valid at this time",
        codes: &["PGRST303"],
        fix: Advice("copy the address and the secret key (`sb_secret_…`) anew, both from the API settings of one project"),
        more: "The clocks agree, so the key is past its time.",
    }
    NOT_PERMITTED {
        name: "rest-not-permitted",
        title: "The service role may not read the mirror's table",
        codes: &[],
        fix: Run("mirror"),
        more: "42501, as after a reset: the script grants the table to `service_role` again.",
    }
    ROW_SECURITY {
        name: "rest-row-security",
        title: "Row security hides rows of the mirror from the service role",
        codes: &[],
        fix: Run("parity --source sql"),
        more: "No count over REST means anything then. Or a superuser runs: `alter role service_role bypassrls`.",
    }
    STATEMENT_TIMEOUT {
        name: "rest-statement-timeout",
        title: "The database stopped the count over REST: it took longer than the API's statement timeout",
        codes: &[],
        fix: Run("mirror"),
        more: "The script makes the indexes. `parity --source sql` counts without the API's limit.",
    }
    PAUSED {
        name: "supabase-project-paused",
        title: "The Supabase project is paused",
        codes: &[],
        fix: Advice("restore the project in its dashboard"),
        more: "HTTP status 540. A free project is paused after a week without use.",
    }
    ASLEEP {
        name: "supabase-project-asleep",
        title: "The Supabase project does not answer: asleep, starting or unwell",
        codes: &["PGRST000", "PGRST001", "PGRST002", "PGRST003"],
        fix: Run("parity --source sql"),
        more: "PostgREST has no session with the database, no schema cache yet, or no free connection in time. The project's dashboard shows its health.",
    }
    RESTRICTED {
        name: "supabase-project-restricted",
        title: "The Supabase project is restricted",
        codes: &[],
        fix: Advice("see usage and billing of the organization in its dashboard"),
        more: "HTTP status 402.",
    }
    BUSY {
        name: "rest-rate-limited",
        title: "The REST API is asked too often",
        codes: &[],
        fix: Run("parity --source sql"),
        more: "HTTP status 429, after waiting as long as it asked. REST may answer again in a minute.",
    }
    REJECTED {
        name: "rest-question-refused",
        title: "The REST API refused the question",
        codes: &["PGRST116"],
        fix: Run("parity --source sql"),
        more: "Its own words are shown. SQL asks the database itself.",
    }
}
