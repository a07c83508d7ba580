//! What keeps Prisma's schema engine, its config or the project's schema from being used.

use crate::causes::Fix::{Advice, Run, Shell};

causes! {
    NO_ENGINE {
        name: "engine-missing",
        title: "Prisma's schema engine is not here",
        codes: &[],
        fix: Advice("let npm reach its registry, or set PRISMA_ENGINES_MIRROR to a mirror of binaries.prisma.sh and install the packages again"),
        more: "The native engine is downloaded when its package is installed, and that was blocked or skipped. The same engine as WebAssembly, which the \
               drill uses then, is a package of npm.",
    }
    ENGINE_TO_BRING {
        name: "engine-to-bring",
        title: "Prisma's schema engine is not here yet; the next run brings it from npm",
        codes: &[],
        fix: Run("forward --plan"),
        more: "`doctor` brings nothing. A run puts it into `.drill`, once.",
    }
    ENGINE_NAMED_WRONG {
        name: "engine-override",
        title: "PRISMA_SCHEMA_ENGINE_BINARY names a file that is not there",
        codes: &[],
        fix: Advice("unset PRISMA_SCHEMA_ENGINE_BINARY, or correct it"),
        more: "It is Prisma's own variable, and wins over every installed engine.",
    }
    ENGINE_OF_ANOTHER {
        name: "engine-of-another-release",
        title: "The schema engine is of another release than Prisma's CLI",
        codes: &[],
        fix: Shell("npm ci"),
        more: "What it does to the server may be another thing than what the CLI expects. Where PRISMA_SCHEMA_ENGINE_BINARY names it, name the right one.",
    }
    SCHEMA_MISSING {
        name: "schema-missing",
        title: "The Prisma schema is not where drill.toml says",
        codes: &[],
        fix: Advice("name the schema's file or folder as `schema` under `[prisma]` in drill.toml"),
        more: "Without a drill.toml it is `prisma/schema.postgres.prisma`, else what Prisma's own config names.",
    }
    SCHEMA_OF_ANOTHER_KIND {
        name: "schema-not-postgres",
        title: "The schema is not one for Postgres",
        codes: &[],
        fix: Advice("name the Postgres schema as `schema` under `[prisma]` in drill.toml"),
        more: "Its datasource names another provider. A project that develops on sqlite has two schemas.",
    }
    SCHEMA_WITHOUT_MODELS {
        name: "schema-without-models",
        title: "The schema has no model, so its client would be empty",
        codes: &[],
        fix: Advice("name the file or the folder that has the models as `schema` under `[prisma]` in drill.toml"),
        more: "As a rule it is the first file of a folder of schema files.",
    }
    HISTORY_OF_ANOTHER_KIND {
        name: "history-not-postgres",
        title: "The migrations are a history for another kind of database",
        codes: &["P3019"],
        fix: Advice("name the Postgres history as `migrations` under `[prisma]` in drill.toml"),
        more: "`migration_lock.toml` names the provider that the folder was made for. Two databases need two folders: by default Prisma takes the one beside \
               the schema.",
    }
    NO_MIGRATIONS {
        name: "no-migrations",
        title: "There are no migrations, so there is nothing to rehearse",
        codes: &[],
        fix: Advice("name the folder of migrations as `migrations` under `[prisma]` in drill.toml, or make the first one with `prisma migrate diff`"),
        more: "`prisma db push` leaves none. Prisma's guide to baselining makes a first migration from a schema that is in use.",
    }
    NO_SCRIPT {
        name: "migration-without-script",
        title: "A folder among the migrations has no migration.sql",
        codes: &["P3015"],
        fix: Advice("restore the file from git, or remove the folder if it was never applied"),
        more: "Prisma refuses the whole history then.",
    }
    CONFIG_FAILS {
        name: "config-fails",
        title: "Prisma's config cannot be loaded",
        codes: &[],
        fix: Advice("correct `{config}` as the message says"),
        more: "It is a program: it throws, imports what is not installed, or asks for a variable with `env()` that is not set.",
    }
    SCHEMA_ERROR {
        name: "schema-error",
        title: "Prisma cannot read the schema",
        codes: &["P1012"],
        fix: Advice("correct {place}"),
        more: "`npx prisma validate` says whether it is right.",
    }
}
