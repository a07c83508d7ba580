//! SHA-256 in hex: of text, of bytes, of files.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

pub fn sha256(bytes: impl AsRef<[u8]>) -> String {
    hex(&Sha256::digest(bytes))
}

/// Of `parts` with `between` between each two.
pub fn of_joined<'a>(parts: impl Iterator<Item = &'a str>, between: &str) -> String {
    let mut hasher = Sha256::new();
    for (number, part) in parts.enumerate() {
        if number > 0 {
            hasher.update(between);
        }
        hasher.update(part);
    }
    hex(&hasher.finalize())
}

/// # Errors
/// The file cannot be read.
pub fn of_file(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; 64 * 1024];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(hex(&hasher.finalize())),
            count => hasher.update(&chunk[..count]),
        }
    }
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
