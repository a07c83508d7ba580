//! A lock on a folder itself (flock): it leaves no file behind, and is free as soon as its holder ends, however
//! that ends.
//!
//! Who takes it keeps the file that comes back; to drop it is to free the lock.

use std::fs::File;
use std::io;
use std::path::Path;

/// Waits for the lock. None where the file system has no lock for folders, as NFS has none.
///
/// # Errors
/// The folder cannot be opened.
pub fn take(folder: &Path) -> io::Result<Option<File>> {
    let file = File::open(folder)?;
    Ok(file.lock().is_ok().then_some(file))
}

/// As `take`, for those who only read: they wait for a holder and not for each other.
///
/// # Errors
/// The folder cannot be opened.
pub fn share(folder: &Path) -> io::Result<Option<File>> {
    let file = File::open(folder)?;
    Ok(file.lock_shared().is_ok().then_some(file))
}

/// None when another process holds it, or when that cannot be told.
pub fn try_take(folder: &Path) -> Option<File> {
    let file = File::open(folder).ok()?;
    file.try_lock().is_ok().then_some(file)
}

/// Whether it is free. False where that cannot be told.
pub fn is_free(folder: &Path) -> bool {
    // Shared, so that two who ask do not take each other for a holder.
    File::open(folder).is_ok_and(|file| file.try_lock_shared().is_ok())
}
