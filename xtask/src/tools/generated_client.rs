//! What `prisma generate` wrote, kept in `.drill/clients` as a digest: as long as schema, Prisma and every file are as they were, the
//! client need not be made again. In doubt it is.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::digest::{of_file, sha256};
use crate::files;
use crate::session::Session;
use crate::settings::schema_files;
use pin::interposer;

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GeneratedClient {
    /// Folders, as Prisma named them: relative to the project.
    folders: Vec<String>,
    /// Of the name and the digest of every file in them.
    sha256: String,
}

impl GeneratedClient {
    /// The client that is there, if it is whole, and was made of this schema by this Prisma.
    pub fn known(session: &Session<'_>) -> Option<GeneratedClient> {
        let kept: GeneratedClient = serde_json::from_slice(&fs::read(kept_as(session)?).ok()?).ok()?;
        kept.is_there(&session.settings.root).then_some(kept)
    }

    pub fn is_there(&self, root: &Path) -> bool {
        digest(root, &self.folders).is_ok_and(|found| found == self.sha256)
    }

    /// Keeps what `generate` has just made, by the log of it, if it says where all of it went.
    pub fn keep(session: &Session<'_>, log: &Path) {
        let written = kept_as(session).zip(read(session, log));
        if let Some((file, Ok(json))) = written.map(|(file, client)| (file, serde_json::to_vec(&client))) {
            files::keep(&file, &json);
        }
    }

    pub fn in_words(&self) -> String {
        self.folders.iter().map(|folder| format!("`{folder}`")).collect::<Vec<_>>().join(", ")
    }
}

fn read(session: &Session<'_>, log: &Path) -> Option<GeneratedClient> {
    let schema = schema_files::read(&session.settings.prisma.schema).ok()?;
    let schema: String = schema.iter().map(|(_, text)| String::from_utf8_lossy(text) + "\n").collect();
    let folders = folders(&schema, &fs::read_to_string(log).ok()?)?;
    let sha256 = digest(&session.settings.root, &folders).ok()?;
    Some(GeneratedClient { folders, sha256 })
}

/// Where the clients went; None where a generator may have written more than it says, elsewhere, or by the environment.
fn folders(schema: &str, log: &str) -> Option<Vec<String>> {
    let generators = schema.lines().filter(|line| line.trim_start().starts_with("generator ")).count();
    let told: Vec<&str> = log.lines().filter(|line| line.contains("Generated ")).collect();
    let folder = |line: &&str| {
        let (_, place) = line.strip_prefix("✔ Generated Prisma Client (")?.split_once(" to ")?;
        let (folder, _) = place.rsplit_once(" in ")?;
        // Prisma 6 names its package there, and writes beside it.
        (!folder.split('/').any(|part| part == "node_modules")).then(|| folder.trim_start_matches("./").to_owned())
    };
    let by_environment = schema.matches("env(").count() > interposer::variables(schema).len();
    if told.is_empty() || told.len() != generators || by_environment {
        return None;
    }
    told.iter().map(folder).collect()
}

fn digest(root: &Path, folders: &[String]) -> io::Result<String> {
    let mut list = String::new();
    for folder in folders {
        let path = root.join(folder);
        if !files::strange(&path)?.is_empty() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        for (name, path) in files::plain(&path)? {
            list += &format!("{} {folder}/{name}\n", of_file(&path)?);
        }
    }
    Ok(sha256(list))
}

fn kept_as(session: &Session<'_>) -> Option<PathBuf> {
    let settings = &session.settings.prisma;
    let [schema, config] = [&settings.schema, &settings.config].map(|path| session.settings.shown(path));
    let made_of = [schema_files::digest(&settings.schema).ok()?, of_file(&settings.config).unwrap_or_default()];
    let key = sha256(
        [&session.toolbox.prisma.version, &schema, &config, &made_of[0], &made_of[1]].map(String::as_str).join("\n"),
    );
    Some(session.settings.private_dir().join("clients").join(format!("{key}.json")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: &str = "generator client {\n  provider = \"prisma-client-js\"\n  output = \"generated\"\n}\n";
    const SAID: &str = "✔ Generated Prisma Client (v7.10.0) to ./prisma/gene rated in 490ms\n";

    #[test]
    fn a_client_is_known_where_prisma_says_where_all_of_it_went() {
        assert_eq!(folders(CLIENT, SAID).unwrap(), ["prisma/gene rated"]);
        let two = format!("{CLIENT}  generator b {{\n}}\n");
        let both = format!("{SAID}\n✔ Generated Prisma Client (7.10.0) to ../other in 1.20s\n");
        assert_eq!(folders(&two, &both).unwrap(), ["prisma/gene rated", "../other"]);
        let datasource = "datasource db {\n  provider = \"postgresql\"\n  url = env(\"DATABASE_URL\")\n}\n";
        assert!(folders(&format!("{CLIENT}{datasource}"), SAID).is_some());
    }

    #[test]
    fn in_doubt_it_is_not() {
        let of_the_environment = CLIENT.replace("\"generated\"", "env(\"OUTPUT\")");
        let cases = [
            (CLIENT.to_owned(), String::new(), "nothing is said"),
            (CLIENT.repeat(2), SAID.to_owned(), "one generator is silent"),
            (CLIENT.repeat(2), format!("{SAID}✔ Generated Entity-relationship-diagram to ./docs in 1s\n"), "another's"),
            (CLIENT.to_owned(), format!("{SAID}Generated more\n"), "more than one has said"),
            (CLIENT.to_owned(), SAID.replace("./prisma/gene rated", "./node_modules/@prisma/client"), "beside it"),
            (CLIENT.to_owned(), SAID.replace(" to ./prisma/gene rated", ""), "no place"),
            (of_the_environment, SAID.to_owned(), "the environment says"),
        ];
        for (schema, log, why) in cases {
            assert_eq!(folders(&schema, &log), None, "{why}");
        }
    }

    #[test]
    fn it_is_there_as_long_as_no_file_is_another() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("made/deep/index.js");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "one").unwrap();
        let folders = vec!["made".to_owned()];
        let client = GeneratedClient { sha256: digest(root.path(), &folders).unwrap(), folders };
        assert!(client.is_there(root.path()));
        let undo: [(&str, &dyn Fn()); 3] = [
            ("changed", &|| fs::write(&file, "two").unwrap()),
            ("more", &|| fs::write(file.with_extension("ts"), "").unwrap()),
            ("a link", &|| std::os::unix::fs::symlink("index.js", file.with_extension("mjs")).unwrap()),
        ];
        for (what, change) in undo {
            change();
            assert!(!client.is_there(root.path()), "{what}");
            fs::remove_dir_all(root.path().join("made")).unwrap();
            assert!(!client.is_there(root.path()), "gone");
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, "one").unwrap();
            assert!(client.is_there(root.path()), "as before");
        }
    }
}
