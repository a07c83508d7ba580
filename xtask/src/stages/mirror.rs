//! Mirror: applies the mirror's script through the Supabase CLI, and verifies table, indexes, policies, grants and a
//! write. What the script would take away is counted and copied before, as of a migration.
//!
//! After forward, never before: Prisma refuses a database with tables and no ledger (P3005).

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use postgres_protocol::escape::escape_identifier;
use serde::Serialize;
use serde_json::Value;

use crate::clock;
use crate::digest::sha256;
use crate::error::{Failure, Result};
use crate::guard::Demand;
use crate::hint::Hint;
use crate::migrations::database_state::DatabaseState;
use crate::migrations::forecast::forecast_of_script;
use crate::migrations::losses::Loss;
use crate::postgres::service_role::{self, Trial};
use crate::rows::filler::ways_of;
use crate::rows::seed;
use crate::run::console::Console;
use crate::run::ended::Ended;
use crate::run::journal::Journal;
use crate::run::plan::{Action, Plan, Script, Step};
use crate::run::stage::{Running, Stage};
use crate::schema::drift;
use crate::schema::expected;
use crate::schema::external::managed;
use crate::schema::history::History;
use crate::schema::platform;
use crate::session::Session;
use crate::settings::EvidenceSettings;
use crate::settings::Settings;
use crate::stages::snapshot_step::{Keep, before_a_loss, consent_to_loss, no_more_than, take_snapshot};
use crate::stages::still_owed;
use crate::stages::surroundings;
use crate::tools::supabase::{self, Supabase};
use pin::Lease;

pub struct Mirror {
    /// Also fill a mirror that has no rows, so that a drill on the sandbox has something to compare.
    pub feed: bool,
    /// The lease of a CLI that was started early.
    pub lease: Option<Arc<Lease>>,
    /// In a drill every row is counted, and compared with what the next stage finds.
    pub drilled: bool,
    pub accept_data_loss: bool,
}

pub struct Inspection {
    history: History,
    sql: String,
    before: DatabaseState,
    lease: Arc<Lease>,
    /// What the script takes away, with what is in it.
    losses: Vec<Loss>,
    /// What is copied before it does.
    keep: Option<Keep>,
}

const TAKEN: &str = "the mirror's script takes away";

#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Builtin {
    /// Copy all rows to where they can be put back from.
    Snapshot,
    /// Count what goes once more.
    CountAgain,
    /// Replay history and script into a throw-away database, unless their catalog is known.
    Replay,
    VerifyCatalog,
    VerifyWrite,
    Feed,
}

impl Stage for Mirror {
    type Inspection = Inspection;
    type Action = Builtin;
    type Memory<'a> = ();

    const DEMAND: Demand = Demand::Additive;

    fn inspect(&self, session: &Session<'_>) -> Result<Inspection> {
        let history = History::of(session.settings)?;
        let before = self.look(session, &history)?;
        self.inspect_from(session, history, before)
    }

    fn plan(&self, session: &Session<'_>, inspection: &Inspection) -> Result<Plan<Builtin>> {
        let supabase = Supabase::find(session.settings)?;
        let path = session.settings.mirror_shown();
        Ok(Plan {
            stage: "mirror",
            summary: format!("mirror on {}: run `{path}` and verify.", session.settings.target.name),
            scripts: vec![Script::new(path.clone(), sha256(&inspection.sql), &inspection.sql)],
            rows: inspection.before.counts.clone(),
            losses: inspection.lost().map(ToString::to_string).collect(),
            groups: before_a_loss(
                inspection.keep.as_ref(),
                &inspection.losses,
                TAKEN,
                Builtin::Snapshot,
                Builtin::CountAgain,
            )
            .into_iter()
            .chain([
                vec![
                    Step {
                        name: "supabase db query",
                        does: format!("run `{path}` as one statement, with the Supabase CLI {}", supabase.version()),
                        failure: "the mirror's script was not applied",
                        action: Action::Child {
                            invocation: supabase.query(session, &inspection.lease, &inspection.sql)?,
                            deadline: session.settings.timeouts.migrate,
                            explain: supabase::explain,
                        },
                    },
                    step(
                        "replay",
                        "run migrations and script in a throw-away database",
                        "what the mirror should be is not known",
                        Builtin::Replay,
                    ),
                ],
                vec![step(
                    "verify catalog",
                    "compare with the replay: table, columns, indexes, row security, grants",
                    "the mirror is not what its script makes",
                    Builtin::VerifyCatalog,
                )],
                vec![step(
                    "verify write",
                    "write a row as the service role, read it back, roll both back",
                    "the service role cannot write the mirror",
                    Builtin::VerifyWrite,
                )],
            ])
            .chain(self.feed.then(|| vec![feed_step()]))
            .collect(),
        })
    }

