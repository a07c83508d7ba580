//! The targets of `xtask/fuzz`, with libFuzzer looking for inputs that reach what no other did. It needs a nightly compiler and cargo-fuzz.

use anyhow::{Result, ensure};
use chores::{cargo, fuzz, shell};

/// Ends with an error where an input was found for which the property does not hold; it lies in `target/fuzz/found` then.
pub fn run(target: &str, seconds: u32) -> Result<()> {
    let seeds = fuzz::folder(target);
    ensure!(seeds.is_dir(), "there is no target `{target}`: each has its folder in xtask/fuzz/seeds");
    let shell = shell()?;
    let (found, corpus) = ("target/fuzz/found/", format!("target/fuzz/corpus/{target}"));
    [found, &corpus].into_iter().try_for_each(|folder| shell.create_dir(folder).map(drop))?;
    // The program's own versions.
    shell.copy_file("Cargo.lock", "xtask/fuzz/Cargo.lock")?;
    // What memory could be misused with is forbidden here, so no sanitizer is asked.
    let words =
        ["+nightly", "fuzz", "run", "--fuzz-dir", "xtask/fuzz", "--target-dir", "target/fuzz", "--sanitizer", "none"];
    let limits =
        [format!("-max_total_time={seconds}"), "-max_len=4096".to_owned(), format!("-artifact_prefix={found}")];
    let run = cargo(&shell).args(words).args(["properties", &corpus]).arg(seeds).arg("--").args(limits);
    // Cargo says that of a program and not of a library.
    Ok(run.env("FUZZ_TARGET", target).env("CARGO_BIN_NAME", "xtask").run()?)
}
