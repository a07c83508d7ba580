//! Databases in other encodings than UTF-8, with bytes that UTF-8 has no letters for.

use std::fs;
use std::path::Path;

use crate::project::Project;
use crate::restore::{migrate, snapshot};
use crate::server::{self, Database, fingerprint, workspace};

/// An encoding of servers, and bytes that are a letter there: any in SQL_ASCII, which is what `initdb` chooses in the locale C; one that an
/// application made up in EUC_JP.
const ENCODINGS: [(&str, &str); 2] = [("SQL_ASCII", r"\xe9ff"), ("EUC_JP", r"\xf5a1")];

/// More than a reset tries first, and rows that refer to the last of them by such letters.
fn fill(database: &Database, letter: &str) {
    let letter = format!("convert_from('{letter}', getdatabaseencoding())");
    database.execute(&format!(
        "insert into \"Session\" (id, shop, state, \"accessToken\") select {letter} || '''\\' || n, {letter}, 's', 't' from generate_series(1, 600) n;
         create table \"Visit\" (n int primary key, session text not null references \"Session\" (id));
         insert into \"Visit\" select n, {letter} || '''\\' || (601 - n) from generate_series(1, 300) n"
    ));
}

#[test]
fn a_comment_that_is_no_utf_8_is_told_with_what_to_do_and_changes_nothing() {
    let (project, _) = Project::on_staging("ascii_comment");
    let database = server::shared().database_in("ascii_comment", "SQL_ASCII");
    project.write(".env.staging", &format!("DATABASE_URL={}\n", database.url()));
    migrate(&project, &database);
    database.execute(r#"comment on table "Session" is E'caf\xe9'"#);
    let rows = fingerprint(&database);
    let answer = project.run(&["forward"]).expect(1);
    let said = answer.stderr.lines().skip_while(|line| !line.starts_with("error:")).take(3);
    insta::assert_snapshot!(said.collect::<Vec<_>>().join("\n"), @r#"
    error: could not read the catalog
    caused by: ERROR: invalid byte sequence for encoding "UTF8": 0xe9 (SQLSTATE 22021)
    note: give what has these bytes another name, comment or default, in UTF-8: rows may keep theirs; see docs/failures/text-not-utf8
    "#);
    assert_eq!(fingerprint(&database), rows);
}

#[test]
fn rows_in_any_encoding_of_a_server_come_back_byte_for_byte() {
    let all = ENCODINGS.map(|(encoding, letter)| {
        let (project, _) = Project::on_staging("encodings");
        let database = server::shared().database_in("encodings", encoding);
        project.write(".env.staging", &format!("DATABASE_URL={}\n", database.url()));
        migrate(&project, &database);
        fill(&database, letter);
        let rows = fingerprint(&database);
        snapshot(&project);
        database.execute("delete from \"Visit\"; delete from \"Session\" where id like '%1'");
        project.run(&["restore", "--confirm"]).expect(0);
        (encoding, fingerprint(&database) == rows)
    });
    assert_eq!(all, ENCODINGS.map(|(encoding, _)| (encoding, true)));
}

/// The server translates a whole request, its comments too, and refuses one with a letter that the database does not have.
#[test]
fn what_is_sent_to_the_server_has_only_letters_that_every_encoding_has() {
    let mut files = Vec::new();
    sql_files(&workspace().join("xtask/src"), &mut files);
    assert!(files.len() > 20, "{files:?}");
    let others: Vec<_> = files.iter().filter(|(_, text)| !text.is_ascii()).map(|(name, _)| name).collect();
    assert_eq!(others, [""; 0]);
}

fn sql_files(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            sql_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "sql") {
            found.push((path.display().to_string(), fs::read_to_string(&path).unwrap()));
        }
    }
}