    fn losses(&self, inspection: &Inspection) -> Vec<Value> {
        inspection.lost().map(Loss::view).collect()
    }

    fn consent(&self, session: &Session<'_>, plan: &Plan<Builtin>, console: &Console) -> Result<()> {
        let deed = "running the mirror's script";
        consent_to_loss(session, deed, &plan.losses, self.accept_data_loss, Hint::run("mirror"), console)
    }

    fn open(&self, journal: &Journal<'_>, inspection: &Inspection) -> Result<()> {
        journal.write_json("catalog-before.json", &inspection.before.catalog)
    }

    fn memory<'a>(&self, _: &'a Session<'a>, _: &'a Inspection) {}

    fn builtin(running: &Running<'_, Self>, action: &Builtin) -> Result<Ended> {
        let Running { session, journal, inspection, .. } = running;
        let done = match action {
            Builtin::Snapshot => {
                take_snapshot(session, journal, "mirror", inspection.keep.as_ref(), &inspection.before.counts)
            }
            Builtin::CountAgain => count_again(session, inspection),
            Builtin::Replay => replay(session, inspection),
            Builtin::VerifyCatalog => verify_catalog(session, journal, inspection),
            Builtin::VerifyWrite => return verify_write(session, &inspection.history),
            Builtin::Feed => feed(session),
        };
        done.map(Ended::from)
    }

    fn record(running: &Running<'_, Self>, _: &Result<()>) -> Result<()> {
        running.options.record(running.session, running.journal, running.inspection)
    }

    fn feedback<'a>(&self, settings: &'a EvidenceSettings) -> &'a Path {
        &settings.data
    }
}

impl Mirror {
    /// By its own command.
    pub fn alone(accept_data_loss: bool) -> Mirror {
        Mirror { feed: false, lease: None, drilled: false, accept_data_loss }
    }

    fn look(&self, session: &Session<'_>, history: &History) -> Result<DatabaseState> {
        if self.drilled { DatabaseState::read(session, history) } else { DatabaseState::read_in_time(session, history) }
    }

    fn record(&self, session: &Session<'_>, journal: &Journal<'_>, inspection: &Inspection) -> Result<()> {
        session.settle(&inspection.lease)?;
        let after = self.look(session, &inspection.history)?;
        let owed = still_owed::notes(session, &after.catalog, after.standing.is_clean())?;
        journal.record().outcome.notes.extend(owed);
        after.record_beside(journal, &inspection.before)
    }

    /// As `inspect`, of a state that was read before or that is only foreseen.
    pub fn inspect_from(&self, session: &Session<'_>, history: History, before: DatabaseState) -> Result<Inspection> {
        let sql = session.settings.supabase.script()?.ok_or_else(|| no_script(session.settings))?;
        if !before.has_ledger(session) {
            return Err(Failure::blocked("the database has no migrations yet, and the mirror comes after them")
                .because("Prisma refuses a database that has tables and no ledger (P3005)")
                .hint(Hint::run("forward")));
        }
        let lease = self.lease.clone().unwrap_or_else(|| Arc::new(lease(session)));
        let losses = self.foresee(session, &history, &before)?;
        let keep = Keep::before(session, &losses, self.accept_data_loss)?;
        Ok(Inspection { history, sql, before, lease, losses, keep })
    }

    /// What the script takes away, where there is one. A drill on the sandbox makes its rows itself.
    ///
    /// # Errors
    /// `failed` when the server refuses; `blocked` when the script cannot be read.
    pub fn foresee(&self, session: &Session<'_>, history: &History, before: &DatabaseState) -> Result<Vec<Loss>> {
        let script = session.settings.supabase.script()?;
        match script.filter(|_| !(self.drilled && session.settings.target.is_sandbox())) {
            Some(sql) => forecast(session, history, &sql, before),
            None => Ok(Vec::new()),
        }
    }
}

