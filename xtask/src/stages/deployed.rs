//! `forward --deployed REF`: whether the release that is running goes on with the database after the migrations. The client of its
//! schema reads and writes before them and after them; what only fails after them is what they break.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::digest::sha256;
use crate::error::{Failure, OrFail, Result};
use crate::evidence::deployed::{Deployed, Model, Verdict};
use crate::hint::Hint;
use crate::process::{self, Exit, Invocation, locate, release};
use crate::run::journal::Journal;
use crate::run::plan::{Action, Explanation, Step};
use crate::session::Session;
use crate::settings::schema_files::{self, is_schema};
use crate::tools::prisma::{self, Prisma};
use crate::words::counted;
use pin::Lease;

const PROGRAM: &str = include_str!("deployed.mjs");

pub const GENERATE: &str = "generate deployed";
pub const BEFORE: &str = "deployed before";
pub const AFTER: &str = "deployed after";

/// What was asked for.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub reference: String,
    pub accept_breaking: bool,
}

/// The release that is running, and where its client is made.
pub struct Running {
    reference: String,
    commit: String,
    folder: PathBuf,
    lease: Lease,
}

/// `path` relative to the schema, and what is in it.
type Files = BTreeMap<PathBuf, Vec<u8>>;

impl Running {
    /// None where its schema is the one that is here: then its client is the one that is made anyway.
    ///
    /// # Errors
    /// `usage` where there is no such commit; `blocked` where its client cannot be made here. Nothing was changed then.
    pub fn of(session: &Session<'_>, reference: &str) -> Result<Option<Running>> {
        let git = Git::of(session)?;
        let commit = git.commit(reference)?;
        let there = git.schema(&commit, reference)?;
        if there == here(session)? {
            return Ok(None);
        }
        check_major(session, &git, &commit, reference)?;
        let key = sha256(format!("{commit}\n{}", session.settings.shown(&session.settings.prisma.schema)));
        let folder = session.settings.private_dir().join("deployed").join(&key[..16]);
        write(&folder, &there).blocked(|| format!("cannot write `{}`", session.settings.shown(&folder)))?;
        Ok(Some(Running { reference: reference.to_owned(), commit, folder, lease: session.lease("deployed client") }))
    }

    pub fn generate<A>(&self, session: &Session<'_>) -> Result<Step<A>> {
        let (schema, config) = (self.folder.join("schema"), self.folder.join("prisma.config.mjs"));
        Ok(Step {
            name: GENERATE,
            does: format!("generate the Prisma client from the schema at `{}`", self.reference),
            failure: "the client of the release that is running was not generated",
            action: Action::Child {
                invocation: Prisma::new(session, &self.lease).generate_of(&schema, &config)?,
                deadline: session.settings.timeouts.generate,
                explain: prisma::explain,
            },
        })
    }

    pub fn probe<A>(&self, session: &Session<'_>, name: &'static str) -> Result<Step<A>> {
        let program = session.temporary("deployed.mjs", PROGRAM)?;
        let when = if name == BEFORE { "before the migrations" } else { "again, after them" };
        Ok(Step {
            name,
            does: format!(
                "let the client of `{}` read every model, and write in a transaction that is rolled back, {when}",
                self.reference
            ),
            failure: "the client of the release that is running could not be tried",
            action: Action::Child {
                invocation: Prisma::new(session, &self.lease).probe(&program, &self.folder.join("client")),
                deadline: session.settings.timeouts.smoke,
                explain,
            },
        })
    }

    pub fn verify<A>(&self, action: A) -> Step<A> {
        Step {
            name: "verify deployed",
            does: format!("check that the client of `{}` reads and writes as before", self.reference),
            failure: "the migrations break the release that is running",
            action: Action::Builtin(action),
        }
    }

    /// # Errors
    /// `different` where something is broken, and nobody has said that it may be.
    pub fn judge(&self, journal: &Journal<'_>, accept_breaking: bool) -> Result<String> {
        let models = compared(&said(journal, BEFORE)?, &said(journal, AFTER)?)?;
        let (reference, commit) = (self.reference.clone(), self.commit.clone());
        journal.record().outcome.deployed = Some(Deployed { reference, commit, models: models.clone() });
        let accepted = models.iter().filter_map(Model::broken).filter(|_| accept_breaking);
        let notes: Vec<String> = models.iter().filter_map(Model::not_tried).chain(accepted).collect();
        journal.record().outcome.add_notes(&notes);
        verdict_of_all(&self.reference, &models, accept_breaking)
    }
}

