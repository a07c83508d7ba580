//! The Prisma client of any schema, made in a folder of its own beside what Prisma's parser says of the models.

use std::fs;
use std::path::{Path, PathBuf};

use crate::digest::sha256;
use crate::error::{OrFail, Result};
use crate::hint::quoted;
use crate::process::Invocation;
use crate::session::Session;
use crate::stages::release_in_git::Files;
use crate::tools::prisma::Prisma;

/// A generator, as Prisma starts one: it keeps what the parser says.
const MODELS: &str = include_str!("probed_models.mjs");

/// Names that no schema has. The others of the schema are left alone: they may write anywhere.
const GENERATORS: [&str; 2] = ["drill_probed_client", "drill_probed_models"];

/// Gone with its owner.
pub struct ProbedClient {
    folder: PathBuf,
}

impl ProbedClient {
    /// Writes what it is made of. `which` tells it from others of this project.
    ///
    /// # Errors
    /// `blocked` where the folder cannot be written.
    pub fn of(session: &Session<'_>, which: &str, schema: &Files) -> Result<ProbedClient> {
        let settings = session.settings;
        let key = sha256(format!("{which}\n{}", settings.shown(&settings.prisma.schema)));
        let folder = settings.private_dir().join("deployed").join(&key[..16]);
        let program = folder.join("models.mjs");
        let command =
            format!("{} {}", quoted(&session.toolbox.node.display().to_string()), quoted(&settings.shown(&program)));
        write(&folder, &command, schema).blocked(|| format!("cannot write `{}`", settings.shown(&folder)))?;
        Ok(ProbedClient { folder })
    }

    pub fn generate(&self, prisma: &Prisma<'_>) -> Result<Invocation> {
        let (schema, config) = (self.folder.join("schema"), self.folder.join("prisma.config.mjs"));
        prisma.generate_of(&schema, &config, &GENERATORS)
    }

    /// `client` and `models.json` are in it.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for ProbedClient {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The schema as it is, and generators of ours beside it.
fn write(folder: &Path, command: &str, files: &Files) -> std::io::Result<()> {
    let _ = fs::remove_dir_all(folder);
    let schema = folder.join("schema");
    for (path, text) in files {
        let path = schema.join(path);
        fs::create_dir_all(path.parent().unwrap_or(&schema))?;
        fs::write(path, text)?;
    }
    let block = |name: &str, provider: &str, output: &str| {
        let (provider, output) = (serde_json::json!(provider), serde_json::json!(folder.join(output)));
        format!("generator {name} {{\n  provider = {provider}\n  output = {output}\n}}\n")
    };
    let [client, models] = GENERATORS;
    let ours = block(client, "prisma-client-js", "client") + &block(models, command, "models.json");
    fs::write(schema.join("drill-probed.prisma"), ours)?;
    fs::write(folder.join("models.mjs"), MODELS)?;
    fs::write(folder.join("prisma.config.mjs"), "export default { schema: \"schema\" };\n")
}
