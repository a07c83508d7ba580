//! Finds many needles at once, in any case, faster than memory is filled by a child.
//!
//! Aho-Corasick walks every byte through one dependent load, 0.5 GB/s on the machine that this was measured on, and
//! the budget for everything together is 0.3. As no needle is shorter than four bytes, it is enough to look at every
//! second position, at three bytes each: of two such groups side by side in a needle, one falls on an even position
//! wherever the needle stands. Whether any needle has such a group is one bit of a table that fits the first-level
//! cache, and three groups are looked up at once. Each needle is represented by its two groups of the rarest letters.

use std::collections::BTreeMap;
use std::ops::Range;

/// Needles are at least this long.
pub const SHORTEST: usize = 4;

/// And at most: beginnings of secrets, and names.
const LONGEST: usize = 16;

const STRIDE: usize = 2;

const HASH_BITS: u32 = 15;
const HASHES: usize = 1 << HASH_BITS;

pub struct Grams {
    /// By hash: whether such a group represents any needle.
    seen: Box<[bool; HASHES]>,
    /// By hash.
    groups: Vec<Group>,
    /// By group, in the order of their numbers.
    needles: Vec<Needle>,
    /// Where in `groups` each hash begins.
    heads: Vec<usize>,
}

/// Three bytes that stand at `offset` in needles of one length. They are looked up at once: the triggers of a rule are many that
/// differ in one letter.
struct Group {
    hash: usize,
    offset: usize,
    len: usize,
    /// What of a number is of a needle this long.
    mask: u128,
    /// Where in `needles` they are.
    among: Range<usize>,
}

/// As numbers, which are compared at once.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Needle {
    /// With all its bytes folded: what differs in case alone has the same, and so have a few others.
    folded: u128,
    /// As it is, in lower case.
    bytes: u128,
    /// What differs between the cases of its letters.
    case: u128,
    index: usize,
}

impl Grams {
    /// `needles` are from `SHORTEST` to `LONGEST` bytes long, and in lower case.
    pub fn new(needles: &[Vec<u8>]) -> Self {
        assert!(needles.iter().all(|needle| (SHORTEST..=LONGEST).contains(&needle.len())));
        let mut by_group: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (index, bytes) in needles.iter().enumerate() {
            let rarest = rarest_window(bytes);
            for offset in rarest..rarest + STRIDE {
                let group = (hash(eight_from(bytes, offset)), offset, bytes.len());
                by_group.entry(group).or_default().push(Needle::new(bytes, index));
            }
        }
        let (mut groups, mut sorted) = (Vec::new(), Vec::new());
        for ((hash, offset, len), mut group) in by_group {
            group.sort_unstable();
            let among = sorted.len()..sorted.len() + group.len();
            groups.push(Group { hash, offset, len, mask: mask(len), among });
            sorted.extend(group);
        }
        let mut seen = Box::new([false; HASHES]);
        groups.iter().for_each(|group| seen[group.hash] = true);
        let heads = (0..=HASHES).map(|head| groups.partition_point(|group| group.hash < head)).collect();
        Grams { seen, groups, heads, needles: sorted }
    }

    /// Calls `found` with the index of a needle and its position, for every place where one stands.
    pub fn find(&self, text: &[u8], mut found: impl FnMut(usize, usize)) {
        for at in (0..text.len()).step_by(3 * STRIDE) {
            let eight = eight_from(text, at);
            let hashes = [hash(eight), hash(eight >> 16), hash(eight >> 32)];
            if self.seen[hashes[0]] | self.seen[hashes[1]] | self.seen[hashes[2]] {
                for (step, hash) in hashes.into_iter().enumerate().filter(|(_, hash)| self.seen[*hash]) {
                    self.confirm(text, at + step * STRIDE, hash, &mut found);
                }
            }
        }
    }

    /// Apart, so that the loop above keeps its values in registers.
    #[inline(never)]
    fn confirm(&self, text: &[u8], at: usize, hash: usize, found: &mut impl FnMut(usize, usize)) {
        let of_hash = self.heads[hash]..self.heads[hash + 1];
        for group in self.groups[of_hash].iter().filter(|group| at >= group.offset) {
            let start = at - group.offset;
            if start + group.len <= text.len()
                && let Some(needle) = self.needle(group, number(text, start) & group.mask)
            {
                found(needle, start);
            }
        }
    }

