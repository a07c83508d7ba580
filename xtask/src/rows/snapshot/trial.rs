//! Whether the target's rows would go back after a reset, found by doing: the history is applied to a throw-away database beside the target, and a
//! sample of the rows restored there as `put_back` restores all of them, in a transaction that nobody else sees and that is taken back.

use std::time::Duration;

use crate::error::{Failure, Result, Status};
use crate::headway::Headway;
use crate::interrupt::Interrupt;
use crate::postgres::connection::Connection;
use crate::postgres::counts::{Counts, survey};
use crate::rows::snapshot::put_back::{PutBack, fit, try_out};
use crate::rows::snapshot::sample::{Sample, keys};
use crate::schema::history::History;
use crate::schema::platform;
use crate::schema::privileges::{self, Privileges};
use crate::schema::replay::{apply_all, in_throw_away_database};
use crate::schema::scratch_server::acts_on_server;
use crate::session::Session;
use crate::words::{counted, number};

/// What was tried, and what came of it.
#[derive(Debug)]
pub struct Trial {
    /// As a sentence.
    pub words: String,
    /// What would not be as it was, each as a sentence.
    pub losses: Vec<String>,
}

impl Trial {
    fn not(reason: String) -> Trial {
        Trial { words: format!("Whether the rows go back was not tried: {reason}."), losses: Vec::new() }
    }
}

/// Tries it with rows of the target, which has as many as `counts` says, and with the `privileges` that will be granted again; `history` makes all
/// that will be there. None where there are no rows.
///
/// # Errors
/// `blocked`, with the server's words, when the rows would not go back; as a replay's.
pub fn try_way_back(
    session: &Session<'_>,
    history: &History,
    counts: &Counts,
    privileges: &[Privileges],
) -> Result<Option<Trial>> {
    if counts.values().all(|rows| *rows == 0) {
        return Ok(None);
    }
    // Rows stay on the server that they are on: anybody on this machine may look into the sandbox.
    if let Some(reason) = acts_on_server(session, history)? {
        return Ok(Some(Trial::not(format!("{reason}, so there can be no throw-away database beside the target"))));
    }
    if !session.identity.may_create_databases {
        return Ok(Some(Trial::not(format!("`{}` may not create a throw-away database", session.identity.user))));
    }
    let schemas = session.target.schemas();
    let prisma = platform::as_prisma(session, &schemas)?;
    let open = |name: &str| session.connect_to(name);
    let trial = in_throw_away_database(&mut session.connect()?, open, prisma, |copy| {
        apply_all(copy, &history.migrations, prisma)?;
        let restored = privileges::restore_all(copy, &session.target, privileges)?;
        let limit = session.settings.timeouts.snapshot;
        let keys = keys(copy, &schemas)?;
        let sample = Sample::draw(&mut session.connect()?, limit, &schemas, counts, &keys)?;
        let mut trial = put_on_trial(copy, (session.interrupt, limit), &sample, counts)?;
        trial.losses.extend(restored.missing.iter().map(|sql| format!("what this role may not do again: {sql}")));
        Ok(trial)
    });
    trial.map(Some)
}

