//! Everything that must hold before a change lands, on a machine with Rust and Node: format, clippy, and the README's two commands, of which the
//! first prints what its picture shows.

use anyhow::Result;
use chores::{cargo, pg_dump, setup, shell};
use xshell::Shell;

use crate::picture;

/// The feature that has them built.
const LONG: &str = "xtask/long";

pub fn run() -> Result<()> {
    let shell = shell()?;
    step("what the tests need");
    setup::system_programs()?;
    step("format");
    cargo(&shell).args(["fmt", "--check"]).run()?;
    step("clippy");
    cargo(&shell)
        .args(["clippy", "--workspace", "--all-targets", "--features", LONG, "--locked", "--", "-D", "warnings"])
        .run()?;
    step("the README's first command, as from a bare clone");
    forget_packages(&shell)?;
    picture::compare(&shell)?;
    cargo(&shell).args(["xtask", "sandbox", "down"]).run()?;
    step("the README's second command, as from a bare clone");
    forget_packages(&shell)?;
    // Many tests wait, for servers and for time to pass: two of them leave two cores idle half of it.
    Ok(cargo(&shell).args(["test"]).env("RUST_TEST_THREADS", "4").run()?)
}

/// Tests that start Prisma hundreds of times, and would not fit CI's time.
pub fn long() -> Result<()> {
    step("what the tests need");
    setup::system_programs()?;
    println!("{} is the judge of what comes back", pg_dump::find()?.display());
    let shell = shell()?;
    step("inputs that nobody meant to write, others than those of CI");
    let packages = ["--package", "xtask", "--package", "pin", "--package", "redact"];
    cargo(&shell)
        .arg("test")
        .args(packages)
        .args(["--lib", "--bins", "--", "surprise"])
        .env("FUZZ_TIMES", "20")
        .run()?;
    step("the tables");
    let tests = cargo(&shell).args(["test", "--package", "xtask", "--features", LONG, "--test", "long"]);
    Ok(tests.env("RUST_TEST_THREADS", "3").run()?)
}

fn step(name: &str) {
    println!("\n== {name}");
}

fn forget_packages(shell: &Shell) -> Result<()> {
    for folder in ["node_modules", "xtask/tests/clients/node_modules"] {
        shell.remove_path(folder)?;
    }
    Ok(())
}
