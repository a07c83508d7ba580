//! What squawk says of migrations that are measured, where a team has it.

use std::time::Duration;

use crate::error::Result;
use crate::evidence::impact::Impact;
use crate::migrations::impact::claims::of_squawk;
use crate::process::{self, Exit};
use crate::run::journal::Journal;
use crate::schema::history::Migration;
use crate::session::Session;
use crate::tools::squawk::{Finding, read, squawk};
use crate::words::counted;

const DEADLINE: Duration = Duration::from_secs(30);

/// Adds to `impacts` what it finds, and says where that was measured otherwise. None where there is no squawk, or it said nothing that can be
/// read: a note has why.
///
/// # Errors
/// `interrupted`.
pub fn lint(
    session: &Session<'_>,
    journal: &Journal<'_>,
    migrations: &[Migration],
    impacts: &mut [Impact],
) -> Result<Option<String>> {
    let folder = session.settings.shown(&session.settings.prisma.migrations);
    let files: Vec<String> = migrations.iter().map(|one| format!("{folder}/{}/migration.sql", one.name)).collect();
    let Some(invocation) = squawk(session, &files).filter(|_| !files.is_empty()) else { return Ok(None) };
    let (exit, said) = match process::capture(&invocation, DEADLINE, session.interrupt) {
        Ok(answer) => answer,
        Err(failure) => {
            session.interrupt.check()?;
            return Ok(not_read(journal, &failure.message));
        }
    };
    // 1 is what it ends with where it finds something.
    let found = read(&said).filter(|_| [Exit::Success, Exit::Code(1)].contains(&exit));
    let Some(found) = found else { return Ok(not_read(journal, &exit.in_words())) };
    found.iter().for_each(|finding| attach(finding, impacts));
    contradictions(impacts).for_each(|line| journal.console.say(format!("  {line}")));
    Ok(Some(in_words(impacts)))
}

fn not_read(journal: &Journal<'_>, why: &str) -> Option<String> {
    journal.record().outcome.add_notes(&[format!("squawk was asked, and its answer could not be read: {why}")]);
    None
}

/// To the statement that it is in, by its line; to the first of several on one line.
fn attach(finding: &Finding, impacts: &mut [Impact]) {
    let is_of = |impact: &&mut Impact| finding.file.ends_with(&format!("/{}/migration.sql", impact.migration));
    let mut own: Vec<&mut Impact> = impacts.iter_mut().filter(is_of).collect();
    let line = own.iter().map(|impact| impact.line).filter(|line| *line <= finding.line).max();
    let at = own.iter().position(|impact| Some(impact.line) == line).unwrap_or(0);
    if let Some(impact) = own.get_mut(at) {
        let lint = of_squawk(&finding.rule, &finding.message, impact);
        impact.lint.push(lint);
    }
}

fn contradictions(impacts: &[Impact]) -> impl Iterator<Item = String> {
    impacts.iter().flat_map(|impact| {
        let against = impact.lint.iter().filter_map(|lint| Some((lint, lint.contradicted.as_ref()?)));
        against.map(|(lint, why)| {
            format!("`{}` line {}: {}'s `{}` does not hold: {why}", impact.migration, impact.line, lint.by, lint.rule)
        })
    })
}

fn in_words(impacts: &[Impact]) -> String {
    let findings = impacts.iter().map(|impact| impact.lint.len()).sum();
    match contradictions(impacts).count() {
        0 => format!("squawk has {}", counted(findings, "finding")),
        some => format!("squawk has {}, {some} of which the measurement contradicts", counted(findings, "finding")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::impact::{Blocks, TableLock};

    #[test]
    fn a_finding_goes_to_its_statement_and_is_told_where_it_was_measured_otherwise() {
        let at = |migration: &str, line: usize| Impact { migration: migration.to_owned(), line, ..Impact::default() };
        let tables = || vec!["public.t".to_owned()];
        let lock = TableLock { table: "public.t".to_owned(), mode: "ShareLock".to_owned(), blocks: Blocks::Writes };
        let mut impacts = [
            Impact { rewritten: tables(), ..at("a", 2) },
            Impact { locks: vec![lock], ..at("a", 5) },
            Impact { unmeasured: Some("why".to_owned()), ..at("a", 9) },
            at("b", 1),
        ];
        let found = [
            ("x/a/migration.sql", 3, "changing-column-type"),
            ("x/a/migration.sql", 6, "changing-column-type"),
            ("x/a/migration.sql", 6, "require-concurrent-index-deletion"),
            ("x/a/migration.sql", 8, "prefer-robust-stmts"),
            ("x/a/migration.sql", 9, "require-concurrent-index-creation"),
            ("x/a/migration.sql", 1, "syntax-error"),
            ("x/b/migration.sql", 1, "adding-foreign-key-constraint"),
            ("x/b/migration.sql", 4, "disallowed-unique-constraint"),
            ("x/b/migration.sql", 4, "require-concurrent-index-deletion"),
            ("x/other/migration.sql", 1, "ban-drop-table"),
        ];
        for (file, line, rule) in found {
            let (file, rule) = (file.to_owned(), rule.to_owned());
            attach(&Finding { file, line, rule, message: "m".to_owned() }, &mut impacts);
        }
        let told = contradictions(&impacts).collect::<Vec<_>>().join("\n");
        insta::assert_snapshot!(format!("{told}\n{}", in_words(&impacts)), @"
        `a` line 5: squawk's `changing-column-type` does not hold: measured, it rewrites no table
        `b` line 1: squawk's `adding-foreign-key-constraint` does not hold: measured, it reads no table whole
        `b` line 1: squawk's `disallowed-unique-constraint` does not hold: measured, it builds no index of a table that was there before
        `b` line 1: squawk's `require-concurrent-index-deletion` does not hold: measured, nobody waits for it
        squawk has 9 findings, 4 of which the measurement contradicts
        ");
        assert_eq!(impacts.each_ref().map(|impact| impact.lint.len()), [2, 3, 1, 3]);
    }
}