/// Restores `sample` in `copy`, which has the schema alone.
fn put_on_trial(
    copy: &mut Connection,
    control: (&Interrupt, Duration),
    sample: &Sample,
    counts: &Counts,
) -> Result<Trial> {
    let contents = sample.contents();
    let fit = fit(copy, "a snapshot of its rows", contents, true).map_err(|failure| would_not(failure, sample))?;
    let fit = fit.sized(counts);
    let forbidden = fit.obstacles(copy)?.forbidden;
    if !forbidden.is_empty() {
        let refused = Failure::blocked("this role may not put all of the rows back").because_all(forbidden);
        let hint = "have the owners' roles granted to it, or connect as a role that has them";
        return Err(would_not(refused, sample).hint(hint));
    }
    let schemas: Vec<&str> = contents.schemas.iter().map(String::as_str).collect();
    let forced = survey(copy, &schemas, &Headway::default(), None)?.uncounted;
    let mut losses: Vec<String> =
        forced.iter().map(|one| format!("the restore in one step: {one}, and has to be lifted first")).collect();
    match try_out(copy, control, contents.schemas, sample, &fit) {
        Ok(PutBack { rows, unsatisfied }) => {
            let unsatisfied = unsatisfied.iter().filter(|_| sample.is_whole);
            losses.extend(unsatisfied.map(|check| {
                format!("the validity of the check {check}: on trial the rows did not satisfy it, and it was NOT VALID")
            }));
            Ok(Trial { words: in_words(rows, sample, counts), losses })
        }
        Err(failure) if matches!(failure.status, Status::Interrupted | Status::Terminated) => Err(failure),
        Err(failure) if sample.is_whole || is_about_one_row(&failure) => Err(would_not(failure, sample)),
        // What a function looks for may be among the rows that were not drawn.
        Err(failure) => {
            let why: Vec<String> = std::iter::once(failure.message.clone()).chain(failure.causes()).collect();
            losses.push(format!("rows, maybe: a sample of them did not go back on trial ({})", why.join(": ")));
            Ok(Trial { words: "A sample of the rows did not go back.".to_owned(), losses })
        }
    }
}

fn in_words(rows: u64, sample: &Sample, counts: &Counts) -> String {
    let tables = counted(sample.filled(), "table");
    let copy = "was put back in a throw-away database that the migrations were applied to";
    match sample.is_whole {
        true => format!("Tried beforehand: every row of {tables} {copy}."),
        false => format!(
            "Tried beforehand: a sample of {} rows of {tables}, of {} in all, {copy}.",
            number(rows),
            number(counts.values().sum())
        ),
    }
}

/// A constraint (class 23), a definition (42) or something that the server cannot do (0A) refused it, or it came back as another: rows that were not drawn do not matter.
fn is_about_one_row(failure: &Failure) -> bool {
    let says = |class: &str| failure.causes().any(|cause| cause.contains(class));
    failure.status == Status::Different || ["23", "42", "0A"].iter().any(|class| says(&format!("(SQLSTATE {class}")))
}

