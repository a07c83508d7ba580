//! The Prisma schema as it lies on disk: one file, or a folder whose `.prisma` files are all of it, below other folders too.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::digest::sha256;
use pin::{file, interposer};

/// A schema file's path and what is in it.
pub type SchemaFile = (PathBuf, Vec<u8>);

/// Every file that Prisma reads for `schema`, in the order of their paths. Prisma follows links, and leaves out no folder.
///
/// # Errors
/// Something of it is not there or cannot be read: what is left would be another schema.
pub fn read(schema: &Path) -> io::Result<Vec<SchemaFile>> {
    let mut files = Vec::new();
    collect(schema, &mut BTreeSet::new(), &mut files)?;
    files.sort();
    Ok(files)
}

fn collect(path: &Path, seen: &mut BTreeSet<PathBuf>, files: &mut Vec<SchemaFile>) -> io::Result<()> {
    let kind = fs::metadata(path)?;
    if kind.is_dir() {
        if seen.insert(path.canonicalize()?) {
            fs::read_dir(path)?.try_for_each(|entry| {
                let entry = entry?.path();
                if is_schema(&entry) || fs::metadata(&entry)?.is_dir() { collect(&entry, seen, files) } else { Ok(()) }
            })?;
        }
    } else {
        files.push((path.to_owned(), file::read(path, file::LONGEST)?));
    }
    Ok(())
}

/// The variable that the datasource names for `property`, which is how Prisma 6 is told where its database is.
pub fn variable(files: &[SchemaFile], property: &str) -> Option<String> {
    files.iter().find_map(|(_, text)| {
        let text = String::from_utf8_lossy(text);
        let named = interposer::variables(&text).into_iter().find(|(known, _)| *known == property);
        named.map(|(_, name)| name.to_owned())
    })
}

/// Whether Prisma reads it, among others in a folder.
pub fn is_schema(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "prisma")
}

/// Names a schema whatever its files are called on this machine: of one file the digest of the file.
///
/// # Errors
/// As `read`.
pub fn digest(schema: &Path) -> io::Result<String> {
    let files = read(schema)?;
    if let [(path, text)] = files.as_slice()
        && path == schema
    {
        return Ok(sha256(text));
    }
    let line = |(path, text): &SchemaFile| {
        format!("{} {}\n", sha256(text), path.strip_prefix(schema).unwrap_or(path).display())
    };
    Ok(sha256(files.iter().map(line).collect::<String>()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn names(schema: &Path, root: &Path) -> Vec<String> {
        let files = read(schema).unwrap();
        files.iter().map(|(path, _)| path.strip_prefix(root).unwrap().display().to_string()).collect()
    }

    #[test]
    fn a_folder_is_all_that_prisma_finds_below_it() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for name in
            ["a/main.prisma", "a/models/deep/x.prisma", "a/.hidden/y.prisma", "a/notes.md", "a/.prisma", "b.prisma"]
        {
            fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
            fs::write(root.join(name), name).unwrap();
        }
        symlink(root.join("b.prisma"), root.join("a/link.prisma")).unwrap();
        symlink(root.join("a"), root.join("a/models/round")).unwrap();
        let all = ["a/.hidden/y.prisma", "a/link.prisma", "a/main.prisma", "a/models/deep/x.prisma"];
        assert_eq!(names(&root.join("a"), root), all);
        assert_eq!(names(&root.join("b.prisma"), root), ["b.prisma"]);
        assert_eq!(digest(&root.join("b.prisma")).unwrap(), sha256("b.prisma"));
        let before = digest(&root.join("a")).unwrap();
        fs::rename(root.join("a/main.prisma"), root.join("a/other.prisma")).unwrap();
        assert_ne!(digest(&root.join("a")).unwrap(), before);
    }

    #[test]
    fn what_cannot_be_read_is_an_error_and_not_a_smaller_schema() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("main.prisma"), "").unwrap();
        symlink("nowhere", folder.path().join("gone.prisma")).unwrap();
        assert_eq!(read(folder.path()).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(read(&folder.path().join("absent")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
