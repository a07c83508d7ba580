//! What the guard refuses: layers 1 to 4. Each refusal has words and a fix of its own; the page is of its kind.

use crate::causes::Fix::{Advice, Run};

causes! {
    SOURCE {
        name: "target-not-set",
        title: "A variable of the target is missing, empty, or holds a placeholder",
        codes: &["guard: source"],
        fix: Advice("give `{variable}` its value in the env file, and nowhere else"),
        more: "The target's variables come from one place: the env file, or where there is none the process environment, as in CI. One that is set in both \
               with different values is refused, never chosen: unset the exported one.",
    }
    URL {
        name: "url-form",
        title: "A database URL is not written so that every client reads it alike",
        codes: &["guard: url", "guard: parameter"],
        fix: Advice("write `postgresql://user:password@host:5432/database`, with special characters percent-encoded"),
        more: "One strict grammar, not a parser's opinion: what two clients could read differently (a second `@`, a host in a parameter, capitals in the \
               scheme) could lead one of them elsewhere. docs/providers.md has the grammar, and the parameters that are allowed.",
    }
    HOST {
        name: "host-not-allowed",
        title: "The host is not one that drill.toml allows",
        codes: &["guard: host"],
        fix: Advice("correct the host, or add it to `allow_hosts` of the target in drill.toml"),
        more: "A target is staging because a list that was reviewed says so. `*` in a pattern is one or more whole labels: `*.staging.example.com`.",
    }
    DATABASE {
        name: "database-not-allowed",
        title: "The database's name is not one that drill.toml allows",
        codes: &["guard: database"],
        fix: Advice("correct the database, or add its name to `allow_databases` of the target in drill.toml"),
        more: "Names such as `*_staging` say of a database that it may be dropped. `postgres`, `template1` and the like are on every server and say nothing.",
    }
    PROJECT {
        name: "project-not-allowed",
        title: "The Supabase project is not one that drill.toml allows, or the variables name two",
        codes: &["guard: project"],
        fix: Advice("let the URL, the API's address and the key name one project, whose ref is in `allow_projects` of drill.toml"),
        more: "Supabase's pooler has one host for staging and production: the project's ref in the user's name is what tells them apart. The three variables \
               must name one project.",
    }
    SCHEMA {
        name: "schema-not-allowed",
        title: "The target's schema is not one that a reset may drop",
        codes: &["guard: schema"],
        fix: Advice("correct the schema, or add it to `allow_schemas` of the target in drill.toml"),
        more: "The schema of the URL, and each that the datasource lists, is dropped by a reset. `public` is allowed by default.",
    }
    PASSWORD {
        name: "password-not-given",
        title: "The URL has no password, and its host is not this machine",
        codes: &["guard: password"],
        fix: Advice("put the password into the URL, behind the user: `user:password@`"),
        more: "No `.pgpass` and no `PGPASSWORD` is read: what one machine has there, another has not.",
    }
    SHADOW_URL {
        name: "shadow-url",
        title: "The shadow database is the target, or cannot be taken for disposable",
        codes: &["guard: shadow-url"],
        fix: Advice("let the variable of the shadow database name a disposable one, or remove it: the drill makes its own"),
        more: "Prisma wipes its shadow database.",
    }
    DIRECT_URL {
        name: "direct-url",
        title: "The direct URL leads to another database than the target's",
        codes: &["guard: direct-url"],
        fix: Advice("let both URLs name the same database, one through the pooler and one past it"),
        more: "Migrations go over the direct URL where there is one (Supabase: port 5432).",
    }
    OTHER_URL {
        name: "other-url",
        title: "Another exported variable leads to another database",
        codes: &["guard: other-url"],
        fix: Advice("unset that variable, or let it name the target's database"),
        more: "Frameworks and hosts know the database by other names (`POSTGRES_URL`, `SUPABASE_DB_URL`). One that disagrees shows that this environment is \
               not what its owner believes.",
    }
    PRODUCTION_FILE {
        name: "production-file",
        title: "A production env file names the same database",
        codes: &["guard: production-file"],
        fix: Advice("correct the target, or remove it from the production file"),
        more: "What production's file names is production, whatever staging's file calls it.",
    }
    PROJECT_FILE {
        name: "project-file",
        title: "A file of the project would lead a program elsewhere, or cannot be read",
        codes: &["guard: project-file"],
        fix: Advice("let that file read the URL from the environment, or remove the line"),
        more: "Prisma and the Supabase CLI load `.env`, `prisma/.env`, `supabase/.env` and their configs by themselves. What says something else there than \
               the target does would win.",
    }
    PRISMA_SCHEMA {
        name: "schema-file",
        title: "The Prisma schema that drill.toml names is not the one that Prisma reads, or cannot be read for certain",
        codes: &["guard: prisma-schema"],
        fix: Advice("name the schema's file or folder as `schema` under `[prisma]` in drill.toml, as the Prisma config has it"),
        more: "A folder of schema files is one schema: one file of it alone would make a client without the models of the others.",
    }
    POLICY {
        name: "policy-too-wide",
        title: "An entry of drill.toml is no pattern, or would allow too much",
        codes: &["guard: policy"],
        fix: Advice("write a narrower entry, as the message says"),
        more: "`*`, `*.com`, Supabase's shared hosts or the database `postgres` in a list of what is staging would let production pass.",
    }
    RESOLVER {
        name: "resolver-moved",
        title: "A variable is set that moves host names",
        codes: &["guard: resolver"],
        fix: Advice("unset that variable"),
        more: "`HOSTALIASES`, `LOCALDOMAIN`, `RES_OPTIONS` and `RESOLV_HOST_CONF` change what a name leads to, in this very process (resolv.conf(5)).",
    }
    API_URL {
        name: "api-url",
        title: "The address of Supabase's REST API is not one project's",
        codes: &["guard: supabase-url"],
        fix: Advice("write it as `https://<project ref>.supabase.co`, all lower case and nothing behind it"),
        more: "Loopback is allowed too, as `supabase start` has it: `http://127.0.0.1:54321`.",
    }
    SERVICE_KEY {
        name: "service-key",
        title: "The service key is none, opens too much or too little, or has expired",
        codes: &["guard: service-key"],
        fix: Advice("copy the secret key (`sb_secret_…`) from the project's API settings to that variable"),
        more: "A personal access token (`sbp_…`) opens every project; a publishable or `anon` key sees what anyone sees. A legacy key is a JWT whose project, \
               role and end are read without asking anyone.",
    }
    OTHER_SERVER {
        name: "other-server",
        title: "The server is known to be production, or cannot say that it is not",
        codes: &["guard: server-identity", "guard: server-database"],
        fix: Advice("correct the target: this server, or the one that it was copied from, is production"),
        more: "`deny_systems` in drill.toml lists system identifiers (`select system_identifier from pg_control_system()`). A physical copy keeps its \
               original's.",
    }
    REPLICA {
        name: "replica",
        title: "The server is a replica: it can only be read",
        codes: &["guard: server-replica"],
        fix: Advice("name the primary's host: what is done to a replica does not last, and it refuses to write"),
        more: "`pg_is_in_recovery()` says so. Providers have a host of its own for readers.",
    }
    UNCLAIMED {
        name: "unclaimed",
        title: "The database is not claimed as disposable staging",
        codes: &["guard: claim"],
        fix: Run("claim --confirm {database}"),
        more: "`forward` and `mirror` run on it all the same; `backward`, `reset` and `restore` ask for a claim: a mark inside the database that remembers \
               which one it was left in.",
    }
    CLAIM_OF_ANOTHER {
        name: "claim-of-another",
        title: "The database carries the claim of another one: it is a copy",
        codes: &[],
        fix: Run("claim --confirm {database}"),
        more: "A restored dump or a cloned volume brings the claim along, and what it was copied from may be anything. Find out what this database is, and \
               only then claim it anew.",
    }
    CONSENT {
        name: "consent",
        title: "What would be lost was shown, and nobody said yes",
        codes: &["guard: consent", "guard: data loss", "guard: snapshot", "guard: resume"],
        fix: Advice("read what is at stake, then run the command that the hint names"),
        more: "What destroys asks first, by a flag that names it: `--confirm`, `--accept-data-loss`, `--no-snapshot`.",
    }
}