fn would_not(failure: Failure, sample: &Sample) -> Failure {
    let what = if sample.is_whole { "the rows" } else { "a sample of the rows" };
    let refused = Failure::blocked("a reset would not come back: what its snapshot holds could not be restored")
        .because(failure.message.clone())
        .because_all(failure.causes())
        .note(format!("nothing was dropped: this was tried with {what}, in a throw-away database"));
    refused.hint("make the rows or the migrations fit each other; `reset --no-snapshot` lets the rows go for good")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::counts::counts;
    use crate::postgres::server::{Database, open_as};

    /// What came of putting rows of `target` into what `history` makes.
    fn tried(target: &mut Database, history: &str) -> Result<Trial> {
        let mut copy = Database::new();
        copy.run(history);
        tried_in(&mut copy.connection, target)
    }

    fn tried_in(copy: &mut Connection, target: &mut Database) -> Result<Trial> {
        let limit = Duration::from_secs(60);
        let counts = counts(&mut target.connection, &["public"]).unwrap();
        let keys = keys(copy, &["public"]).unwrap();
        let sample = Sample::draw(&mut target.connection, limit, &["public"], &counts, &keys).unwrap();
        let before = all_rows(copy);
        let trial = put_on_trial(copy, (&Interrupt::default(), limit), &sample, &counts);
        assert_eq!(all_rows(copy), before, "nothing of it stays");
        trial
    }

    fn all_rows(copy: &mut Connection) -> u64 {
        counts(copy, &["public"]).map(|counts| counts.values().sum()).unwrap_or_default()
    }

    fn in_one(answer: Result<Trial>) -> String {
        match answer {
            Ok(Trial { words, losses }) => [vec![words], losses].concat().join("\n  "),
            Err(failure) => {
                assert_eq!(failure.status, Status::Blocked);
                failure.causes().collect::<Vec<_>>().join("\n  ")
            }
        }
    }

    /// What the migrations make, what the target has otherwise, and what is said of it.
    #[test]
    fn what_would_not_go_back_is_found_by_doing_and_named_with_table_and_reason() {
        let lent = "create table lent (id int, amount int);";
        let said: Vec<String> = [
            (lent, "insert into lent values (1, -5)"),
            ("create table lent (id int, amount int, constraint positive check (amount > 0));", "alter table lent drop constraint positive; insert into lent values (1, -5)"),
            ("create table lent (id int, amount int); alter table lent add constraint positive check (amount > 0) not valid;", "alter table lent drop constraint positive; insert into lent values (1, -5); alter table lent add constraint positive check (amount > 0) not valid"),
            ("create table lent (id int, amount int, unique (amount));", "alter table lent drop constraint lent_amount_key; insert into lent values (1, 5), (2, 5)"),
            ("create table shelf (id int primary key); create table lent (id int, amount int references shelf);", "alter table lent drop constraint lent_amount_fkey; insert into lent values (1, 7)"),
            ("create table lent (id int, amount int, due date not null);", "alter table lent drop due; insert into lent values (1, 7)"),
            ("create table lent (id int, amount int, due date not null);", "alter table lent alter due drop not null; insert into lent values (1, 7)"),
            ("create table lent (id int, amount numeric(9, 2));", "alter table lent alter amount type numeric; insert into lent values (1, 7.125)"),
            ("create table lent (id int generated always as identity (maxvalue 9), amount int);", "alter table lent alter id set maxvalue 99; alter sequence lent_id_seq restart 50; insert into lent (amount) values (7)"),
            ("create table lent (id int generated always as identity, amount int, twice int generated always as (amount * 2) stored); create rule none as on insert to lent do instead nothing;", "drop rule none on lent; insert into lent (amount) values (7)"),
            ("create table rule (highest int); create function highest() returns int language sql stable as 'select max(highest) from rule';
              create table lent (id int, amount int, constraint low check (amount <= highest()));", "insert into rule values (9); insert into lent values (1, 7); update rule set highest = 5"),
            ("create table rule (highest int); create function per_rule(a int) returns int language plpgsql immutable as $$ begin return a / (select count(*) from rule); end $$;
              create table lent (id int, amount int, few int generated always as (per_rule(amount)) stored);", "insert into rule values (9); insert into lent values (1, 7)"),
        ]
        .iter()
        .map(|(history, otherwise)| {
            let mut target = Database::new();
            target.run(history);
            target.run(otherwise);
            in_one(tried(&mut target, history))
        })
        .collect();
        insta::assert_snapshot!(said.join("\n"), @r#"
        Tried beforehand: every row of 1 table was put back in a throw-away database that the migrations were applied to.
        could not put rows back into `public.lent`
          ERROR: new row for relation "lent" violates check constraint "positive" (SQLSTATE 23514)
        Tried beforehand: every row of 1 table was put back in a throw-away database that the migrations were applied to.
        could not put rows back into `public.lent`
          ERROR: duplicate key value violates unique constraint "lent_amount_key" (SQLSTATE 23505)
        could not put indexes, keys and triggers back
          ERROR: insert or update on table "lent" violates foreign key constraint "lent_amount_fkey" (SQLSTATE 23503)
        a snapshot of its rows does not fit the schema as it is now
          the column `due` of `public.lent` must not be null, has no default, and the snapshot does not have it
        could not put rows back into `public.lent`
          ERROR: null value in column "due" of relation "lent" violates not-null constraint (SQLSTATE 23502)
        `public.lent` does not hold what the snapshot says
          the snapshot has 1 rows, the server 1; checksum a66dcf4ba1a9b370064f328688628a69, server be7cbb96fdc4f6ca8cf1d58ebd4feba7
        could not set the sequence `public.lent_id_seq`
          ERROR: setval: value 50 is out of bounds for sequence "lent_id_seq" (1..9) (SQLSTATE 22003)
        Tried beforehand: every row of 1 table was put back in a throw-away database that the migrations were applied to.
        Tried beforehand: every row of 2 tables was put back in a throw-away database that the migrations were applied to.
          the validity of the check `low` of table public.lent: on trial the rows did not satisfy it, and it was NOT VALID
        could not put rows back into `public.lent`
          ERROR: division by zero (SQLSTATE 22012)
        "#);
    }

    #[test]
    fn a_sample_says_how_much_it_was_and_doubts_what_only_all_rows_could_tell() {
        let history =
            "create table rule (n int); create function of_all(a int) returns int language plpgsql immutable as $$
                         begin if (select count(*) from public.rule) < 900 then raise 'few'; end if; return 1; end $$;
                       create table a_table (id int primary key); create table b_table (a int references a_table)";
        let mut target = Database::new();
        target.run(history);
        target.run("insert into rule select generate_series(1, 1000); insert into a_table select generate_series(1, 1000); insert into b_table select 1000 - n from generate_series(1, 900) n");
        let plain = in_one(tried(&mut target, history));
        let doubt = format!("{history}; create index on a_table (of_all(id))");
        let certain = format!("{history}; alter table b_table add check (a <> 990)");
        // No row of such a type goes in, whichever were drawn.
        let (mut trees, kept) = (Database::new(), "create table kept (a pg_node_tree, b int default 1)");
        trees.run(kept);
        trees.run("insert into kept (a) select adbin from pg_attrdef, generate_series(1, 300)");
        let said = [
            plain,
            in_one(tried(&mut target, &doubt)),
            in_one(tried(&mut target, &certain)),
            in_one(tried(&mut trees, kept)),
        ];
        insta::assert_snapshot!(said.join("\n"), @r#"
        Tried beforehand: a sample of 800 rows of 3 tables, of 2,900 in all, was put back in a throw-away database that the migrations were applied to.
        A sample of the rows did not go back.
          rows, maybe: a sample of them did not go back on trial (could not put rows back into `public.a_table`: ERROR: few (SQLSTATE P0001))
        could not put rows back into `public.b_table`
          ERROR: new row for relation "b_table" violates check constraint "b_table_a_check" (SQLSTATE 23514)
        could not put rows back into `public.kept`
          ERROR: cannot accept a value of type pg_node_tree (SQLSTATE 0A000)
        "#);
    }

    /// From 17 on the server makes an index on a path of its own, where a function finds no other by its bare name.
    #[test]
    fn an_index_that_could_not_be_made_again_stays_while_many_rows_go_in() {
        let history = "create table many (id int); create function one() returns int language sql immutable as 'select 1';
                       create function next(a int) returns int language plpgsql immutable as 'begin return a + one(); end'; create index on many (next(id))";
        let mut target = Database::new();
        target.run(history);
        target.run("insert into many select generate_series(1, 10000)");
        insta::assert_snapshot!(in_one(tried(&mut target, history)), @"Tried beforehand: a sample of 200 rows of 1 table, of 10,000 in all, was put back in a throw-away database that the migrations were applied to.");
    }

    #[test]
    fn forced_row_security_and_what_others_own_are_named_with_their_fix() {
        let mut target = Database::new();
        let make = "create table mine (a int)";
        target.run(make);
        target.run("insert into mine values (1)");
        let mut copy = Database::new();
        copy.run("grant create on schema public to migrator");
        let mut migrator = open_as("migrator", &copy.name);
        let force = format!(
            "set search_path = public; {make}; alter table mine enable row level security, force row level security"
        );
        migrator.client().batch_execute(&format!("{force}; set search_path = pg_catalog, pg_temp")).unwrap();
        let limit = Duration::from_secs(60);
        let counts = counts(&mut target.connection, &["public"]).unwrap();
        let sample = Sample::draw(&mut target.connection, limit, &["public"], &counts, &[]).unwrap();
        let tried =
            |copy: &mut Connection| in_one(put_on_trial(copy, (&Interrupt::default(), limit), &sample, &counts));
        let forced = tried(&mut migrator);
        copy.run("alter table mine owner to postgres");
        insta::assert_snapshot!([forced, tried(&mut migrator)].join("\n"), @r#"
        Tried beforehand: every row of 1 table was put back in a throw-away database that the migrations were applied to.
          the restore in one step: table "public"."mine": its row security is forced, so it applies to the owner too, and has to be lifted first
        this role may not put all of the rows back
          this role may not empty and fill `public.mine`, which is `postgres`'s: grant postgres to it
        "#);
    }
}
