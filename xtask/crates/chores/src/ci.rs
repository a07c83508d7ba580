//! Everything that must hold before a change lands, on a machine with Rust and Node: format, clippy, and the README's two commands.

use anyhow::Result;
use chores::{setup, shell};
use xshell::{Shell, cmd};

pub fn run() -> Result<()> {
    let shell = shell()?;
    step("what the tests need");
    setup::system_programs()?;
    step("format");
    cmd!(shell, "cargo fmt --check").run()?;
    step("clippy");
    cmd!(shell, "cargo clippy --workspace --all-targets --locked -- -D warnings").run()?;
    step("the README's first command, as from a bare clone");
    forget_packages(&shell)?;
    cmd!(shell, "cargo xtask drill --sandbox").run()?;
    cmd!(shell, "cargo xtask sandbox down").run()?;
    step("the README's second command, as from a bare clone");
    forget_packages(&shell)?;
    Ok(cmd!(shell, "cargo test").run()?)
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