fn verdict_of_all(reference: &str, models: &[Model], accept_breaking: bool) -> Result<String> {
    let broken: Vec<String> = models.iter().filter_map(Model::broken).collect();
    let not_tried = models.iter().filter_map(Model::not_tried).count();
    let all = counted(models.len(), "model");
    let tried = if not_tried == 0 { all } else { format!("{all} ({not_tried} not tried in full)") };
    if broken.is_empty() {
        return Ok(format!("the client of `{reference}` reads and writes {tried} as before"));
    }
    if accept_breaking {
        return Ok(format!("the client of `{reference}` is broken for {} of {tried}, as accepted", broken.len()));
    }
    Err(Failure::different(format!("the migrations break the release that is running (`{reference}`)"))
        .because_all(broken)
        .note("add first, and take away once no release uses it any more: two migrations, with a release between them")
        .hint(Hint::run("forward --accept-breaking --deployed").arg(reference)))
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// What the program says where it cannot begin; else its last line says more.
fn explain(tail: &[String]) -> Option<Explanation> {
    let why = tail.iter().find_map(|line| line.strip_prefix("cannot: "))?;
    let hint = Hint::from("install it, or leave out `--deployed`");
    Some(Explanation { code: "not tried".to_owned(), message: why.to_owned(), details: Vec::new(), note: None, hint })
}

#[derive(Debug, Deserialize)]
struct Said {
    model: String,
    read: Option<Wrong>,
    write: Option<Wrong>,
}

#[derive(Debug, Deserialize)]
struct Wrong {
    code: String,
    message: String,
}

/// By the log of a step.
fn said(journal: &Journal<'_>, step: &str) -> Result<Vec<Said>> {
    let record = journal.record();
    let mut steps = record.outcome.stages.last().into_iter().flat_map(|stage| &stage.steps);
    let log = steps.find(|one| one.name == step).and_then(|one| Some(journal.run().folder().join(one.log.as_ref()?)));
    drop(record);
    let text = log.and_then(|log| fs::read_to_string(log).ok()).unwrap_or_default();
    let said: Vec<Said> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    if said.is_empty() { Err(Failure::failed(format!("`{step}` said nothing of any model"))) } else { Ok(said) }
}

/// # Errors
/// `failed` where a model was not asked twice.
fn compared(before: &[Said], after: &[Said]) -> Result<Vec<Model>> {
    let of = |before: &Said| {
        let after = after.iter().find(|after| after.model == before.model);
        let after = after.ok_or_else(|| Failure::failed(format!("`{AFTER}` said nothing of `{}`", before.model)))?;
        let reads = verdict(before.read.as_ref(), after.read.as_ref());
        let writes = verdict(before.write.as_ref(), after.write.as_ref());
        Ok(Model { model: before.model.clone(), reads, writes })
    };
    before.iter().map(of).collect()
}

fn verdict(before: Option<&Wrong>, after: Option<&Wrong>) -> Verdict {
    let words = |wrong: &Wrong| format!("{}: {}", wrong.code, wrong.message);
    match (before, after) {
        (Some(before), _) => Verdict::NotTried(words(before)),
        (None, Some(after)) => Verdict::Breaks(words(after)),
        (None, None) => Verdict::Compatible,
    }
}

fn here(session: &Session<'_>) -> Result<Files> {
    let schema = &session.settings.prisma.schema;
    let files = schema_files::read(schema).blocked(|| "cannot read the Prisma schema")?;
    Ok(files.into_iter().map(|(path, text)| (relative(&path, schema), text)).collect())
}

fn relative(path: &Path, schema: &Path) -> PathBuf {
    match path.strip_prefix(schema) {
        Ok(inside) if !inside.as_os_str().is_empty() => inside.to_owned(),
        _ => PathBuf::from("schema.prisma"),
    }
}

/// With a generator of ours in place of theirs: the client goes to a folder of its own, and nothing else is made.
fn write(folder: &Path, files: &Files) -> std::io::Result<()> {
    let _ = fs::remove_dir_all(folder);
    let schema = folder.join("schema");
    let mut features = None;
    for (path, text) in files {
        let (text, found) = without_generators(&String::from_utf8_lossy(text));
        features = features.or(found);
        let path = schema.join(path);
        fs::create_dir_all(path.parent().unwrap_or(&schema))?;
        fs::write(path, text)?;
    }
    let features = features.map(|line| format!("  {line}\n")).unwrap_or_default();
    let output = serde_json::json!(folder.join("client"));
    let ours =
        format!("generator drill_deployed {{\n  provider = \"prisma-client-js\"\n  output = {output}\n{features}}}\n");
    fs::write(schema.join("drill-deployed.prisma"), ours)?;
    fs::write(folder.join("prisma.config.mjs"), "export default { schema: \"schema\" };\n")
}

/// And the line with the preview features of the one that makes a client: without them the schema may not be one.
fn without_generators(schema: &str) -> (String, Option<String>) {
    let (mut kept, mut features, mut inside) = (String::new(), None, false);
    for line in schema.lines() {
        let trimmed = line.trim();
        inside |= trimmed.starts_with("generator ") && trimmed.contains('{');
        if !inside {
            kept += line;
            kept.push('\n');
        } else if trimmed.starts_with("previewFeatures") {
            features = Some(trimmed.to_owned());
        }
        inside &= !trimmed.ends_with('}');
    }
    (kept, features)
}

struct Git<'a> {
    session: &'a Session<'a>,
    program: PathBuf,
}

