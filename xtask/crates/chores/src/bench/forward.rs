use anyhow::Result;
use chores::shell;
use xshell::{Shell, cmd};

use super::samples::Samples;
use super::{silently, time, xtask};

/// `forward` with all its checks against the same two Prisma calls run bare, one after the other, on the same sandbox
#[derive(clap::Args)]
pub struct Options {
    /// Pairs
    #[arg(long, default_value_t = 7)]
    runs: usize,
}

impl Options {
    pub fn run(&self) -> Result<()> {
        let shell = shell()?;
        let xtask = xtask(&shell)?;
        let forward = || silently(cmd!(shell, "{xtask} --root . forward --sandbox --quiet"));
        forward()?;
        let url = cmd!(shell, "{xtask} --root . sandbox url").quiet().read()?;
        let bare = || bare(&shell, &url);
        bare()?; // warm both sides once
        let (mut plain, mut drill) = (Samples::default(), Samples::default());
        for _ in 0..self.runs {
            plain.push(time(bare)?);
            drill.push(time(forward)?);
        }
        println!("two Prisma calls, bare: {plain}");
        println!("forward, verified     : {drill}");
        println!("{} ({} pairs; budgets 0.75 and, with nothing pending, 0.50)", drill.ratio_to(&plain), drill.len());
        Ok(())
    }
}

fn bare(shell: &Shell, url: &str) -> Result<()> {
    let prisma = |command: &[&str]| {
        let call = cmd!(shell, "node prisma/engine/prisma.mjs {command...} --config prisma/postgres.config.ts");
        silently(call.env("DATABASE_URL", url))
    };
    prisma(&["generate", "--no-hints"])?;
    prisma(&["migrate", "deploy"])
}
