//! What must hold of whatever lies in a folder of migrations; see `crate::fuzz`.

#![allow(clippy::expect_used, reason = "a property panics where it does not hold")]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use super::history::History;

/// Names of folders in lines, each a migration with its own name for a script: a history has all of them, in the order of their bytes, or says
/// what it cannot read.
pub fn migration_folders(bytes: &[u8]) {
    let dir = tempfile::tempdir().expect("a folder");
    let fits = |name: &&[u8]| {
        (1..=255).contains(&name.len())
            && !name.contains(&0)
            && !name.contains(&b'/')
            && ![&b"."[..], b".."].contains(name)
    };
    let mut names: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').filter(fits).take(8).collect();
    names.sort_unstable();
    names.dedup();
    for name in &names {
        let folder = dir.path().join(OsStr::from_bytes(name));
        fs::create_dir(&folder).expect("a name that Linux takes");
        fs::write(folder.join("migration.sql"), name).expect("a script");
    }
    let is_text = names.iter().all(|name| std::str::from_utf8(name).is_ok());
    let begins_with_mark = names.iter().any(|name| name.starts_with(b"\xef\xbb\xbf"));
    match History::load(dir.path(), dir.path()) {
        Ok(history) => {
            let found: Vec<&[u8]> = history.migrations.iter().map(|migration| migration.name.as_bytes()).collect();
            assert_eq!(found, names);
            assert!(
                history
                    .migrations
                    .iter()
                    .all(|migration| migration.sql.head(256).expect("it is there") == migration.name)
            );
            let applied = &history.first(history.migrations.len() / 2);
            assert!(applied.digest() != history.digest() || applied == &history);
        }
        Err(failure) => {
            assert!(!is_text || begins_with_mark, "{failure:?}");
            assert!(!failure.message.contains('\n'), "{failure:?}");
        }
    }
}