impl<'a> Git<'a> {
    fn of(session: &'a Session<'a>) -> Result<Git<'a>> {
        let program = locate::on_path(session.settings, "git");
        let program =
            program.ok_or_else(|| Failure::blocked("git is not on PATH, which knows the schema of another commit"))?;
        Ok(Git { session, program })
    }

    /// What it prints; None where it fails.
    fn ask(&self, args: &[&str]) -> Result<Option<Vec<u8>>> {
        let settings = self.session.settings;
        let inherited = ["PATH", "HOME"].map(|name| (name, settings.variable(name).unwrap_or_default()));
        let invocation = Invocation::new(&self.program, &settings.root).args(args).envs(inherited);
        let (exit, stdout) = process::capture(&invocation, Duration::from_secs(10), self.session.interrupt)?;
        Ok((exit == Exit::Success).then_some(stdout))
    }

    fn commit(&self, reference: &str) -> Result<String> {
        let wanted = format!("{reference}^{{commit}}");
        let said = self.ask(&["rev-parse", "--verify", "--quiet", "--end-of-options", &wanted])?;
        let said = said.ok_or_else(|| {
            Failure::usage(format!("there is no commit `{reference}` in this repo"))
                .note("nothing was changed")
                .hint("fetch it first, or name another commit, tag or branch with `--deployed`")
        })?;
        Ok(String::from_utf8_lossy(&said).trim().to_owned())
    }

    fn file(&self, commit: &str, path: &str) -> Result<Option<Vec<u8>>> {
        self.ask(&["show", "--end-of-options", &format!("{commit}:./{path}")])
    }

    fn schema(&self, commit: &str, reference: &str) -> Result<Files> {
        let schema = &self.session.settings.prisma.schema;
        let shown = self.session.settings.shown(schema);
        let listed =
            self.ask(&["ls-tree", "-r", "-z", "--name-only", commit, &format!("./{shown}")])?.unwrap_or_default();
        let listed = String::from_utf8_lossy(&listed).into_owned();
        let mut files = Files::new();
        for path in listed.split('\0').filter(|path| is_schema(Path::new(path))) {
            if let Some(text) = self.file(commit, path)? {
                files.insert(relative(&self.session.settings.root.join(path), schema), text);
            }
        }
        if files.is_empty() {
            return Err(Failure::blocked(format!("`{reference}` has no `{shown}`"))
                .note("nothing was changed")
                .hint("name a commit that has the schema where it is now, or leave out `--deployed`"));
        }
        Ok(files)
    }
}

