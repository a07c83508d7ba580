//! Files that a reader or a crash sees whole: replaced in one step, listed without following what leads elsewhere, and read only where that
//! comes to an end.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Who may read a new file: what the umask leaves, or its owner alone.
const SHARED: u32 = 0o666;
const PRIVATE: u32 = 0o600;

/// No file of a run is larger, in bytes. What is was put there by somebody else, and is not read: it may be endless.
pub const LARGEST: u64 = 256 << 20;

/// What a replacement is written to before it takes its place; a crash may leave it behind.
pub fn draft(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".new");
    path.with_file_name(name)
}

/// Replaces `path` in one step; the new content is on the disk before this returns.
///
/// # Errors
/// As the file system says; the old content is there then.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace_by(&draft(path), path, bytes, SHARED)
}

/// As `replace`, for the owner's eyes alone.
///
/// # Errors
/// As the file system says; the old content is there then.
pub fn replace_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace_by(&draft(path), path, bytes, PRIVATE)
}

/// Keeps what can be made again: two processes may do so at once, and one that cannot is none the worse for it.
pub fn keep(path: &Path, bytes: &[u8]) {
    keep_for(path, bytes, SHARED);
}

/// As `keep`, for the owner's eyes alone.
pub fn keep_private(path: &Path, bytes: &[u8]) {
    keep_for(path, bytes, PRIVATE);
}

fn keep_for(path: &Path, bytes: &[u8], mode: u32) {
    let write = || {
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        replace_by(&path.with_extension(format!("{}.new", std::process::id())), path, bytes, mode)
    };
    let _ = write();
}

fn replace_by(draft: &Path, path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let write = || {
        let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(mode).open(draft)?;
        file.write_all(bytes)?;
        if let Ok(old) = fs::metadata(path) {
            file.set_permissions(old.permissions())?;
        }
        file.sync_data()?;
        fs::rename(draft, path)
    };
    write().inspect_err(|_| {
        let _ = fs::remove_file(draft);
    })
}

/// Every plain file below `folder`: names relative to it, and paths, in order.
///
/// # Errors
/// A folder cannot be read.
pub fn plain(folder: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    Ok(entries(folder)?.into_iter().filter(|(_, path)| is_plain(path)).collect())
}

/// Everything below `folder` that is neither file nor folder: links, pipes.
///
/// # Errors
/// A folder cannot be read.
pub fn strange(folder: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    Ok(entries(folder)?.into_iter().filter(|(_, path)| !is_plain(path)).collect())
}

fn entries(folder: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else {
                let path = entry.path();
                let name = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().into_owned();
                found.push((name, path));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Reads what is a file itself: a link leads elsewhere.
///
/// # Errors
/// `InvalidInput` for what is not a file, `FileTooLarge`; else what the file system says.
pub fn read_plain(path: &Path) -> io::Result<Vec<u8>> {
    if path.symlink_metadata()?.is_file() { read_linked(path) } else { Err(io::ErrorKind::InvalidInput.into()) }
}

/// As `read_plain`, where a link may be meant.
///
/// # Errors
/// As `read_plain`.
pub fn read_linked(path: &Path) -> io::Result<Vec<u8>> {
    pin::file::read(path, LARGEST)
}

/// As `read_plain`, a part at a time.
///
/// # Errors
/// As `read_plain`.
pub fn open_plain(path: &Path) -> io::Result<impl io::Read> {
    if path.symlink_metadata()?.is_file() {
        pin::file::reader(path, LARGEST)
    } else {
        Err(io::ErrorKind::InvalidInput.into())
    }
}

/// Whether a file cannot be one of a run, by its size alone.
pub fn is_too_large(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|metadata| metadata.len() > LARGEST)
}

fn is_plain(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|metadata| metadata.is_file())
}
