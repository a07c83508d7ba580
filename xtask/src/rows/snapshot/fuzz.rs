//! What must hold of whatever lies where snapshots should; see `crate::fuzz`.

#![allow(clippy::expect_used, reason = "a property panics where it does not hold")]

use std::fs::File;
use std::io::{Read, Seek, Write};

use rowfile::{Reader, RowSum, Writer};

use super::store::{self, Kept};

/// A name in the first line and a manifest behind it: believed is nothing but what was sealed so, however it is written; a name is a time or none.
pub fn manifest(bytes: &[u8]) {
    let (name, text) = bytes.split_at(bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len()));
    if let Some(time) = store::time_of(&String::from_utf8_lossy(name)) {
        let stamp = time.strftime("%Y%m%dT%H%M%SZ-").to_string();
        assert!(String::from_utf8_lossy(name).starts_with(&stamp), "{time} of {}", name.escape_ascii());
    }
    if let Kept::Whole(manifest) = store::believed(text) {
        let again = store::believed(&store::sealed(&manifest));
        assert!(matches!(&again, Kept::Whole(again) if again == &manifest), "{again:?}");
        assert_eq!((manifest.rows(), manifest.tables.len()), (2, 1), "nobody sealed this");
    }
}

fn summed(bytes: &[u8]) -> (u64, String) {
    let mut sum = RowSum::default();
    sum.add(bytes);
    (sum.rows(), sum.checksum())
}

fn multiset(bytes: &[u8]) -> Vec<&[u8]> {
    let mut rows: Vec<_> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    rows.sort_unstable();
    rows
}

/// Rows as they come from COPY: packed in any pieces they are the same file's content and sum; of a file with one byte changed nothing is read
/// as other rows with the right sum; and bytes that are no such file end in an error, without more memory than a part of it.
pub fn rows_on_disk(bytes: &[u8]) {
    let mut writer = Writer::new(tempfile::tempfile().expect("a file"));
    let mut rest = bytes;
    while let Some(first) = rest.first() {
        let (piece, after) = rest.split_at((1 + usize::from(*first)).min(rest.len()));
        writer.add(piece).expect("room");
        rest = after;
    }
    let written = writer.finish().expect("room");
    assert_eq!((written.sum.rows(), written.sum.checksum()), summed(bytes));
    let mut file = written.file;
    let packed = content(&mut file);
    assert_eq!(unpacked(&packed).expect("it was written so"), bytes);
    let at = usize::from(bytes.last().copied().unwrap_or_default()) * 31 % packed.len();
    let mut damaged = packed;
    damaged[at] ^= 1 << (bytes.len() % 8);
    if let Ok(other) = unpacked(&damaged)
        && summed(&other) == summed(bytes)
    {
        let (complete, incomplete) =
            (bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1), other.len());
        assert_eq!(
            multiset(&other[..complete.min(incomplete)]),
            multiset(&bytes[..complete]),
            "other rows, the same sum"
        );
    }
    let _ = unpacked(bytes);
}

fn content(file: &mut File) -> Vec<u8> {
    let mut content = Vec::new();
    file.rewind().expect("a file");
    file.read_to_end(&mut content).expect("a file");
    content
}

fn unpacked(packed: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut file = tempfile::tempfile()?;
    file.write_all(packed)?;
    file.rewind()?;
    let mut rows = Vec::new();
    Reader::new(file).take(1 << 22).read_to_end(&mut rows)?;
    Ok(rows)
}
