//! The local migrations folder, read the way Prisma reads it (7.10): each folder in it is a migration and its name is
//! its place.
//!
//! It lives beside the ledger because it is the other half of every comparison; it reads files and asks no server.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use script::text::{Text, Unreadable};

use crate::digest::{Hasher, sha256};
use crate::error::{Failure, Result};

use crate::error::OrFail;
use crate::schema::no_script::{self, SCRIPT};
use crate::settings::Settings;
use pin::file;

/// One migration of the folder.
#[derive(Debug, Clone)]
pub struct Migration {
    /// The folder's name, such as `20250110120000_sessions`.
    pub name: String,
    pub sql: Text,
    /// Lower-case hexadecimal SHA-256 of the file's bytes, as Prisma writes it to the ledger.
    pub checksum: String,
    /// The same with Unix' line endings, and with Windows'.
    other_ends: [String; 2],
}

/// The checksum tells one text from another.
impl PartialEq for Migration {
    fn eq(&self, other: &Migration) -> bool {
        (&self.name, &self.checksum) == (&other.name, &other.checksum)
    }
}

impl Eq for Migration {}

impl Migration {
    pub fn new(name: impl Into<String>, sql: impl Into<String>) -> Migration {
        let (sql, mut checksums) = (sql.into(), Checksums::default());
        checksums.add(&sql);
        Migration::of(name.into(), sql.into(), checksums)
    }

    /// # Errors
    /// The text cannot be read, or is not UTF-8.
    fn of_text(name: String, sql: Text) -> Result<Migration, Unreadable> {
        let mut checksums = Checksums::default();
        for chunk in sql.chunks() {
            checksums.add(&chunk?);
        }
        Ok(Migration::of(name, sql, checksums))
    }

    fn of(name: String, sql: Text, checksums: Checksums) -> Migration {
        let [checksum, unix, windows] = checksums.all();
        Migration { name, sql, checksum, other_ends: [unix, windows] }
    }

    /// Whether `recorded` is this script's checksum by Prisma's rule: git may have changed the line endings since, so
    /// those of the other platform are accepted too (prisma-engines, `checksum.rs`).
    pub fn has_checksum(&self, recorded: &str) -> bool {
        self.checksum == recorded || self.other_ends.iter().any(|other| other == recorded)
    }
}

/// Of a text as it is, and with each platform's line endings.
#[derive(Default)]
struct Checksums {
    hashers: [Hasher; 3],
    /// What may be the first half of a line's end.
    waiting: String,
}

impl Checksums {
    fn add(&mut self, chunk: &str) {
        self.waiting.push_str(chunk);
        let half = if self.waiting.ends_with('\r') { self.waiting.pop() } else { None };
        self.update();
        self.waiting.extend(half);
    }

    fn update(&mut self) {
        let text = std::mem::take(&mut self.waiting);
        let [plain, unix, windows] = &mut self.hashers;
        plain.update(&text);
        unix.update(text.replace("\r\n", "\n"));
        windows.update(text.replace('\n', "\r\n"));
    }

    fn all(mut self) -> [String; 3] {
        self.update();
        self.hashers.map(Hasher::hex)
    }
}

impl From<Unreadable> for Failure {
    fn from(Unreadable { path, error }: Unreadable) -> Failure {
        let fix = match error.kind() {
            io::ErrorKind::InvalidData => AS_TEXT,
            _ => "leave the script as it is while a run reads it, then run this again",
        };
        Failure::blocked(format!("cannot read `{}`", path.display())).caused_by(error).hint(fix)
    }
}

/// All migrations in the order in which they apply.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// `provider` of `migration_lock.toml`; None where there is no lock, which `migrate deploy` accepts.
    pub provider: Option<String>,
    pub migrations: Vec<Migration>,
}

impl History {
    /// The history of the project.
    ///
    /// # Errors
    /// As `load`.
    pub fn of(settings: &Settings) -> Result<History> {
        History::load(&settings.root, &settings.prisma.migrations)
    }

    /// Reads the folder `dir` of the project in `root`. Plain files and symbolic links in it are passed over, as Prisma does.
    ///
    /// # Errors
    /// `blocked` when it cannot be read, when a migration has no `migration.sql` (Prisma's P3015), when that is not
    /// UTF-8 or begins with a byte order mark, or when the lock is not TOML; and when there is no such folder.
    pub(super) fn load(root: &Path, dir: &Path) -> Result<History> {
        let (mut migrations, mut without) = (Vec::new(), Vec::new());
        if !dir.exists() {
            return Err(no_script::no_history(root, dir));
        }
        for name in folders(dir)? {
            match read(&dir.join(&name).join(SCRIPT))? {
                Some(sql) => migrations.push(Migration::of_text(name, sql)?),
                None => without.push(name),
            }
        }
        if !without.is_empty() {
            return Err(no_script::failure(root, dir, &without));
        }
        Ok(History { provider: provider(&dir.join("migration_lock.toml"))?, migrations })
    }

