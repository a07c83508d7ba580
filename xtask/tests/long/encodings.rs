//! The whole way in databases of other encodings than UTF-8, with bytes that UTF-8 has no letters for.

use crate::project::{Project, claim};
use crate::server::{self, Database, fingerprint};

const NOTES: &str = r#"create table "Note" (id text primary key, body text not null);
    create table "Visit" (n int primary key, note text not null references "Note" (id))"#;

/// By letters of the encoding: more than a reset tries first, and rows that refer to the last of them.
fn fill(database: &Database, letter: &str) {
    let letter = format!("convert_from('{letter}', getdatabaseencoding())");
    database.execute(&format!(
        r#"insert into "Note" select {letter} || '''\' || n, {letter} from generate_series(1, 600) n;
           insert into "Visit" select n, {letter} || '''\' || (601 - n) from generate_series(1, 300) n"#
    ));
}

/// Reset and undone, as files and as a database; then a drill that drops a column of such letters.
fn there_and_back(encoding: &str, letter: &str) {
    let (project, _) = Project::on_staging("encoding");
    let database = server::shared().database_in("encoding", encoding);
    project.write(".env.staging", &format!("DATABASE_URL={}\n", database.url()));
    project.migration("20990101000000_notes", NOTES);
    project.run(&["forward"]).expect(0);
    claim(&project, &database);
    fill(&database, letter);
    let (rows, toml) = (fingerprint(&database), project.read("drill.toml"));
    let keep_as = |kind: &str| project.write("drill.toml", &format!("{toml}\n[snapshots]\nkeep_as = \"{kind}\"\n"));
    for kind in ["files", "database"] {
        keep_as(kind);
        project.run(&["reset", "--confirm"]).expect(0);
        assert_eq!(database.one::<i64>("select count(*) from \"Note\""), 0);
        project.run(&["restore", "--confirm"]).expect(0);
        assert_eq!(fingerprint(&database), rows, "{encoding}, {kind}");
    }
    keep_as("files");
    project.migration("20990102000000_more", "alter table \"Note\" add more text");
    project.run(&["forward"]).expect(0);
    database.execute("update \"Note\" set more = body");
    let rows = fingerprint(&database);
    let drill = project.run(&["drill", "--no-mirror", "--accept-data-loss"]).expect(0);
    assert_eq!(fingerprint(&database), rows, "{encoding}: {}", drill.stderr);
}

#[test]
fn sql_ascii_which_has_any_byte() {
    there_and_back("SQL_ASCII", r"\xe9ff");
}

#[test]
fn latin_1_which_lacks_most_letters() {
    there_and_back("LATIN1", r"\xe9");
}

#[test]
fn euc_jp_with_a_letter_that_an_application_made_up() {
    there_and_back("EUC_JP", r"\xf5a1");
}

#[test]
fn koi_8_whose_letters_are_no_utf_8() {
    there_and_back("KOI8R", r"\xa3");
}
