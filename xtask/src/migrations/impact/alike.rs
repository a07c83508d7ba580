//! Statements that do the same to other rows of one table: a data migration may have a million of them behind each other. The first ones are
//! looked at one by one, the rest many at a time.

use script::statements::Statement;

use crate::evidence::impact::Impact;
use crate::migrations::impact::exceptions::is_said_in;
use crate::migrations::impact::probe::is_stronger;

/// So many are looked at one by one.
const ALONE: usize = 16;
/// So many are in one transaction, unless they have more bytes than this: one that is refused is tried again alone.
const TOGETHER: u64 = 256;
const BYTES: usize = 1 << 18;

#[derive(Default)]
pub struct Alike {
    /// How many of this kind came behind each other.
    in_a_row: usize,
    /// Where in what was found it is told what they did.
    pub at: Option<usize>,
    pub since_look: SinceLook,
}

/// What was sent since the last look.
#[derive(Default)]
pub struct SinceLook {
    pub count: u64,
    /// Where its transaction is ours, all of it; else the first.
    pub statements: Vec<Statement>,
    pub own: bool,
    bytes: usize,
    /// Of the one that took longest, and of all.
    pub longest_ms: f64,
    pub all_ms: f64,
    /// Where the server's log stood, and how much of it the one wrote that wrote most.
    pub wal: u64,
    pub most_wal: u64,
}

impl Alike {
    /// Whether `statement` comes behind so many of its kind that it is looked at with others. Is asked once for each statement.
    pub fn is_one_of_many(&mut self, statement: &Statement) -> bool {
        let is_one = self.in_a_row >= ALONE && !is_said_in(&statement.text);
        self.in_a_row = if statement.nature.like_next { self.in_a_row + 1 } else { 0 };
        is_one
    }

    /// Whether the last statement was the last of its kind.
    pub fn is_over(&self) -> bool {
        self.in_a_row == 0
    }
}

impl SinceLook {
    /// Where the server's log stands at `wal`.
    pub fn begun(own: bool, wal: u64) -> SinceLook {
        SinceLook { own, wal, ..SinceLook::default() }
    }

    pub fn add(&mut self, statement: &Statement, ms: f64, wal: u64) {
        self.count += 1;
        self.bytes += statement.text.len();
        self.longest_ms = self.longest_ms.max(ms);
        self.all_ms += ms;
        self.most_wal = self.most_wal.max(wal.saturating_sub(self.wal));
        self.wal = wal;
        if self.own || self.statements.is_empty() {
            let Statement { text, starts, line, nature } = statement;
            self.statements.push(Statement { text: text.clone(), starts: *starts, line: *line, nature: *nature });
        }
    }

    pub fn is_full(&self) -> bool {
        self.count >= TOGETHER || self.bytes >= BYTES
    }
}