    /// The first `count` migrations: the history at an earlier point.
    pub fn first(&self, count: usize) -> History {
        let migrations = self.migrations.iter().take(count).cloned().collect();
        History { provider: self.provider.clone(), migrations }
    }

    /// The migrations of these names, in this order, which is that of the ledger where they were applied in another than
    /// the folder's.
    pub fn only(&self, names: &[String]) -> History {
        let named = |name: &String| self.migrations.iter().find(|migration| migration.name == *name);
        let migrations = names.iter().filter_map(named).cloned().collect();
        History { provider: self.provider.clone(), migrations }
    }

    /// Names the names, their order and every byte of the scripts.
    pub fn digest(&self) -> String {
        let lines: Vec<String> = self.migrations.iter().map(|m| format!("{}\0{}\n", m.name, m.checksum)).collect();
        sha256(lines.concat())
    }
}

fn folders(dir: &Path) -> Result<Vec<String>> {
    let unreadable = || format!("cannot read the migrations in `{}`", dir.display());
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir).blocked(unreadable)? {
        let entry = entry.blocked(unreadable)?;
        if entry.file_type().blocked(unreadable)?.is_dir() {
            let name = entry.file_name().into_string();
            names.push(
                name.map_err(|name| Failure::blocked(format!("the migration {name:?} has a name that is not UTF-8")))?,
            );
        }
    }
    names.sort();
    Ok(names)
}

/// In bytes: what Node, and so Prisma, can read as one text (V8's `String::kMaxLength`, 2^29 - 24 characters).
const LONGEST: u64 = (1 << 29) - 24;

const AS_TEXT: &str = "save the file as UTF-8 without a byte order mark";

/// None where there is no such file.
fn read(path: &Path) -> Result<Option<Text>> {
    let unreadable = || Failure::blocked(format!("cannot read `{}`", path.display()));
    let file = match file::open(path, LONGEST) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable().caused_by(error)),
    };
    match refused_encoding(&beginning(&file).or_fail(unreadable)?) {
        Some(encoding) => Err(unreadable().because(encoding).hint(AS_TEXT)),
        None => Ok(Some(Text::of_file(path, file)?)),
    }
}

/// As much as a byte order mark has.
fn beginning(file: &File) -> io::Result<Vec<u8>> {
    let mut first = vec![0; 3];
    let count = file.read_at(&mut first, 0)?;
    first.truncate(count);
    Ok(first)
}

/// What editors and PowerShell write in front of a text. Prisma sends the mark on, and the server takes it for a word.
fn refused_encoding(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some("it is UTF-16, not UTF-8"),
        [0xef, 0xbb, 0xbf, ..] => {
            Some("it begins with a byte order mark, which Postgres takes for a part of the first word")
        }
        _ => None,
    }
}

