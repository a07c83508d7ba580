//! Which statements go over the limits of `drill.toml`, and which of those somebody has accepted in the migration itself.

use std::time::Duration;

use script::statements::{Version, split};

use crate::error::Result;
use crate::evidence::impact::{Blocks, Impact, Work};
use crate::evidence::limits::OverLimit;
use crate::migrations::impact::exceptions::{Exception, Exceptions, KEYS};
use crate::schema::history::Migration;
use crate::settings::limits::{Limits, Longest};
use crate::words::{counted, duration, listed, number, size};

/// What the limits are held against.
pub struct Check<'a> {
    pub limits: &'a Limits,
    /// Rows that each table had when the statements were measured.
    pub rows: u64,
    /// Whether a table holds rows where it counts.
    pub holds_rows: &'a dyn Fn(&str) -> bool,
    /// The folder of the migrations, as it is shown.
    pub folder: &'a str,
}

/// What was found, and what is worth knowing of exceptions.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    pub over: Vec<OverLimit>,
    pub notes: Vec<String>,
}

impl Verdict {
    pub fn not_accepted(&self) -> impl Iterator<Item = &OverLimit> {
        self.over.iter().filter(|one| one.accepted.is_none())
    }

    pub fn in_words(&self) -> String {
        match self.over.len() {
            0 => "no limit of drill.toml is passed".to_owned(),
            some => {
                format!("{} past the limits of drill.toml, as accepted in the migrations", counted(some, "statement"))
            }
        }
    }
}

/// A migration's own, as far as it says where something is and why.
struct Script {
    exceptions: Exceptions,
    /// It goes as one, and none of its statements has a place of its own.
    whole: bool,
}

impl Script {
    fn of(migration: &Migration) -> Result<Script> {
        let whole = split(&migration.sql, Version::NEWEST)?.whole_because.is_some();
        Ok(Script { exceptions: Exceptions::of(&migration.sql)?, whole })
    }

    fn exceptions(&self) -> impl Iterator<Item = &Exception> {
        self.exceptions.all.iter()
    }

    /// Where comments are what a file begins with, a statement begins behind them.
    fn line(&self, impact: &Impact) -> usize {
        impact.line.max(self.exceptions.first)
    }

    fn is_above(&self, exception: &Exception, line: usize) -> bool {
        self.whole || exception.above == Some(line)
    }
}

/// How long something takes, and by what that is known.
struct Length {
    ms: f64,
    known: String,
}