/// Adds what others of its kind did to what `impact` tells.
pub fn add(impact: &mut Impact, others: Impact) {
    let Impact { locks, rewritten, indexed, scanned, rows, wal_bytes, ms, held_ms, more_like_it, .. } = others;
    for lock in locks {
        match impact.locks.iter_mut().find(|known| known.table == lock.table) {
            None => impact.locks.push(lock),
            Some(known) if is_stronger(&lock.mode, &known.mode) => *known = lock,
            Some(_) => {}
        }
    }
    for (known, more) in
        [(&mut impact.rewritten, rewritten), (&mut impact.indexed, indexed), (&mut impact.scanned, scanned)]
    {
        known.extend(more);
        known.sort();
        known.dedup();
    }
    for (table, count) in rows {
        *impact.rows.entry(table).or_default() += count;
    }
    impact.more_like_it += 1 + more_like_it;
    impact.wal_bytes = impact.wal_bytes.max(wal_bytes);
    (impact.ms, impact.held_ms) = (impact.ms.max(ms), impact.held_ms.max(held_ms));
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use script::statements::Version;

    use super::*;
    use crate::error::Failure;
    use crate::migrations::impact::impacts;
    use crate::migrations::impact::tests::{PRISMA, of};
    use crate::postgres::server::{open_as, open_as_migrator};
    use crate::schema::history::{History, Migration};
    use crate::schema::replay::AsPrisma;

    const TABLES: &str = "
        create table parent (id int primary key);
        create table child (id int primary key, parent int references parent deferrable initially deferred, n int, at timestamptz unique default now());
        create table log (id serial, said int);
        create function log() returns trigger language plpgsql as $$ begin insert into log (said) values (new.n); return new; end $$;
        create trigger log after update on child for each row when (new.n > 2000) execute function log()";

    /// `text` with each number of `numbers` for the `#` in it, a statement each.
    fn each(numbers: std::ops::Range<i64>, text: &str) -> String {
        numbers.map(|number| format!("{};\n", text.replace('#', &number.to_string()))).collect()
    }

    /// Of those that are told alike, the first.
    fn shown(impacts: &[Impact]) -> String {
        let rows = |one: &Impact| one.rows.iter().map(|(table, rows)| format!(" {table} {rows}")).collect::<String>();
        let locks = |one: &Impact| one.locks.iter().map(|lock| format!(" {}", lock.table)).collect::<String>();
        let told = |one: &Impact| {
            let verb = one.statement.split(' ').next().unwrap_or_default();
            (one.line, format!("{verb} +{}:{} |{}", one.more_like_it, rows(one), locks(one)))
        };
        let mut told: Vec<_> = impacts.iter().map(told).collect();
        told.dedup_by(|one, last| one.1 == last.1);
        told.iter().map(|(line, told)| format!("{line} {told}")).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn of_many_of_a_kind_the_first_are_measured_alone_and_the_rest_together() {
        let script = [
            each(1000..1300, "insert into parent values (#)"),
            each(1000..1050, "insert into child (id, parent) values (#, #)"),
            "insert into child (id) select generate_series(-2, -1);\n".to_owned(),
            each(2000..2049, "update child set n = # where id = # - 1000"),
            "begin;\n".to_owned(),
            each(1100..1199, "delete from parent where id = #"),
            "commit;".to_owned(),
        ];
        let mut script = script.concat();
        // `at` is another one in each transaction, and the same in one.
        script.insert_str(0, "alter table child alter column at set default clock_timestamp();\n");
        let found = of(&[TABLES], &[&script], PRISMA);
        insta::assert_snapshot!(shown(&found), @"
        1 alter +0: | public.child
        2 insert +0: public.parent 1 | public.parent
        18 insert +283: public.parent 284 | public.parent
        302 insert +0: public.child 1 | public.child
        318 insert +33: public.child 34 | public.child public.parent
        352 insert +0: public.child 2 | public.child
        353 update +0: public.child 1 | public.child
        354 update +0: public.child 1 public.log 1 | public.child public.log
        369 update +32: public.child 33 public.log 33 | public.child public.log
        403 delete +0: public.parent 1 | public.parent
        404 delete +0: public.parent 1 |
        419 delete +82: public.parent 83 |
        ");
        let all: u64 = found.iter().map(|one| 1 + one.more_like_it).sum();
        assert_eq!(all, 1 + 300 + 50 + 1 + 49 + 99);
        let block: Vec<&Impact> = found.iter().filter(|one| one.statement.starts_with("delete")).collect();
        assert_eq!(block.iter().filter(|one| one.transaction == block[0].line).count(), block.len());
        assert!(block[0].held_ms >= block.last().unwrap().held_ms && block.last().unwrap().held_ms > 0.0);
    }

    /// What is said of `script` after the tables.
    fn refused(script: &str) -> Option<String> {
        let history = |sql: &str| History { provider: None, migrations: vec![Migration::new("m", sql)] };
        let open = |name: &str| Ok(open_as("migrator", name));
        let said = impacts(&mut open_as_migrator(), open, &history(TABLES), &history(script), PRISMA, || Ok(()));
        said.err().map(|failure: Failure| failure.in_full())
    }

    #[test]
    fn what_is_sent_together_is_refused_where_each_would_be() {
        // `now()` is the same in one transaction; each is one of its own.
        assert_eq!(refused(&each(1000..1100, "insert into child (id) values (#)")), None);
        let twice = each(1000..1040, "insert into parent values (# % 30)");
        let orphan =
            each(1000..1040, "insert into child (id, parent, at) values (#, nullif(greatest(#, 1030), 1030), null)");
        let in_block = format!("begin;\n{twice}commit;\n");
        let said = [twice, orphan, in_block].map(|script| refused(&script).unwrap_or_default());
        insta::assert_snapshot!(said.join("\n\n"), @r#"
        failed: the migration `m` does not apply to an empty database
        caused by: ERROR: duplicate key value violates unique constraint "parent_pkey" (SQLSTATE 23505), in statement 31 of 40, line 31 of the script

        failed: the migration `m` does not apply to an empty database
        caused by: ERROR: insert or update on table "child" violates foreign key constraint "child_parent_fkey" (SQLSTATE 23503), in statement 32 of 40, line 32 of the script

        failed: the migration `m` does not apply to an empty database
        caused by: ERROR: duplicate key value violates unique constraint "parent_pkey" (SQLSTATE 23505), in statement 32 of 42, line 32 of the script
        "#);
    }

    #[test]
    fn one_with_a_comment_of_its_own_is_measured_alone() {
        let accepted = "-- drill-accept: wal because it is one\ninsert into parent values (7000);\n";
        let rows = |from| each(from..from + 40, "insert into parent values (#)");
        let found = of(&[TABLES], &[&[&rows(1000), accepted, &rows(2000)].concat()], PRISMA);
        let told: Vec<_> = found.iter().filter(|one| one.line > 16).map(|one| (one.line, one.more_like_it)).collect();
        assert_eq!(told, [(17, 63), (42, 0)]);
    }

    #[test]
    fn whoever_has_waited_long_enough_stops_it_in_the_middle_of_a_migration() {
        let history = |sql: &str| History { provider: None, migrations: vec![Migration::new("m", sql)] };
        let open = |name: &str| Ok(open_as("migrator", name));
        let of_one_request = format!("set work_mem = '1MB';\n{}", each(0..90, "insert into parent values (#)"));
        for (release, script) in
            [(Version::NEWEST, each(0..90, "insert into parent values (#)")), (Version::of("6.19.3"), of_one_request)]
        {
            let asked = Cell::new(0);
            let go_on = || {
                asked.set(asked.get() + 1);
                if asked.get() < 40 { Ok(()) } else { Err(Failure::failed("it takes too long")) }
            };
            let prisma = AsPrisma { release, ..PRISMA };
            let said = impacts(&mut open_as_migrator(), open, &history(TABLES), &history(&script), prisma, go_on);
            assert_eq!((said.unwrap_err().message.as_str(), asked.get()), ("it takes too long", 40));
        }
    }
}
