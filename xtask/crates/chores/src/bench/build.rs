use anyhow::Result;
use chores::{cargo, shell};

use super::samples::Samples;
use super::time;

/// Seconds of a cold build of the drill in an empty target folder, with the crates downloaded before
///
/// The budget is 75 s on 2 cores. On a busy machine it measures the neighbours.
#[derive(clap::Args)]
pub struct Options {
    #[arg(long, default_value_t = 3)]
    runs: usize,
}

impl Options {
    pub fn run(&self) -> Result<()> {
        let shell = shell()?;
        cargo(&shell).args(["fetch", "--quiet", "--locked"]).quiet().run()?;
        let mut took = Samples::default();
        for _ in 0..self.runs {
            let target = shell.create_temp_dir()?;
            let build = cargo(&shell).args(["build", "--quiet", "--package", "xtask", "--locked", "--offline"]).quiet();
            let build = build.env("CARGO_TARGET_DIR", target.path());
            let seconds = time(|| Ok(build.run()?))? / 1e3;
            println!("cold build: {seconds:.1} s");
            took.push(seconds);
        }
        let cores = std::thread::available_parallelism()?;
        println!("median {:.1} s on {cores} cores (budget 75 s on 2)", took.median());
        Ok(())
    }
}