impl Check<'_> {
    /// Of all `migrations` that come after what drill.toml says is past.
    ///
    /// # Errors
    /// `blocked` where a script cannot be read.
    pub fn all(&self, migrations: &[Migration], impacts: &[Impact]) -> Result<Verdict> {
        let mut verdict = Verdict::default();
        let is_past = |name: &str| self.limits.after.as_deref().is_some_and(|after| name <= after);
        for migration in migrations.iter().filter(|migration| !is_past(&migration.name)) {
            let own: Vec<&Impact> = impacts.iter().filter(|impact| impact.migration == migration.name).collect();
            self.one(migration, &own, &mut verdict)?;
        }
        Ok(verdict)
    }

    fn one(&self, migration: &Migration, impacts: &[&Impact], verdict: &mut Verdict) -> Result<()> {
        let script = Script::of(migration)?;
        let mut used = Vec::new();
        for at in 0..impacts.len() {
            let line = script.line(impacts[at]);
            for (key, does) in KEYS.into_iter().filter_map(|key| Some((key, self.passes(key, &impacts[at..])?))) {
                let exception = script.exceptions().find(|one| one.key == key && script.is_above(one, line));
                used.extend(exception);
                let (accepted, message) = judged(does, exception);
                let file = format!("{}/{}/migration.sql", self.folder, migration.name);
                let (migration, limit) = (migration.name.clone(), key.to_owned());
                verdict.over.push(OverLimit { migration, file, line, limit, message, accepted });
            }
        }
        let idle = script.exceptions().filter(|one| !used.contains(one) && !self.is_of_use(one, &script, impacts));
        verdict.notes.extend(idle.map(|one| one.told(&migration.name)));
        Ok(())
    }

    /// Whether it would be, if every table held rows.
    fn is_of_use(&self, exception: &Exception, script: &Script, impacts: &[&Impact]) -> bool {
        let everywhere = Check { holds_rows: &|_| true, ..*self };
        let passes = |at: usize| everywhere.passes(&exception.key, &impacts[at..]).is_some();
        let mut below = (0..impacts.len()).filter(|at| script.is_above(exception, script.line(impacts[*at])));
        exception.reason.is_ok() && below.any(passes)
    }

    /// What the first of `impacts` does beyond the limit `key`, and what that allows. Those behind it are its migration's.
    fn passes(&self, key: &str, impacts: &[&Impact]) -> Option<String> {
        let (limits, first) = (self.limits, impacts.first()?);
        match key {
            "blocks_reads" => self.blocks(key, Blocks::ReadsAndWrites, limits.blocks_reads?, impacts),
            "blocks_writes" => self.blocks(key, Blocks::Writes, limits.blocks_writes?, impacts),
            "rewrites" => self.rewrites(first).filter(|_| limits.forbids_rewrites),
            "statement" => self.takes(first, limits.statement?),
            _ => self.writes(first, limits.wal?),
        }
    }

    fn rewrites(&self, impact: &Impact) -> Option<String> {
        let tables = self.filled(&impact.rewritten);
        (!tables.is_empty()).then(|| format!("rewrites {}, and `rewrites` is false", listed(&tables)))
    }

    fn takes(&self, impact: &Impact, limit: Duration) -> Option<String> {
        let length = self.length(impact);
        let (takes, allowed) = length.beside(limit);
        let words = || format!("takes {takes}, and `statement` allows {allowed} ({})", length.known);
        length.is_over(limit).then(words)
    }

    fn writes(&self, impact: &Impact, limit: u64) -> Option<String> {
        let (written, known) = (size(impact.wal_bytes), self.measured());
        (impact.wal_bytes > limit)
            .then(|| format!("writes {written} of WAL, and `wal` allows {} ({known})", size(limit)))
    }

    fn blocks(&self, key: &str, least: Blocks, limit: Longest, impacts: &[&Impact]) -> Option<String> {
        let first = impacts.first()?;
        let locks = first.locks.iter().filter(|lock| lock.blocks >= least).map(|lock| lock.table.clone());
        let tables = self.filled(&locks.collect::<Vec<_>>());
        if tables.is_empty() {
            return None;
        }
        let held: Vec<&Impact> = impacts.iter().take_while(|one| is_held_with(first, one)).copied().collect();
        let how_long = match limit {
            Longest::Moment => self.works_for(&held).map(|how_long| (how_long, "a moment".to_owned())),
            Longest::Time(limit) => {
                let length = held.iter().map(|one| self.length(one)).reduce(Length::and)?;
                let (blocked, allowed) = length.beside(limit);
                length.is_over(limit).then(|| (blocked, format!("{allowed} ({})", length.known)))
            }
        };
        let what = if least == Blocks::Writes { "writes" } else { "reads" };
        how_long.map(|(how_long, allowed)| {
            format!("blocks {what} of {} for {how_long}, and `{key}` allows {allowed}", listed(&tables))
        })
    }

    /// As long as what, where that grows with a table.
    fn works_for(&self, held: &[&Impact]) -> Option<String> {
        let works = held.iter().map(|one| (one.line, self.works(one)));
        let (line, (work, tables)) = works.rev().max_by_key(|(_, (work, _))| *work)?;
        let is_first = held.first().is_some_and(|first| first.line == line);
        let who = if is_first { "it".to_owned() } else { format!("line {line}") };
        (work > Work::Moment).then(|| format!("as long as {who} {}", doing(work, &tables)))
    }

    /// What takes long, of tables that hold rows.
    fn works(&self, impact: &Impact) -> (Work, Vec<String>) {
        let changed: Vec<String> = impact.rows.keys().cloned().collect();
        let kinds = [
            (Work::Rewrites, &impact.rewritten),
            (Work::Indexes, &impact.indexed),
            (Work::Reads, &impact.scanned),
            (Work::Changes, &changed),
        ];
        let found = kinds.into_iter().map(|(work, tables)| (work, self.filled(tables)));
        found.into_iter().find(|(_, tables)| !tables.is_empty()).unwrap_or((Work::Moment, Vec::new()))
    }

    fn filled(&self, tables: &[String]) -> Vec<String> {
        tables.iter().filter(|table| (self.holds_rows)(table)).cloned().collect()
    }

    /// With production's rows, where those are known: here, and nowhere else, it is said how long a statement takes.
    fn length(&self, impact: &Impact) -> Length {
        match &impact.production {
            Some(foretold) => Length { ms: foretold.ms, known: foretold.known() },
            None => Length { ms: impact.ms, known: self.measured() },
        }
    }

    fn measured(&self) -> String {
        format!("measured with {} rows in each table", number(self.rows))
    }
}