fn provider(lock: &Path) -> Result<Option<String>> {
    let Some(text) = read(lock)? else { return Ok(None) };
    let text: String = text.chunks().collect::<Result<_, _>>()?;
    let table: toml::Table = text.parse().blocked(|| format!("`{}` is not TOML", lock.display()))?;
    Ok(table.get("provider").and_then(|value| value.as_str()).map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;
    use crate::error::Status;

    /// A migrations folder that goes with the test.
    struct Folder(PathBuf);

    impl Folder {
        fn new(test: &str, files: &[(&str, &str)]) -> Folder {
            let folder = std::env::temp_dir().join(format!("staging-drill-history-{test}-{}", std::process::id()));
            for (path, text) in files {
                let path = folder.join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            Folder(folder)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn folders_are_migrations_in_the_order_of_their_names() {
        let folder = Folder::new(
            "order",
            &[
                ("20250202_b/migration.sql", "select 2"),
                ("20250101_a/migration.sql", "select 1"),
                ("20250101_a/down.sql", "select 0"),
                ("migration_lock.toml", "# do not edit\nprovider = \"postgresql\"\n"),
                ("README.md", "hello"),
                (".DS_Store", ""),
            ],
        );
        let history = History::load(&folder.0, &folder.0).unwrap();
        assert_eq!(history.provider.as_deref(), Some("postgresql"));
        assert_eq!(
            history.migrations,
            [Migration::new("20250101_a", "select 1"), Migration::new("20250202_b", "select 2")]
        );
        assert_eq!(history.first(1).migrations, [Migration::new("20250101_a", "select 1")]);
    }

    #[test]
    fn what_cannot_be_a_history_is_named() {
        let empty = Folder::new("empty", &[("20250101_a/notes.txt", "")]);
        let failure = History::load(&empty.0, &empty.0).unwrap_err();
        assert_eq!(failure.status, Status::Blocked);
        assert_eq!(failure.message, "the migration `20250101_a` has no migration.sql (P3015)");
        let lock = Folder::new("lock", &[("migration_lock.toml", "provider: postgresql"), ("1_a/migration.sql", "")]);
        assert!(History::load(&lock.0, &lock.0).unwrap_err().message.ends_with("migration_lock.toml` is not TOML"));
        let failure = History::load(&lock.0, &lock.0.join("missing")).unwrap_err();
        assert_eq!(failure.message, "there are no migrations in `missing`, so there is nothing to rehearse");
        let latin1 = Folder::new("latin1", &[("20250101_a/migration.sql", "")]);
        fs::write(latin1.0.join("20250101_a/migration.sql"), [0xe9]).unwrap();
        assert_eq!(History::load(&latin1.0, &latin1.0).unwrap_err().status, Status::Blocked);
        let causes = |bytes: &[u8]| {
            fs::write(latin1.0.join("20250101_a/migration.sql"), bytes).unwrap();
            History::load(&latin1.0, &latin1.0).unwrap_err().causes().collect::<Vec<_>>()
        };
        assert_eq!(causes(b"\xff\xfes\0"), ["it is UTF-16, not UTF-8"]);
        assert_eq!(causes(b"select '\xe9'"), ["it is not UTF-8"]);
        assert_eq!(
            causes(b"\xef\xbb\xbfselect 1"),
            ["it begins with a byte order mark, which Postgres takes for a part of the first word"]
        );
    }

    #[test]
    fn a_checksum_is_the_scripts_sha256_and_forgives_the_other_line_endings() {
        let unix = Migration::new("a", "select 1;\nselect 2;\n");
        let windows = Migration::new("a", "select 1;\r\nselect 2;\r\n");
        assert_eq!(
            Migration::new("a", "").checksum,
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert_ne!(unix.checksum, windows.checksum);
        assert!(unix.has_checksum(&windows.checksum) && windows.has_checksum(&unix.checksum));
        assert!(!unix.has_checksum(&Migration::new("a", "select 1;\nselect 3;\n").checksum));
    }

    #[test]
    fn of_a_long_script_too_the_other_line_endings_are_forgiven_and_a_change_is_no_reading() {
        let unix = "insert into t values ('é');\n".repeat(40_000);
        let windows = unix.replace('\n', "\r\n");
        let folder = Folder::new("long", &[("1_a/migration.sql", &unix), ("2_b/migration.sql", &windows)]);
        let history = History::load(&folder.0, &folder.0).unwrap();
        let [of_unix, of_windows] = [Migration::new("1_a", unix.as_str()), Migration::new("2_b", windows.as_str())];
        assert_eq!(history.migrations, [of_unix.clone(), of_windows.clone()]);
        for migration in &history.migrations {
            assert!(migration.has_checksum(&of_unix.checksum) && migration.has_checksum(&of_windows.checksum));
            assert!(!migration.has_checksum(&sha256(unix.replace('\n', ""))));
        }
        fs::write(folder.0.join("2_b/migration.sql"), "select 1").unwrap();
        let read: std::result::Result<String, _> = history.migrations[1].sql.chunks().collect();
        let failure = Failure::from(read.unwrap_err());
        assert_eq!(failure.causes().collect::<Vec<_>>(), ["it was changed while it was read"]);
        assert!(failure.message.ends_with("2_b/migration.sql`") && failure.status == Status::Blocked);
    }

    #[test]
    fn the_digest_names_names_order_and_scripts() {
        let history = |list: &[(&str, &str)]| {
            let migrations = list.iter().map(|(name, sql)| Migration::new(*name, *sql)).collect();
            History { provider: None, migrations }.digest()
        };
        let digest = history(&[("a", "1"), ("b", "2")]);
        assert_eq!(digest, history(&[("a", "1"), ("b", "2")]));
        for other in
            [history(&[("b", "2"), ("a", "1")]), history(&[("a", "1"), ("b", "3")]), history(&[("a", "1"), ("c", "2")])]
        {
            assert_ne!(digest, other);
        }
    }
}