    fn needle(&self, group: &Group, there: u128) -> Option<usize> {
        let among = &self.needles[group.among.clone()];
        let folded = folded(there);
        let first = if among.len() == 1 { 0 } else { among.partition_point(|needle| needle.folded < folded) };
        let mut alike = among[first..].iter().take_while(|needle| needle.folded == folded);
        alike.find(|needle| there | needle.case == needle.bytes).map(|needle| needle.index)
    }
}

impl Needle {
    fn new(bytes: &[u8], index: usize) -> Self {
        let cases = bytes.iter().map(|byte| if byte.is_ascii_lowercase() { CASE } else { 0 }).collect::<Vec<_>>();
        let [bytes, case] = [bytes, &cases].map(|bytes| number(bytes, 0));
        Needle { folded: folded(bytes), bytes, case, index }
    }
}

/// What differs between the cases of a letter.
const CASE: u8 = 0x20;

fn folded(number: u128) -> u128 {
    number | u128::from_le_bytes([CASE; LONGEST])
}

fn mask(len: usize) -> u128 {
    u128::MAX >> (8 * (LONGEST - len))
}

/// The `LONGEST` bytes at `at`, with zeros where the text has ended.
#[inline]
fn number(text: &[u8], at: usize) -> u128 {
    let rest = &text[at..];
    let bytes: [u8; LONGEST] = rest.first_chunk().copied().unwrap_or_else(|| {
        let mut padded = [0; LONGEST];
        padded[..rest.len()].copy_from_slice(rest);
        padded
    });
    u128::from_le_bytes(bytes)
}

/// Where those `SHORTEST` bytes of a needle begin that text is least likely to hold.
fn rarest_window(needle: &[u8]) -> usize {
    const COMMON_FIRST: &[u8] = b"etaoinsr/lcdhumpgfbyw01k2-v_.34 5678x9jqz:";
    let rarity = |byte: &u8| {
        let rank = COMMON_FIRST.iter().position(|common| common == &byte.to_ascii_lowercase());
        rank.unwrap_or(COMMON_FIRST.len())
    };
    let windows = needle.windows(SHORTEST).map(|window| window.iter().map(rarity).sum::<usize>());
    windows.enumerate().max_by_key(|(_, rarity)| *rarity).map_or(0, |(at, _)| at)
}

/// The bytes at `at`, with zeros where the text has ended.
fn eight_from(text: &[u8], at: usize) -> u64 {
    let rest = &text[at..];
    let eight = rest.first_chunk().copied().unwrap_or_else(|| {
        let mut padded = [0; 8];
        padded[..rest.len()].copy_from_slice(rest);
        padded
    });
    u64::from_le_bytes(eight)
}

/// Of the first three bytes, in either case.
fn hash(bytes: u64) -> usize {
    let folded = (bytes as u32 | 0x2020_2020) << 8;
    (folded.wrapping_mul(0x9e37_79b1) >> (32 - HASH_BITS)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_needle_is_found_wherever_and_in_whatever_case_it_stands() {
        let grams = Grams::new(&[b"pass".to_vec(), b"password".to_vec(), b"x://".to_vec()]);
        for pad in 0..5 {
            let text = [&b"......"[..pad], b"PassWord x:// passw x:/"].concat();
            let mut found = Vec::new();
            grams.find(&text, |needle, at| found.push((at - pad, needle)));
            found.sort();
            assert_eq!(found, [(0, 0), (0, 1), (9, 2), (14, 0)]);
        }
    }

    #[test]
    fn text_shorter_than_a_needle_holds_none() {
        // What is read behind the end looks like blanks.
        let grams = Grams::new(&[b"abcd".to_vec(), b"    ".to_vec()]);
        for text in ["", "a", "ab", "abc"] {
            grams.find(text.as_bytes(), |_, _| panic!("found in {text:?}"));
        }
    }
}
