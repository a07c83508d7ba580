//! How Prisma starts its engine: through our own binary, which compares every address with the pinned one first.
//!
//! `PRISMA_SCHEMA_ENGINE_BINARY` names us; a variable beside it tells us, when we are started again, to be the interposer.
#![allow(clippy::disallowed_methods, reason = "a process that is started as an engine has nothing but its environment")]

use std::path::PathBuf;
use std::process::ExitCode;

use serde::{Deserialize, Serialize};

use crate::error::{OrFail, Result};
use crate::postgres::ready;
use crate::process::locate::{Engine, Toolbox, WasmEngine};
use crate::tools::splitter;
use pin::{Expected, interposer};

const VARIABLE: &str = "STAGING_DRILL_ENGINE";
/// For our engine program: the files of the engine.
const WASM: &str = "STAGING_DRILL_WASM";

/// What the interposer needs to know; it goes through the environment of Prisma's CLI and holds no secret.
#[derive(Serialize, Deserialize)]
pub struct EngineReentry {
    engine: PathBuf,
    via_node: Option<PathBuf>,
    expected: Expected,
    /// Of Prisma; told to our engine program, since the native engine takes scripts apart by itself.
    #[serde(skip)]
    release: String,
    /// Told to our engine program: which halves of the engine it puts together.
    #[serde(skip)]
    wasm: Option<WasmEngine>,
}

impl EngineReentry {
    pub fn new(toolbox: &Toolbox, expected: Expected) -> EngineReentry {
        let (engine, via_node, wasm) = match &toolbox.engine {
            Engine::Native(engine) => (engine.path.clone(), None, None),
            Engine::Wasm { program, engine } => (program.clone(), Some(toolbox.node.clone()), Some(engine.clone())),
        };
        EngineReentry { engine, via_node, expected, release: toolbox.prisma.version.clone(), wasm }
    }

    /// The variables that put us between Prisma and its engine, and let our own engine program ask us about scripts.
    pub fn environment(&self) -> Result<Vec<(String, String)>> {
        let broke = "cannot stand before the engine";
        let ourselves = ourselves().bug(broke)?;
        let door = serde_json::to_string(self).bug(broke)?;
        let splitter = splitter::advertisement(&ourselves, &self.release);
        let binary = ("PRISMA_SCHEMA_ENGINE_BINARY".to_owned(), ourselves.display().to_string());
        let mut variables = vec![binary, (VARIABLE.to_owned(), door), splitter];
        variables.extend(self.wasm.as_ref().map(wasm).transpose()?);
        Ok(variables)
    }

    /// Whether this process was started as an engine.
    pub fn requested() -> Option<EngineReentry> {
        serde_json::from_str(&std::env::var(VARIABLE).ok()?).ok()
    }

    pub fn run(self) -> ExitCode {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let via_node = self.via_node.as_deref();
        interposer::run(&arguments, &self.expected, &self.engine, via_node, ready::lets_in)
    }
}

/// The variable that names the engine's halves.
pub fn wasm(engine: &WasmEngine) -> Result<(String, String)> {
    Ok((WASM.to_owned(), serde_json::to_string(engine).bug("cannot name the engine's files")?))
}

/// This program, by a path that holds while it runs, whatever becomes of the file: a `cargo build` beside a drill replaces it.
fn ourselves() -> std::io::Result<PathBuf> {
    let running = PathBuf::from(format!("/proc/{}/exe", std::process::id()));
    if running.exists() { Ok(running) } else { std::env::current_exe() }
}
