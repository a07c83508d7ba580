//! Mirror: applies the mirror's script through the Supabase CLI, and verifies table, indexes, policies, grants and a
//! write.
//!
//! After forward, never before: Prisma refuses a database with tables and no ledger (P3005).

use std::path::Path;

use serde::Serialize;

use crate::clock;
use crate::digest::sha256;
use crate::error::{Failure, Result};
use crate::guard::Demand;
use crate::hint::Hint;
use crate::migrations::database_state::DatabaseState;
use crate::postgres::service_role::{self, Trial};
use crate::rows::seed;
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
use crate::stages::still_owed;
use crate::stages::surroundings;
use crate::tools::supabase::{self, Supabase};
use pin::Lease;

pub struct Mirror {
    /// Also fill a mirror that has no facts, so that a drill on the sandbox has something to compare.
    pub feed: bool,
}

pub struct Inspection {
    history: History,
    sql: String,
    before: DatabaseState,
    lease: Lease,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Builtin {
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
        let before = DatabaseState::read(session, &history)?;
        self.inspect_from(session, history, before)
    }

    fn plan(&self, session: &Session<'_>, inspection: &Inspection) -> Result<Plan<Builtin>> {
        let supabase = Supabase::find(session.settings)?;
        let path = session.settings.shown(&session.settings.supabase.mirror_sql);
        Ok(Plan {
            stage: "mirror",
            summary: format!("mirror on {}: run `{path}` and verify.", session.settings.target.name),
            scripts: vec![Script { name: path.clone(), sha256: sha256(&inspection.sql), sql: inspection.sql.clone() }],
            rows: inspection.before.counts.clone(),
            losses: Vec::new(),
            groups: [
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
                    "write a fact as the service role, read it back, roll both back",
                    "the service role cannot write the mirror",
                    Builtin::VerifyWrite,
                )],
            ]
            .into_iter()
            .chain(self.feed.then(|| vec![feed_step()]))
            .collect(),
        })
    }

    fn open(&self, journal: &Journal<'_>, inspection: &Inspection) -> Result<()> {
        journal.write_json("catalog-before.json", &inspection.before.catalog)
    }

    fn memory<'a>(&self, _: &'a Session<'a>, _: &'a Inspection) {}

    fn builtin(running: &Running<'_, Self>, action: &Builtin) -> Result<String> {
        let Running { session, journal, inspection, .. } = running;
        match action {
            Builtin::Replay => replay(session, inspection),
            Builtin::VerifyCatalog => verify_catalog(session, journal, inspection),
            Builtin::VerifyWrite => verify_write(session),
            Builtin::Feed => feed(session),
        }
    }

    fn record(running: &Running<'_, Self>, _: &Result<()>) -> Result<()> {
        record(running.session, running.journal, running.inspection)
    }

    fn feedback<'a>(&self, settings: &'a EvidenceSettings) -> &'a Path {
        &settings.data
    }
}

impl Mirror {
    /// As `inspect`, of a state that was read before or that is only foreseen.
    pub fn inspect_from(&self, session: &Session<'_>, history: History, before: DatabaseState) -> Result<Inspection> {
        let path = session.settings.shown(&session.settings.supabase.mirror_sql);
        let sql = session.settings.supabase.script()?.ok_or_else(|| {
            Failure::blocked(format!("there is no `{path}`"))
                .hint("name the mirror's script as `mirror_sql` under `[supabase]` in drill.toml")
        })?;
        if !before.has_ledger(session) {
            return Err(Failure::blocked("the database has no migrations yet, and the mirror comes after them")
                .because("Prisma refuses a database that has tables and no ledger (P3005)")
                .hint(Hint::run("forward")));
        }
        Ok(Inspection { history, sql, before, lease: session.lease("supabase db query") })
    }
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

fn verify_write(session: &Session<'_>) -> Result<String> {
    let schema = &session.target.dsn().schema;
    Ok(match service_role::try_to_write(&mut session.connection(), &session.target, schema)? {
        Trial::Writes => "the service role wrote a fact and read it back; both rolled back".to_owned(),
        Trial::NoSuchRole => "not tried: this server has no role `service_role`".to_owned(),
    })
}

fn feed_step() -> Step<Builtin> {
    let does = "copy the facts into the mirror as the app does, if it has none";
    step("feed", does, "the mirror was not fed", Builtin::Feed)
}

fn feed(session: &Session<'_>) -> Result<String> {
    Ok(match seed::feed(session, clock::now())? {
        0 => "it has facts already, or there are none to copy".to_owned(),
        rows => format!("{rows} facts copied"),
    })
}

fn record(session: &Session<'_>, journal: &Journal<'_>, inspection: &Inspection) -> Result<()> {
    session.settle(&inspection.lease)?;
    let after = DatabaseState::read(session, &inspection.history)?;
    let owed = still_owed::notes(session, &after.catalog, after.standing.is_clean())?;
    journal.record().outcome.notes.extend(owed);
    after.record(journal, &inspection.before.counts)
}