impl Length {
    /// One after the other.
    fn and(self, other: Length) -> Length {
        let known = if self.ms >= other.ms { self.known } else { other.known };
        Length { ms: self.ms + other.ms, known }
    }

    fn is_over(&self, limit: Duration) -> bool {
        self.ms > limit.as_secs_f64() * 1000.0
    }

    /// Both in words, and in milliseconds where words do not tell them apart.
    fn beside(&self, limit: Duration) -> (String, String) {
        let limit = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        let own = u64::try_from(Duration::from_secs_f64(self.ms.ceil() / 1000.0).as_millis()).unwrap_or(u64::MAX);
        match (duration(own), duration(limit)) {
            (own_words, words) if own_words == words => {
                (format!("{} ms", number(own)), format!("{} ms", number(limit)))
            }
            apart => apart,
        }
    }
}

/// Why it is accepted, and what is said of it.
fn judged(does: String, exception: Option<&Exception>) -> (Option<String>, String) {
    match exception.map(|exception| (exception.line, &exception.reason)) {
        None => (None, does),
        Some((_, Ok(reason))) => (Some(reason.clone()), does),
        Some((line, Err(why))) => (None, format!("{does}; the exception at line {line} does not count: {why}")),
    }
}

impl Exception {
    fn told(&self, migration: &str) -> String {
        let Exception { line, key, .. } = self;
        let why = match &self.reason {
            Err("it names no limit") => format!("it names no limit: `{key}` is none of {}", KEYS.join(", ")),
            Err(why) => (*why).to_owned(),
            Ok(_) => format!("the statement below it does not go over `{key}`"),
        };
        format!("`{migration}` line {line}: that exception accepts nothing: {why}")
    }
}

/// Whether what `first` locks is held while `one` runs.
fn is_held_with(first: &Impact, one: &Impact) -> bool {
    std::ptr::eq(first, one) || first.transaction > 0 && first.transaction == one.transaction
}

