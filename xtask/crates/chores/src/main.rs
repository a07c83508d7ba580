//! `cargo chore`: what developers run. Not a part of what users get.

#![allow(clippy::disallowed_methods, reason = "the module rules are for the program that users run")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "benchmarks and CI print")]

mod bench;
mod ci;
mod libfuzzer;
mod picture;
mod sbom;
mod soak;

use anyhow::Result;
use chores::{cargo, shell};
use clap::Parser;

#[derive(Parser)]
#[command(name = "cargo chore", bin_name = "cargo chore", about = "What developers of the drill run")]
enum Chore {
    /// Measure, and print the ratio to what else does the same
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Everything that must hold before a change lands
    Ci,
    /// The tables of tests that CI has no time for; an hour on two cores
    CiLong,
    Soak(soak::Options),
    /// Let libFuzzer look for inputs for which a target's property does not hold; needs nightly and cargo-fuzz
    Fuzz {
        /// The name of a folder in xtask/fuzz/seeds
        target: String,
        #[arg(long, default_value_t = 60)]
        seconds: u32,
    },
    /// Run the README's first command in a clone where nothing ran, and draw what it prints: docs/drill.svg
    Picture,
    /// Write what is in a release as CycloneDX, into target/sbom; needs cargo-cyclonedx
    Sbom,
    /// Write docs/cli.md again, from what `--help` says
    Docs,
}

fn main() -> Result<()> {
    match Chore::parse() {
        Chore::Bench(bench) => bench.run(),
        Chore::Ci => ci::run(),
        Chore::CiLong => ci::long(),
        Chore::Soak(soak) => soak.run(),
        Chore::Fuzz { target, seconds } => libfuzzer::run(&target, seconds),
        Chore::Picture => picture::write(&shell()?),
        Chore::Sbom => sbom::run(),
        Chore::Docs => docs(),
    }
}

fn docs() -> Result<()> {
    let shell = shell()?;
    let tests = [
        ["--test", "it", "--", "docs::the_command_line_reference_is_what_help_says"].as_slice(),
        &["--bins", "--", "causes::page::tests::every_page_is_what_the_table_says_and_there_is_no_other"],
    ];
    for test in tests {
        cargo(&shell).args(["test", "--package", "xtask"]).args(test).env("UPDATE_DOCS", "1").run()?;
    }
    Ok(())
}
