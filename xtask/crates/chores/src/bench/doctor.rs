use std::net::TcpListener;

use anyhow::{Result, ensure};
use xshell::cmd;

use super::samples::Samples;
use super::scratch::Scratch;
use super::{silently, time};

/// `doctor` on a target that is reached, against one `prisma migrate status`, which answers one of its rows; and on one whose server never answers
#[derive(clap::Args)]
pub struct Options {
    /// Pairs
    #[arg(long, default_value_t = 11)]
    runs: usize,
}

impl Options {
    pub fn run(&self) -> Result<()> {
        let project = Scratch::new("[targets.hangs]\nenv_file = \"hangs.env\"\nallow_hosts = [\"127.0.0.1\"]\n")?;
        silently(project.xtask().args(["forward", "--sandbox", "--quiet"]))?;
        let url = project.sandbox_url()?;
        let shell = &project.shell;
        let doctor = || silently(project.xtask().args(["doctor", "--sandbox"]));
        let status = || {
            let call = cmd!(shell, "node prisma/engine/prisma.mjs migrate status --config prisma/postgres.config.ts");
            silently(call.env("DATABASE_URL", &url))
        };
        doctor()?;
        status()?;
        let [mut doctors, mut statuses, mut hangs] = [(); 3].map(|()| Samples::default());
        for _ in 0..self.runs {
            statuses.push(time(status)?);
            doctors.push(time(doctor)?);
        }
        // Takes connections and says nothing.
        let silent = TcpListener::bind("127.0.0.1:0")?;
        let port = silent.local_addr()?.port();
        shell.write_file("hangs.env", format!("DATABASE_URL=postgresql://a@127.0.0.1:{port}/a_test\n"))?;
        for _ in 0..3 {
            let output = project.xtask().args(["doctor", "--target", "hangs"]).ignore_status();
            let took = time(|| {
                let said = String::from_utf8(output.output()?.stdout)?;
                ensure!(said.contains("server-hangs"), "{said}");
                Ok(())
            })?;
            hangs.push(took);
        }
        println!("prisma migrate status: {statuses}");
        println!("doctor               : {doctors} (budget 1500)");
        println!("{} ({} pairs)", doctors.ratio_to(&statuses), doctors.len());
        println!("doctor, silent server: {hangs} (budget 5000 at most)");
        Ok(())
    }
}