fn doing(work: Work, tables: &[String]) -> String {
    let tables = listed(tables);
    match work {
        Work::Moment => "works".to_owned(),
        Work::Changes => format!("changes rows of {tables}"),
        Work::Reads => format!("reads {tables} whole"),
        Work::Indexes => format!("builds an index of {tables}"),
        Work::Rewrites => format!("rewrites {tables}"),
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::evidence::foretold::{Foretold, How, Tried};
    use crate::migrations::impact::tests::{PRISMA, TABLES, of};
    use crate::schema::replay::AsPrisma;

    pub const MOMENT: Limits = Limits {
        blocks_reads: Some(Longest::Moment),
        blocks_writes: Some(Longest::Moment),
        forbids_rewrites: true,
        statement: None,
        wal: None,
        after: None,
    };

    fn checked(limits: &Limits, script: &str, impacts: &[Impact], holds_rows: &dyn Fn(&str) -> bool) -> String {
        let named: Vec<Impact> =
            impacts.iter().map(|one| Impact { migration: "m".to_owned(), ..one.clone() }).collect();
        let check = Check { limits, rows: 20, holds_rows, folder: "prisma/migrations" };
        let verdict = check.all(&[Migration::new("m", script)], &named).unwrap();
        let over = verdict.over.iter().map(|one| format!("{}: {}", one.limit, one.in_words()));
        over.chain(verdict.notes.iter().map(|note| format!("note: {note}"))).collect::<Vec<_>>().join("\n")
    }

    /// Measured on a real server.
    fn found(limits: &Limits, script: &str, holds_rows: &dyn Fn(&str) -> bool) -> String {
        checked(limits, script, &of(&[TABLES], &[script], PRISMA), holds_rows)
    }

    #[test]
    fn more_than_a_moment_is_work_on_a_table_that_holds_rows_while_the_lock_is_held() {
        let script = "create table fresh (id int primary key, parent int);\nalter table child add column x int;\n\
                      create index i on child (note);\nalter table child alter n type bigint;\ncreate index j on loose (id);\n\
                      alter table fresh add constraint fk foreign key (parent) references parent (id);\n\
                      alter table child add constraint fk foreign key (parent) references parent (id);\n\
                      update child set note = 'a'; alter table child validate constraint positive";
        insta::assert_snapshot!(found(&MOMENT, script, &|_| true), @"
        blocks_writes: `m` line 3 blocks writes of `public.child` for as long as it builds an index of `public.child`, and `blocks_writes` allows a moment
        blocks_reads: `m` line 4 blocks reads of `public.child` for as long as it rewrites `public.child`, and `blocks_reads` allows a moment
        blocks_writes: `m` line 4 blocks writes of `public.child` for as long as it rewrites `public.child`, and `blocks_writes` allows a moment
        rewrites: `m` line 4 rewrites `public.child`, and `rewrites` is false
        blocks_writes: `m` line 5 blocks writes of `public.loose` for as long as it builds an index of `public.loose`, and `blocks_writes` allows a moment
        blocks_writes: `m` line 7 blocks writes of `public.child`, `public.parent` for as long as it reads `public.child`, `public.parent` whole, and `blocks_writes` allows a moment
        ");
        insta::assert_snapshot!(found(&MOMENT, script, &|table| table == "public.loose"), @"blocks_writes: `m` line 5 blocks writes of `public.loose` for as long as it builds an index of `public.loose`, and `blocks_writes` allows a moment");
        let before = Limits { after: Some("m".to_owned()), ..MOMENT };
        assert_eq!(found(&before, script, &|_| true), "");
    }

    #[test]
    fn a_lock_is_held_through_the_work_of_later_statements_in_its_transaction() {
        let script = "alter table parent add column x int;\nupdate child set note = 'a';\nselect 1;";
        let reads = Limits { blocks_writes: None, ..MOMENT };
        assert_eq!(found(&reads, script, &|_| true), "", "each is a transaction");
        let block = format!("begin;\n{script}\ncommit;");
        insta::assert_snapshot!(found(&reads, &block, &|_| true), @"blocks_reads: `m` line 2 blocks reads of `public.parent` for as long as line 3 reads `public.child` whole, and `blocks_reads` allows a moment");
        let as_one = of(&[TABLES], &[script], AsPrisma { release: Version::of("6.19.0"), ..PRISMA });
        insta::assert_snapshot!(checked(&reads, script, &as_one, &|_| true), @"blocks_reads: `m` line 1 blocks reads of `public.parent` for as long as line 2 reads `public.child` whole, and `blocks_reads` allows a moment");
    }

    #[test]
    fn an_exception_accepts_what_it_names_of_the_statement_below_it_and_nothing_else() {
        let script = "-- drill-accept: blocks-writes because `child` is small\n-- CreateIndex\ncreate index i on child (note);\n\n\
                      -- drill-accept: blocks-writes\ncreate index j on child (parent);\n\
                      -- drill-accept: rewrites, wal because we are closed\nalter table child alter n type bigint;\n\
                      -- drill-accept: blocks-writes because it reads much\nalter table child add column y int;\n\
                      -- drill-accept: rewriting because\nselect 1; -- drill-accept: wal because late";
        insta::assert_snapshot!(found(&MOMENT, script, &|_| true), @"
        blocks_writes: `m` line 3 blocks writes of `public.child` for as long as it builds an index of `public.child`, and `blocks_writes` allows a moment; accepted, because `child` is small
        blocks_writes: `m` line 6 blocks writes of `public.child` for as long as it builds an index of `public.child`, and `blocks_writes` allows a moment; the exception at line 5 does not count: it has no reason
        blocks_reads: `m` line 8 blocks reads of `public.child` for as long as it rewrites `public.child`, and `blocks_reads` allows a moment
        blocks_writes: `m` line 8 blocks writes of `public.child` for as long as it rewrites `public.child`, and `blocks_writes` allows a moment
        rewrites: `m` line 8 rewrites `public.child`, and `rewrites` is false; accepted, because we are closed
        note: `m` line 7: that exception accepts nothing: the statement below it does not go over `wal`
        note: `m` line 9: that exception accepts nothing: the statement below it does not go over `blocks_writes`
        note: `m` line 11: that exception accepts nothing: it names no limit: `rewriting` is none of blocks_reads, blocks_writes, rewrites, statement, wal
        note: `m` line 12: that exception accepts nothing: it is not on a line of its own above a statement
        ");
        insta::assert_snapshot!(found(&MOMENT, script, &|_| false), @"
        note: `m` line 5: that exception accepts nothing: it has no reason
        note: `m` line 7: that exception accepts nothing: the statement below it does not go over `wal`
        note: `m` line 9: that exception accepts nothing: the statement below it does not go over `blocks_writes`
        note: `m` line 11: that exception accepts nothing: it names no limit: `rewriting` is none of blocks_reads, blocks_writes, rewrites, statement, wal
        note: `m` line 12: that exception accepts nothing: it is not on a line of its own above a statement
        ");
        let whole = "do $$ begin\n-- drill-accept: rewrites because inside\nexecute 'alter table child alter n type bigint'; end $$;\n\
                     -- drill-accept: rewrites, blocks-reads, blocks-writes because nobody reads it\ncreate table other (id int);";
        insta::assert_snapshot!(found(&MOMENT, whole, &|_| true), @"
        blocks_reads: `m` line 1 blocks reads of `public.child` for as long as it rewrites `public.child`, and `blocks_reads` allows a moment; accepted, because nobody reads it
        blocks_writes: `m` line 1 blocks writes of `public.child` for as long as it rewrites `public.child`, and `blocks_writes` allows a moment; accepted, because nobody reads it
        rewrites: `m` line 1 rewrites `public.child`, and `rewrites` is false; accepted, because nobody reads it
        ");
        let one = "-- drill-accept: blocks-writes because it is one file\n\ncreate index i on child (note);";
        let as_one = of(&[TABLES], &[one], AsPrisma { release: Version::of("6.19.0"), ..PRISMA });
        insta::assert_snapshot!(checked(&MOMENT, one, &as_one, &|_| true), @"blocks_writes: `m` line 3 blocks writes of `public.child` for as long as it builds an index of `public.child`, and `blocks_writes` allows a moment; accepted, because it is one file");
    }

    #[test]
    fn times_and_wal_are_what_was_measured_and_say_so() {
        let impact = |line: usize, mode: &str, ms: f64| {
            let lock = crate::evidence::impact::TableLock {
                table: "public.child".to_owned(),
                mode: mode.to_owned(),
                blocks: Blocks::of(mode),
            };
            Impact { line, transaction: 1, locks: vec![lock], ms, wal_bytes: 2_500_000, ..Impact::default() }
        };
        let limits = Limits {
            blocks_reads: Some(Longest::Time(Duration::from_secs(2))),
            blocks_writes: Some(Longest::Time(Duration::from_millis(1_700))),
            statement: Some(Duration::from_secs(1)),
            wal: Some(2_500_000),
            ..Limits::default()
        };
        let (exclusive, share) = ("AccessExclusiveLock", "ShareLock");
        let impacts = [impact(1, exclusive, 0.3), impact(2, share, 1_000.0), impact(3, exclusive, 1_000.2)];
        insta::assert_snapshot!(checked(&limits, "", &impacts, &|_| true), @"
        blocks_reads: `m` line 1 blocks reads of `public.child` for 2,001 ms, and `blocks_reads` allows 2,000 ms (measured with 20 rows in each table)
        blocks_writes: `m` line 1 blocks writes of `public.child` for 2.0 s, and `blocks_writes` allows 1.7 s (measured with 20 rows in each table)
        blocks_writes: `m` line 2 blocks writes of `public.child` for 2.0 s, and `blocks_writes` allows 1.7 s (measured with 20 rows in each table)
        statement: `m` line 3 takes 1,001 ms, and `statement` allows 1,000 ms (measured with 20 rows in each table)
        ");
        let alone: Vec<Impact> = impacts.iter().map(|one| Impact { transaction: 0, ..one.clone() }).collect();
        insta::assert_snapshot!(checked(&limits, "", &alone, &|_| true), @"statement: `m` line 3 takes 1,001 ms, and `statement` allows 1,000 ms (measured with 20 rows in each table)");
        let foretold = |rows, how| Foretold {
            table: "public.child".to_owned(),
            rows,
            ms: 40_000.0,
            low_ms: 30_000.0,
            high_ms: 55_000.0,
            how,
            tried: vec![Tried { rows: 100_000, ms: 1.0 }],
        };
        let in_production = |rows, how| Impact { production: Some(foretold(rows, how)), ..alone[1].clone() };
        let sized = [in_production(12_000_000, How::Extrapolated), in_production(80_000, How::Measured)];
        insta::assert_snapshot!(checked(&limits, "", &sized, &|_| true), @"
        blocks_writes: `m` line 2 blocks writes of `public.child` for 40.0 s, and `blocks_writes` allows 1.7 s (foretold for 12 M rows of `public.child`)
        statement: `m` line 2 takes 40.0 s, and `statement` allows 1.0 s (foretold for 12 M rows of `public.child`)
        blocks_writes: `m` line 2 blocks writes of `public.child` for 40.0 s, and `blocks_writes` allows 1.7 s (measured with 80 k rows of `public.child`)
        statement: `m` line 2 takes 40.0 s, and `statement` allows 1.0 s (measured with 80 k rows of `public.child`)
        ");
        let wal = |limit| checked(&Limits { wal: Some(limit), ..Limits::default() }, "", &alone[..1], &|_| false);
        insta::assert_snapshot!(wal(2_400_000), @"wal: `m` line 1 writes 2.5 MB of WAL, and `wal` allows 2.4 MB (measured with 20 rows in each table)");
        assert_eq!(wal(2_500_000), "");
    }
}