impl Inspection {
    pub fn lost(&self) -> impl Iterator<Item = &Loss> {
        self.losses.iter().filter(|loss| loss.values > 0)
    }
}

fn forecast(session: &Session<'_>, history: &History, sql: &str, before: &DatabaseState) -> Result<Vec<Loss>> {
    let script = (session.settings.mirror_shown(), sql);
    forecast_of_script(session, history, &before.standing.applied, (&script.0, script.1))
}

fn count_again(session: &Session<'_>, inspection: &Inspection) -> Result<String> {
    let Inspection { history, sql, before, losses, .. } = inspection;
    no_more_than(losses, &forecast(session, history, sql, before)?, TAKEN, Hint::run("mirror"))
}

/// The CLI gives a login ten seconds (measured on 3.1).
const PATIENCE: Duration = Duration::from_secs(5);

fn lease(session: &Session<'_>) -> Lease {
    session.lease("supabase db query")
}

/// Starts the CLI before its turn. What keeps it from starting is told at its turn.
pub fn start_early(session: &Session<'_>, journal: &Journal<'_>) -> Option<Arc<Lease>> {
    let script = session.settings.supabase.script().ok()??;
    let lease = Arc::new(lease(session));
    let invocation = Supabase::find(session.settings).and_then(|cli| cli.query(session, &lease, &script)).ok()?;
    journal.early.start(&invocation, &lease, Some(PATIENCE));
    Some(lease)
}

/// Nothing makes the mirror.
pub fn no_script(settings: &Settings) -> Failure {
    if !settings.supabase.enabled {
        return switched_off();
    }
    match settings.supabase.mirror_sql {
        Some(_) => Failure::blocked(format!("there is no `{}`", settings.mirror_shown())),
        None => Failure::blocked("drill.toml names no script that makes a mirror"),
    }
    .hint("name the mirror's script as `mirror_sql` under `[supabase]` in drill.toml")
}

/// The project says that it has no mirror.
pub fn switched_off() -> Failure {
    Failure::blocked("drill.toml says that this project has no Supabase: `enabled = false` under `[supabase]`")
        .hint("remove that line, where there is a mirror")
}

fn step(name: &'static str, does: &str, failure: &'static str, action: Builtin) -> Step<Builtin> {
    Step { name, does: does.to_owned(), failure, action: Action::Builtin(action) }
}

fn replay(session: &Session<'_>, inspection: &Inspection) -> Result<String> {
    let expected = expected::with_mirror(session, &inspection.history)?;
    Ok(expected.map(|expected| expected.in_words()).unwrap_or_default())
}

/// The mirror is there, and with it the schema is exactly what migrations and script make.
fn verify_catalog(session: &Session<'_>, journal: &Journal<'_>, inspection: &Inspection) -> Result<String> {
    let expected = expected::with_mirror(session, &inspection.history)?
        .ok_or_else(|| Failure::bug("the mirror's script went away while it ran"))?;
    let schemas = session.target.schemas();
    let external = &platform::as_prisma(session, &schemas)?.groundwork.external;
    let actual = managed(&mut session.connection(), &schemas, external)?;
    let drift = drift::between(&expected.catalog, &actual);
    if drift.definition.is_empty() {
        surroundings::note(journal, &drift);
        return Ok(drift.verdict("migrations and script"));
    }
    Err(Failure::different("the schema is not what migrations and script make")
        .because_all(drift.definition.iter().map(ToString::to_string))
        .note("after the forward, `mirror` runs the mirror's script again")
        .hint(Hint::run("forward")))
}

fn verify_write(session: &Session<'_>, history: &History) -> Result<Ended> {
    let tables = expected::mirrors(session, history)?;
    let mut connection = session.connection();
    for (schema, table) in &tables {
        let ways = connection.read(|transaction| ways_of(transaction, schema, table))?;
        let name = format!("{}.{}", escape_identifier(schema), escape_identifier(table));
        if service_role::try_to_write(&mut connection, &session.target, &name, &ways)? == Trial::NoSuchRole {
            return Ok(Ended::NotTried("not tried: this server has no role `service_role`".to_owned()));
        }
    }
    let names: Vec<String> = tables.iter().map(|(schema, table)| format!("`{schema}.{table}`")).collect();
    Ok(match names.as_slice() {
        [] => Ended::NotTried("not tried: the script makes no table".to_owned()),
        names => Ended::Done(format!(
            "the service role wrote a row to {} and read it back; rolled back",
            names.join(" and ")
        )),
    })
}

