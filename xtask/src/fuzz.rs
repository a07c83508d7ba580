//! Everything that reads what others wrote, and what must hold whatever they write. Each property is a function of bytes beside the module that
//! it is about; the tests try the same few thousand inputs in every run, and `cargo chore fuzz` lets libFuzzer look for others.

use crate::{evidence, guard, init, migrations, parity, rows, schema, settings, tools};

/// As `chores::fuzz::Target` has it.
pub type Target = (&'static str, &'static str, &'static str, usize, fn(&[u8]));

pub const TARGETS: [Target; 15] = [
    (
        "env-file",
        "an env file",
        "each value as it stands in the file; in every form that is allowed the same; a refusal quotes no value",
        3000,
        settings::fuzz::env_file,
    ),
    (
        "drill-toml",
        "`drill.toml`",
        "no unknown section, a comment changes nothing, no number out of its range; else a usage error in one line",
        1000,
        settings::fuzz::drill_toml,
    ),
    (
        "database-url",
        "a database URL",
        "the same place for `url`, the driver and us, in its canonical form too, and an allowed one; a refusal never has the password",
        3000,
        guard::fuzz::database_url,
    ),
    (
        "target",
        "an env file with a production file beside it",
        "only an allowed database, never production's, no URL for children, no password in a refusal",
        800,
        guard::fuzz::target,
    ),
    (
        "policy",
        "the lists of a target",
        "no host, project or database is let in that no entry names",
        1500,
        guard::fuzz::policy,
    ),
    (
        "prisma-schema",
        "`schema.prisma`",
        "comments and a second file change nothing; a refusal has a line that there is, and no text of it",
        2000,
        guard::fuzz::prisma_schema,
    ),
    (
        "rest-count",
        "an answer in the place of PostgREST's, `Content-Range` among it",
        "a count only where digits say it and the status is of rows; else one short line, no token of an address",
        3000,
        parity::rest::fuzz::count,
    ),
    (
        "program-output",
        "what Prisma, Supabase's CLI, the engine or squawk print",
        "single lines of what was printed; no line that tells of an error is passed over",
        1500,
        tools::fuzz::output,
    ),
    (
        "production-sizes",
        "what psql prints",
        "what is read as sizes is read again from `drill.toml`",
        1500,
        init::fuzz::production_sizes,
    ),
    (
        "ledger",
        "rows of Prisma's ledger beside a folder",
        "each migration in one place, none called applied that is not, clean only where all is well",
        1500,
        migrations::fuzz::ledger,
    ),
    (
        "migration-folders",
        "names of folders",
        "all of them, in the order of their bytes, or the one that cannot be read",
        100,
        schema::fuzz::migration_folders,
    ),
    (
        "snapshot-manifest",
        "a snapshot's name and manifest",
        "believed is what was sealed, and nothing else",
        1500,
        rows::snapshot::fuzz::manifest,
    ),
    (
        "rows-on-disk",
        "rows in pieces, a byte of their file, and bytes for a file",
        "the same rows and sum in any pieces; a changed file is an error or has another sum",
        500,
        rows::snapshot::fuzz::rows_on_disk,
    ),
    (
        "evidence-folder",
        "a file of a closed run",
        "`evidence verify` finds whatever differs, and nothing where nothing does; what is read can be written",
        300,
        evidence::fuzz::evidence_folder,
    ),
    (
        "evidence-names",
        "a folder's name",
        "it is a run's only where it can be nothing but one folder of its own",
        2000,
        evidence::fuzz::folder_name,
    ),
];

#[cfg(test)]
mod tests {
    #[test]
    fn what_others_wrote_holds_no_surprise() {
        let about = "Every reader of what others wrote, fed with the seeds of `xtask/fuzz/seeds` and with what becomes of them after some mishaps: \
                     the same inputs in every run. The readers of the wire and the redactor have tables of their own.";
        chores::fuzz::hold("fuzz", about, "what_others_wrote_holds_no_surprise", &super::TARGETS);
    }
}
