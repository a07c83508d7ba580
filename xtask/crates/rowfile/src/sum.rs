//! A checksum of a table's rows that does not depend on their order: the sum, modulo 2^128, of a hash of each row.
//!
//! A table has no order, so the rows that come back after a restore come in another one. A sum, unlike an exclusive or, also sees a row that
//! is there twice. The hash is the first half of SHA-256 of the row as COPY prints it in text form, where a line is a row: a line feed inside
//! of a value is printed as `\n`.

use sha2::{Digest, Sha256};

/// Counts and sums rows as they pass by, in pieces of any size.
#[derive(Debug, Default)]
pub struct RowSum {
    /// The beginning of a row whose end has not come yet.
    begun: Vec<u8>,
    rows: u64,
    sum: u128,
}

impl RowSum {
    /// Takes the next bytes of a table in COPY's text form, cut anywhere.
    pub fn add(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (row, after) = (&rest[..end], &rest[end + 1..]);
            if self.begun.is_empty() {
                self.add_row(row);
            } else {
                self.begun.extend_from_slice(row);
                let row = std::mem::take(&mut self.begun);
                self.add_row(&row);
            }
            rest = after;
        }
        self.begun.extend_from_slice(rest);
    }

    fn add_row(&mut self, row: &[u8]) {
        let hash: [u8; 32] = Sha256::digest(row).into();
        let half = hash.first_chunk().map_or(0, |half| u128::from_be_bytes(*half));
        self.sum = self.sum.wrapping_add(half);
        self.rows += 1;
    }

    /// Rows whose end has come.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// 32 hexadecimal digits.
    pub fn checksum(&self) -> String {
        format!("{:032x}", self.sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pieces: &[&str]) -> (u64, String) {
        let mut sum = RowSum::default();
        pieces.iter().for_each(|piece| sum.add(piece.as_bytes()));
        (sum.rows(), sum.checksum())
    }

    #[test]
    fn neither_the_order_of_rows_nor_the_cut_of_pieces_changes_it() {
        let whole = of(&["1\ta\n2\tb\n\n"]);
        assert_eq!(whole.0, 3);
        assert_eq!(of(&["2\tb\n", "\n1\ta\n"]), whole);
        assert_eq!(of(&["1", "\t", "a\n2\tb", "\n", "\n"]), whole);
    }

    #[test]
    fn a_row_that_is_changed_gone_or_there_twice_changes_it() {
        let sums = [
            of(&["1\n2\n"]),
            of(&["1\n3\n"]),
            of(&["1\n"]),
            of(&["1\n2\n2\n"]),
            of(&["1\n1\n"]),
            of(&["12\n"]),
            of(&[]),
        ];
        for (n, one) in sums.iter().enumerate() {
            assert!(sums[n + 1..].iter().all(|other| other.1 != one.1), "{sums:?}");
        }
    }
}