/// The client has to be that of the release: another major makes another one.
fn check_major(session: &Session<'_>, git: &Git<'_>, commit: &str, reference: &str) -> Result<()> {
    let installed = release::major(&session.toolbox.prisma.version);
    let there = git.file(commit, "package.json")?.and_then(|text| major_in(&text));
    let why = match (there, installed) {
        (_, Some(installed)) if installed < 7 => "its client is tried with Prisma 7 and later alone".to_owned(),
        (Some(there), Some(installed)) if there != installed => {
            format!("it has Prisma {there}, and {installed} is installed here")
        }
        _ => return Ok(()),
    };
    Err(Failure::blocked(format!("the client of `{reference}` cannot be tried: {why}"))
        .note("nothing was changed")
        .hint("leave out `--deployed`"))
}

fn major_in(package: &[u8]) -> Option<u32> {
    let json: serde_json::Value = serde_json::from_slice(package).ok()?;
    let places = [
        ("dependencies", "@prisma/client"),
        ("dependencies", "prisma"),
        ("devDependencies", "prisma"),
        ("devDependencies", "@prisma/client"),
    ];
    let range = places.into_iter().find_map(|(section, name)| json[section][name].as_str())?;
    let digits: String =
        range.trim_start_matches(['^', '~', '=', '>', ' ', 'v']).chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(lines: &str) -> Vec<Said> {
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn only_what_worked_before_can_be_broken_and_what_did_not_is_said() {
        let before = said(
            r#"{"model":"A","read":null,"write":null}
            {"model":"B","read":null,"write":{"code":"P2003","message":"no parent"}}
            {"model":"C","read":null,"write":null}
            {"model":"D","read":{"code":"P2021","message":"no table"},"write":{"code":"P2021","message":"no table"}}
            {"model":"E","read":null,"write":null}"#,
        );
        let after = said(
            r#"{"model":"A","read":null,"write":null}
            {"model":"B","read":{"code":"P2022","message":"no column"},"write":{"code":"P2022","message":"no column"}}
            {"model":"C","read":null,"write":{"code":"P2011","message":"null"}}
            {"model":"D","read":null,"write":null}"#,
        );
        assert_eq!(compared(&before, &after).unwrap_err().message, "`deployed after` said nothing of `E`");
        let models = compared(&before[..4], &after).unwrap();
        let told = |models: &[Model], accept| {
            verdict_of_all("main", models, accept).unwrap_or_else(|failure| failure.in_full())
        };
        let said = [told(&models, false), told(&models, true), told(&models[..1], false), told(&models[3..4], false)];
        let not_tried: Vec<String> = models.iter().filter_map(Model::not_tried).collect();
        insta::assert_snapshot!(format!("{}\n{}", said.join("\n"), not_tried.join("\n")), @r"
        different: the migrations break the release that is running (`main`)
        caused by: `B`: breaks reads: P2022: no column
        caused by: `C`: breaks writes: P2011: null
        note: add first, and take away once no release uses it any more: two migrations, with a release between them
        the client of `main` is broken for 2 of 4 models (2 not tried in full), as accepted
        the client of `main` reads and writes 1 model as before
        the client of `main` reads and writes 1 model (1 not tried in full) as before
        `B`: writes not tried, which failed before the migrations, too: P2003: no parent
        `D`: reads and writes not tried, which failed before the migrations, too: P2021: no table
        ");
    }

    #[test]
    fn a_schema_loses_its_generators_and_keeps_their_preview_features() {
        let schema = "generator client {\n  provider = \"prisma-client\"\n  previewFeatures = [\"views\"]\n}\n\ngenerator erd { provider = \"erd\" }\n\
                      model generator_x {\n  id Int @id\n}\n";
        let (kept, features) = without_generators(schema);
        assert_eq!(kept, "\nmodel generator_x {\n  id Int @id\n}\n");
        assert_eq!(features.unwrap(), "previewFeatures = [\"views\"]");
    }

    #[test]
    fn a_major_is_read_from_whatever_range_names_it() {
        let of = |text: &str| major_in(text.as_bytes());
        for range in ["6.19.0", "^6", "~6.1", ">=6.0.0", "v6.1.0"] {
            assert_eq!(of(&format!(r#"{{"devDependencies":{{"prisma":"{range}"}}}}"#)), Some(6));
        }
        for text in
            ["", "{}", r#"{"dependencies":{"prisma":"workspace:*"}}"#, r#"{"dependencies":{"prisma":"catalog:"}}"#]
        {
            assert_eq!(of(text), None);
        }
    }
}
