//! A table's rows on disk: packed as they pass by, with a checksum of the rows and a digest of the file.
//!
//! A crate of its own for the reason that `redact` is one: it sees every byte of a snapshot, so it is built optimised. That
//! is why nothing here is generic: generic code would be compiled where it is used, and not optimised there.

#![allow(clippy::disallowed_methods, reason = "the file is opened by the caller; this packs and unpacks it")]

mod sum;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};

use lz4_flex::frame::{FrameDecoder, FrameEncoder};
use sha2::{Digest, Sha256};

pub use sum::RowSum;

/// Packs rows into a file.
pub struct Writer {
    packed: FrameEncoder<Hashed>,
    sum: RowSum,
}

/// What was written.
pub struct Written {
    pub file: File,
    /// Of the file's bytes.
    pub sha256: [u8; 32],
    pub sum: RowSum,
}

impl Writer {
    /// Rows go to `file`, which is empty.
    pub fn new(file: File) -> Writer {
        Writer { packed: FrameEncoder::new(Hashed { file, hasher: Sha256::new() }), sum: RowSum::default() }
    }

    /// Takes the next bytes of a table in COPY's text form, cut anywhere.
    ///
    /// # Errors
    /// What the disk says.
    pub fn add(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sum.add(bytes);
        self.packed.write_all(bytes)
    }

    /// Rows that came so far.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.sum.rows()
    }

    /// Writes the end. The caller decides whether to wait for the disk.
    ///
    /// # Errors
    /// What the disk says.
    pub fn finish(self) -> io::Result<Written> {
        let Hashed { file, hasher } = self.packed.finish()?;
        Ok(Written { file, sha256: hasher.finalize().into(), sum: self.sum })
    }
}

/// A file that knows its own digest when it is written.
struct Hashed {
    file: File,
    hasher: Sha256,
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Unpacks what a `Writer` has written, in pieces of any size.
pub struct Reader(BufReader<FrameDecoder<File>>);

impl Reader {
    pub fn new(file: File) -> Reader {
        Reader(BufReader::with_capacity(1 << 16, FrameDecoder::new(file)))
    }
}

impl Read for Reader {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.read(bytes)
    }
}

impl BufRead for Reader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.0.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.0.consume(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out_with_its_sum_and_the_digest_of_the_file() {
        let path = std::env::temp_dir().join(format!("rowfile-test-{}", std::process::id()));
        let rows: String = (0..10_000).map(|n| format!("{n}\tvalue {n}\n")).collect();
        let mut writer = Writer::new(File::create(&path).unwrap());
        rows.as_bytes().chunks(777).for_each(|piece| writer.add(piece).unwrap());
        let written = writer.finish().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let mut text = String::new();
        Reader::new(File::open(&path).unwrap()).read_to_string(&mut text).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(text == rows);
        assert!(bytes.len() < rows.len());
        assert_eq!(written.sum.rows(), 10_000);
        assert_eq!(written.sha256, <[u8; 32]>::from(Sha256::digest(bytes)));
    }
}