fn feed_step() -> Step<Builtin> {
    let does = "copy rows into the mirror as the app does, if it has none";
    step("feed", does, "the mirror was not fed", Builtin::Feed)
}

fn feed(session: &Session<'_>) -> Result<String> {
    Ok(match seed::feed(session, clock::now())? {
        0 => "it has rows already, or there are none to copy".to_owned(),
        rows => format!("{rows} rows copied"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::proven;
    use crate::postgres::server::Database;

    const ROLE: &str =
        "do $$ begin create role service_role; exception when duplicate_object or unique_violation then null; end $$;
                        grant usage on schema public to service_role;";

    /// What the trial says of the table `mirror` that `sql` makes.
    fn tried(sql: &str) -> String {
        let mut database = Database::new();
        database.run(&format!("{ROLE} {sql}"));
        let ways = |transaction: &mut postgres::Transaction<'_>| ways_of(transaction, "public", "The mirror");
        let ways = database.connection.read(ways).unwrap();
        let said = service_role::try_to_write(&mut database.connection, &proven(), "public.\"The mirror\"", &ways);
        assert_eq!(
            database.ask::<i64>("select count(*) from \"The mirror\""),
            database.ask::<i64>("select count(*) from kept")
        );
        said.map_or_else(
            |failure| failure.causes().fold(failure.message.clone(), |all, cause| all + ": " + &cause),
            |done| format!("{done:?}"),
        )
    }

    #[test]
    fn a_row_is_tried_in_whatever_table_the_script_makes() {
        let grant =
            "grant insert, select on \"The mirror\" to service_role; create view kept as select * from \"The mirror\";";
        for table in [
            "create table \"The mirror\" (id uuid primary key default gen_random_uuid(), topic text not null, value jsonb not null)",
            "create table \"The mirror\" (id smallint primary key, kind text not null check (kind in ('a', 'b')), day date not null)",
            "create table \"The mirror\" (id int primary key, half int generated always as (id / 2) stored) partition by range (id);
             create table half partition of \"The mirror\" default",
            "create table \"The mirror\" (id int primary key, note varchar(3) unique); insert into \"The mirror\" select n, n::text from generate_series(1, 9) n",
            "create table \"The mirror\" (id int primary key); alter table \"The mirror\" enable row level security;
             create policy p on \"The mirror\" to service_role using (true)",
        ] {
            assert_eq!(tried(&format!("{table}; {grant}")), "Writes", "{table}");
        }
    }

    #[test]
    fn who_is_no_member_of_the_role_is_told_the_statement_that_makes_him_one() {
        Database::new().run(ROLE);
        let mut outsider = crate::postgres::server::open_as_migrator();
        let target = proven();
        let said = service_role::try_to_write(&mut outsider, &target, "public.nothing", &[]).unwrap_err();
        let hint = said.hint.unwrap().line(&crate::hint::Aim::default());
        assert!(hint.starts_with(&format!("grant service_role to \"{}\"", target.dsn().user)), "{hint}");
    }

    #[test]
    fn a_role_that_may_not_write_or_read_it_back_is_told_so() {
        let kept = "create view kept as select * from \"The mirror\";";
        let said = [
            tried(&format!("create table \"The mirror\" (id int primary key); {kept}")),
            tried(&format!(
                "create table \"The mirror\" (id int primary key); {kept} grant insert, select on \"The mirror\" to service_role;
                 alter table \"The mirror\" enable row level security; create policy p on \"The mirror\" for insert to service_role with check (true)"
            )),
        ];
        insta::assert_snapshot!(said.join("\n"), @r#"
        could not write to public."The mirror" as the service role: ERROR: permission denied for table The mirror (SQLSTATE 42501)
        could not write to public."The mirror" as the service role: ERROR: new row violates row-level security policy for table "The mirror" (SQLSTATE 42501)
        "#);
    }
}
