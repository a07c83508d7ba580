//! Inputs that nobody meant to write, for the functions that read what others wrote: the same in every run. A target is a function that takes
//! bytes and panics where its property does not hold; `cargo chore fuzz` gives the same functions to libFuzzer.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use fastrand::Rng;

use crate::reliability::Table;

/// Its name, which is also the folder of its seeds; what it is fed; what must hold; how many inputs a run of the tests tries.
pub type Target = (&'static str, &'static str, &'static str, usize, fn(&[u8]));

/// Many times as many inputs, others than those of the table: `FUZZ_TIMES=100 cargo test fuzz`.
const TIMES: &str = "FUZZ_TIMES";

/// No input is longer, in bytes.
const LONGEST: usize = 4096;

/// Tries all targets, and holds the table.
///
/// # Panics
/// If a property does not hold, or the page says something else.
pub fn hold(name: &'static str, about: &'static str, test: &'static str, targets: &[Target]) {
    if let Some(times) = std::env::var(TIMES).ok().and_then(|times| times.parse().ok()) {
        return try_others(targets, times);
    }
    let mut table = Table::new(name, about, test, &["target", "fed with", "what holds"]);
    for target in targets {
        let (name, fed, holds, count, _) = target;
        table.rows_of([name, fed, holds], *count, failures(target, 0));
    }
    table.hold();
}

fn try_others(targets: &[Target], times: u64) {
    for round in 1..=times {
        let failures: Vec<_> = targets.iter().flat_map(|target| failures(target, round)).collect();
        assert!(failures.is_empty(), "in round {round}:\n{}", failures.join("\n"));
    }
}

/// Each input with what it did to the property.
fn failures((target, _, _, count, property): &Target, round: u64) -> Vec<String> {
    let seeds = seeds(target);
    let mut random = Rng::with_seed(round);
    let made: Vec<_> = (seeds.len()..*count).map(|_| mutated(&seeds, &mut random)).collect();
    let inputs = seeds.iter().chain(&made).take(*count);
    let failed = |input: &Vec<u8>| Some(format!("{target} of {}: {}", input.escape_ascii(), broken(*property, input)?));
    inputs.filter_map(failed).collect()
}

/// What the panic said, where there was one.
fn broken(property: fn(&[u8]), input: &[u8]) -> Option<String> {
    let panic = catch_unwind(AssertUnwindSafe(|| property(input))).err()?;
    let said = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    Some(said.unwrap_or("it panicked").to_owned())
}

/// What is worth beginning with: files of `xtask/fuzz/seeds`, the inputs of past mistakes among them.
///
/// # Panics
/// If there is none.
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = folder(target);
    let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    let seeds: Vec<_> = paths.iter().filter_map(|path| fs::read(path).ok()).collect();
    assert!(!seeds.is_empty(), "no seeds in {}", folder.display());
    seeds
}

pub fn folder(target: &str) -> PathBuf {
    crate::workspace().join("xtask/fuzz/seeds").join(target)
}

/// What parsers fight over.
const WORDS: [&[u8]; 24] = [
    b"\0",
    b"\r",
    b"\n",
    b"\r\n",
    b"\t",
    b" ",
    b"'",
    b"\"",
    b"`",
    b"$",
    b"#",
    b"\\",
    b"%",
    b"@",
    b":",
    b"/",
    b"?",
    b"=",
    b"{",
    b"}",
    b"//",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\xe2\x80\xa8",
];
const NUMBERS: [u32; 8] = [0, 1, 3, 4, 0x7f, 0xffff, 0x7fff_ffff, 0xffff_ffff];

/// A seed after some mishaps.
fn mutated(seeds: &[Vec<u8>], random: &mut Rng) -> Vec<u8> {
    let mut bytes = random.choice(seeds).cloned().unwrap_or_default();
    for _ in 0..=random.usize(..6) {
        let at = random.usize(..=bytes.len());
        let end = (at + random.usize(..16)).min(bytes.len());
        match random.u8(..9) {
            0 if at < end => bytes[at] ^= 1 << random.u8(..8),
            1 if at < end => bytes[at] = random.u8(..),
            2 => drop(bytes.drain(at..end)),
            3 => drop(bytes.splice(at..at, bytes[at..end].to_vec())),
            4 => drop(bytes.splice(at..at, piece(seeds, random))),
            5 => drop(bytes.splice(at..end, piece(seeds, random))),
            6 => bytes.truncate(at),
            7 => {
                let number = random.choice(NUMBERS).unwrap_or_default().to_be_bytes();
                bytes.splice(at..(at + 4).min(bytes.len()), number);
            }
            _ => drop(bytes.splice(at..at, random.choice(WORDS).unwrap_or_default().to_vec())),
        }
    }
    bytes.truncate(LONGEST);
    bytes
}

fn piece(seeds: &[Vec<u8>], random: &mut Rng) -> Vec<u8> {
    let seed = random.choice(seeds).map(Vec::as_slice).unwrap_or_default();
    let at = random.usize(..=seed.len());
    seed[at..(at + random.usize(..40)).min(seed.len())].to_vec()
}
