//! Folders for what programs read in passing: for us alone, and gone with the run. What a killed run left, the next one removes.

use std::fs::{self, DirEntry, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

const PREFIX: &str = "staging-drill.run-";

/// A folder that was just made may not be locked yet.
const YOUNG: Duration = Duration::from_secs(60);

const TRIES: usize = 50;
const PAUSE: Duration = Duration::from_millis(5);

pub struct Temporary {
    folder: TempDir,
    /// On the folder itself; it ends with our process, however that ends.
    _lock: File,
}

impl Temporary {
    /// # Errors
    /// The system's folder for temporary files takes none.
    pub fn new() -> io::Result<Temporary> {
        Self::make(tempfile::Builder::new().prefix(PREFIX).permissions(Permissions::from_mode(0o700)).tempdir()?)
    }

    fn make(folder: TempDir) -> io::Result<Temporary> {
        let lock = File::open(folder.path())?;
        // Where a file system has no locks for folders, nobody takes ours for left behind either.
        let _ = lock.try_lock();
        folder.path().parent().map_or(Ok(()), remove_left)?;
        Ok(Temporary { folder, _lock: lock })
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// A program whose group was killed may be within a call that makes a file: after that one it makes none.
impl Drop for Temporary {
    fn drop(&mut self) {
        remove(|| fs::remove_dir_all(self.folder.path()));
    }
}

/// Tries it again while somebody fills what is removed.
fn remove(mut all: impl FnMut() -> io::Result<()>) {
    let fails = |_: &usize| all().is_err_and(|error| error.kind() == io::ErrorKind::DirectoryNotEmpty);
    (0..TRIES).take_while(fails).for_each(|_| std::thread::sleep(PAUSE));
}

/// What cannot be removed now is for the run after this one.
fn remove_left(parent: &Path) -> io::Result<()> {
    for entry in fs::read_dir(parent)?.flatten().filter(|entry| is_left(entry).unwrap_or(false)) {
        let _ = fs::remove_dir_all(entry.path());
    }
    Ok(())
}

/// A folder of ours, no link to one, that no run holds.
fn is_left(entry: &DirEntry) -> io::Result<bool> {
    let about = entry.metadata()?;
    let ours = entry.file_name().to_string_lossy().starts_with(PREFIX)
        && about.is_dir()
        && about.uid() == rustix::process::geteuid().as_raw();
    let old = about.modified()?.elapsed().is_ok_and(|age| age > YOUNG);
    Ok(ours && old && File::open(entry.path())?.try_lock().is_ok())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::time::SystemTime;

    use super::*;

    fn made_in(parent: &Path) -> Temporary {
        let mut builder = tempfile::Builder::new();
        let builder = builder.prefix(PREFIX).permissions(Permissions::from_mode(0o700));
        Temporary::make(builder.tempdir_in(parent).unwrap()).unwrap()
    }

    fn aged(folder: &Path) {
        File::open(folder).unwrap().set_modified(SystemTime::now() - YOUNG * 2).unwrap();
    }

    #[test]
    fn it_is_for_us_alone_and_gone_with_its_owner() {
        let temporary = Temporary::new().unwrap();
        let path = temporary.path().to_owned();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        drop(temporary);
        assert!(!path.exists());
    }

    /// Fault injection: a program that was killed, and ends within the call that makes a file, fills a folder between its last listing and its removal.
    #[test]
    fn a_folder_that_a_program_fills_as_it_ends_is_removed_again_and_no_other_failure_is_waited_for() {
        let tries = |kind: io::ErrorKind, fails: usize| {
            let mut tried = 0;
            remove(|| {
                tried += 1;
                if tried > fails { Ok(()) } else { Err(kind.into()) }
            });
            tried
        };
        assert_eq!(tries(io::ErrorKind::DirectoryNotEmpty, 2), 3);
        assert_eq!(tries(io::ErrorKind::DirectoryNotEmpty, usize::MAX), TRIES);
        assert_eq!(tries(io::ErrorKind::PermissionDenied, 2), 1);
    }

    #[test]
    fn what_a_killed_run_left_is_removed_by_the_next_and_nothing_else() {
        let parent = tempfile::tempdir().unwrap();
        // As a kill leaves it: the lock ends, the folder stays.
        let left = parent.path().join(format!("{PREFIX}left"));
        fs::create_dir(&left).unwrap();
        fs::write(left.join("query.sql"), "select 1").unwrap();
        aged(&left);
        let held = made_in(parent.path());
        assert!(!left.exists());

        let young = parent.path().join(format!("{PREFIX}young"));
        let others = parent.path().join("staging-drill-tests-1");
        [&young, &others].into_iter().for_each(|folder| fs::create_dir(folder).unwrap());
        let link = parent.path().join(format!("{PREFIX}link"));
        symlink(&others, &link).unwrap();
        [held.path(), &others].into_iter().for_each(aged);
        drop(made_in(parent.path()));
        assert!([held.path(), &young, &others, &link].into_iter().all(Path::exists));
    }
}
