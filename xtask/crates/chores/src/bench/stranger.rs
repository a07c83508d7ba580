use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use chores::embedded::postgres;
use chores::{shell, told_by_cargo};
use xshell::cmd;

/// A stranger's hour: clone, drill, point at a staging on loopback, break it in seven ways, and mend it by pasting every hint
///
/// What no shell can do is done as the sentence says it; what is pasted is the line behind `hint:`, or behind `fix:` of `doctor`, to the letter. It
/// ends with 0 where everything is well again, and prints what was typed, what was pasted and how long each took.
#[derive(clap::Args)]
pub struct Options {
    /// Build into this folder, which may have been built into before [default: an empty one]
    #[arg(long)]
    target_dir: Option<PathBuf>,
}

const ROLE: &str = "stranger";
const PASSWORD: &str = "Strangers-0wn";
const DATABASE: &str = "shop_staging";
const STRICT: &str = "prisma/postgres/migrations/20991231000000_strict";

impl Options {
    pub fn run(&self) -> Result<()> {
        let folder = shell()?.create_temp_dir()?;
        let hour = Hour::begin(folder.path(), self.target_dir.clone())?;
        let staging = Staging::start(folder.path())?;
        hour.sandbox()?;
        hour.points_at(&staging)?;
        hour.breaks_it(&staging)?;
        println!("green after {:.0} s; {} lines pasted", hour.begun.elapsed().as_secs_f64(), hour.pasted.get());
        Ok(())
    }
}

struct Hour {
    clone: PathBuf,
    target_dir: PathBuf,
    begun: Instant,
    pasted: std::cell::Cell<usize>,
}

impl Hour {
    fn begin(folder: &Path, target_dir: Option<PathBuf>) -> Result<Hour> {
        let clone = folder.join("a stranger's clone");
        let shell = shell()?;
        cmd!(shell, "git clone --quiet . {clone}").quiet().run()?;
        let target_dir = target_dir.unwrap_or_else(|| folder.join("target"));
        Ok(Hour { clone, target_dir, begun: Instant::now(), pasted: 0.into() })
    }

    /// The README's first command.
    fn sandbox(&self) -> Result<()> {
        self.green("cargo xtask drill --sandbox")?;
        self.green("cargo xtask sandbox down")
    }

    fn points_at(&self, staging: &Staging) -> Result<()> {
        let said = self.red("cargo xtask forward", 4)?;
        self.paste(&said)?;
        self.edit(".env.staging", |_| staging.env_file())?;
        let said = self.red("cargo xtask forward", 3)?;
        let host = between(&said, "add \"", "\" to `allow_hosts`")?;
        self.edit("drill.toml", |text| text.replace("allow_hosts = [", &format!("allow_hosts = [\"{host}\", ")))?;
        self.green("cargo xtask forward")?;
        // Found before anything breaks: others can read the file.
        let said = self.green("cargo xtask doctor").and_then(|()| self.said("cargo xtask doctor"))?.1;
        self.paste(&said)
    }

    fn breaks_it(&self, staging: &Staging) -> Result<()> {
        println!("# 1: a database that nobody has claimed");
        self.mended_by_hints("cargo xtask reset --confirm", 3)?;
        println!("# 2: no packages");
        fs::remove_dir_all(self.clone.join("node_modules"))?;
        self.mended_by_hints("cargo xtask forward", 4)?;
        println!("# 3: rows that a migration does not fit");
        self.ask(staging, "insert into \"Session\" (id, shop, state, \"accessToken\") values ('a', 'b', 'c', 'd')")?;
        fs::create_dir(self.clone.join(STRICT))?;
        let strict = format!("{STRICT}/migration.sql");
        fs::write(self.clone.join(&strict), "ALTER TABLE \"Session\" ALTER COLUMN \"email\" SET NOT NULL;\n")?;
        let said = self.red("cargo xtask forward", 1)?;
        self.paste(&said)?;
        self.edit(&strict, |sql| format!("UPDATE \"Session\" SET \"email\" = '' WHERE \"email\" IS NULL;\n{sql}"))?;
        self.green("cargo xtask forward")?;
        println!("# 4: rows that the way back would drop");
        let back = "cargo xtask backward --steps 2";
        let said = self.red(back, 3)?;
        self.paste(&said)?;
        let flag = between(&said, "fix: add ", ":")?;
        self.green(&format!("{back} {flag}"))?;
        self.green("cargo xtask forward")?;
        println!("# 5: a reset that is killed");
        self.killed("cargo xtask reset --confirm")?;
        self.until_green("cargo xtask reset --confirm")?;
        println!("# 6: rows that are gone");
        let said = self.red("cargo xtask restore", 3)?;
        self.paste(&said)?;
        println!("# 7: the server is down");
        drop(staging.server.borrow_mut().take());
        let said = self.red("cargo xtask forward", 4)?;
        ensure!(said.contains("start the server"), "{said}");
        staging.serve()?;
        self.green("cargo xtask drill --no-mirror --accept-data-loss")?;
        self.green("cargo xtask status")?;
        self.green("cargo xtask evidence verify")
    }

    /// Ends with `code` once, and with 0 after every hint was pasted.
    fn mended_by_hints(&self, typed: &str, code: i32) -> Result<()> {
        let said = self.red(typed, code)?;
        self.paste(&said)?;
        self.until_green(typed)
    }

    /// Pastes what it says until it ends with 0.
    fn until_green(&self, typed: &str) -> Result<()> {
        for _ in 0..5 {
            let (code, said) = self.said(typed)?;
            if code == 0 {
                return Ok(());
            }
            self.paste(&said)?;
        }
        bail!("`{typed}` is not green after five hints")
    }

    fn green(&self, typed: &str) -> Result<()> {
        let (code, said) = self.said(typed)?;
        ensure!(code == 0, "`{typed}` ended with {code}:\n{said}");
        Ok(())
    }

    fn red(&self, typed: &str, expected: i32) -> Result<String> {
        let (code, said) = self.said(typed)?;
        ensure!(code == expected, "`{typed}` ended with {code} instead of {expected}:\n{said}");
        Ok(said)
    }

    fn paste(&self, said: &str) -> Result<()> {
        let hint = hint(said).with_context(|| format!("no line to paste in\n{said}"))?;
        self.pasted.set(self.pasted.get() + 1);
        let (code, said) = self.said(hint)?;
        ensure!(code == 0, "the hint `{hint}` ended with {code}:\n{said}");
        Ok(())
    }

    /// What a shell answers in the clone.
    fn said(&self, typed: &str) -> Result<(i32, String)> {
        let begun = Instant::now();
        let output = self.shell(&format!("{typed}\n")).stdin(Stdio::null()).output()?;
        let code = output.status.code().context("ended by a signal")?;
        println!("{:7.1} s  {code}  $ {typed}", begun.elapsed().as_secs_f64());
        Ok((code, String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()))
    }

    fn shell(&self, script: &str) -> Command {
        let mut bash = Command::new("bash");
        bash.args(["-c", script]).current_dir(&self.clone).env("CARGO_TARGET_DIR", &self.target_dir);
        for name in told_by_cargo() {
            bash.env_remove(name);
        }
        bash
    }

    fn edit(&self, file: &str, change: impl FnOnce(String) -> String) -> Result<()> {
        let path = self.clone.join(file);
        println!("            edit {file}");
        Ok(fs::write(&path, change(fs::read_to_string(&path)?))?)
    }

    fn killed(&self, typed: &str) -> Result<()> {
        let mut child = self.shell(&format!("exec {typed}")).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        std::thread::sleep(Duration::from_millis(1_300));
        let ended = child.try_wait()?.is_some();
        child.kill()?;
        child.wait()?;
        println!("            kill -9 `{typed}`{}", if ended { ", which had ended" } else { "" });
        Ok(())
    }

    /// As the staging's owner, with the driver that the project has.
    fn ask(&self, staging: &Staging, sql: &str) -> Result<()> {
        let script = "const { Client } = require('pg'); const c = new Client(process.argv[1]); \
                      c.connect().then(() => c.query(process.argv[2])).then(() => c.end())";
        let mut node = Command::new("node");
        node.args(["-e", script, &staging.url(), sql]).current_dir(&self.clone);
        ensure!(node.status()?.success(), "`{sql}` failed");
        Ok(())
    }
}

/// The first line that can be pasted.
fn hint(said: &str) -> Option<&str> {
    let lines = || said.lines().map(str::trim);
    let of_doctor = lines().filter_map(|line| line.strip_prefix("fix: ")).find(|fix| fix.starts_with("chmod "));
    lines().find_map(|line| line.strip_prefix("hint: ")).or(of_doctor)
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Result<&'a str> {
    let rest = text.split_once(before).and_then(|(_, rest)| rest.split_once(after));
    Ok(rest.with_context(|| format!("no `{before}…{after}` in\n{text}"))?.0)
}

/// A Postgres on loopback that is nobody's but the stranger's.
struct Staging {
    data: PathBuf,
    port: u16,
    server: std::cell::RefCell<Option<Served>>,
}

/// Stopped when it is dropped.
struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        // A fast shutdown (PostgreSQL documentation, "Shutting Down the Server").
        if let Some(pid) = i32::try_from(self.0.id()).ok().and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::INT);
        }
        let _ = self.0.wait();
    }
}

impl Staging {
    fn start(folder: &Path) -> Result<Staging> {
        let data = folder.join("staging");
        let port = chores::ports::free("127.0.0.1")?;
        let options = ["-U", "postgres", "-A", "trust", "--no-sync", "-D"];
        let made = postgres("initdb").args(options).arg(&data).stdout(Stdio::null()).status()?;
        ensure!(made.success(), "initdb failed");
        fs::write(data.join("pg_hba.conf"), "host all all 127.0.0.1/32 scram-sha-256\n")?;
        let staging = Staging { data, port, server: None.into() };
        staging.alone(&format!("create role {ROLE} login createdb password '{PASSWORD}'"))?;
        staging.alone(&format!("create database {DATABASE} owner {ROLE}"))?;
        staging.serve()?;
        Ok(staging)
    }

    /// A statement without a server.
    fn alone(&self, sql: &str) -> Result<()> {
        use std::io::Write;
        let mut single = postgres("postgres");
        single.args(["--single", "-D"]).arg(&self.data).arg("postgres").stdout(Stdio::null()).stdin(Stdio::piped());
        let mut child = single.spawn()?;
        child.stdin.take().context("it was piped")?.write_all(format!("{sql}\n").as_bytes())?;
        ensure!(child.wait()?.success(), "`{sql}` failed");
        Ok(())
    }

    fn serve(&self) -> Result<()> {
        let mut server = postgres("postgres");
        server.arg("-D").arg(&self.data).args(["-p", &self.port.to_string(), "-c", "unix_socket_directories="]);
        let child = server.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        *self.server.borrow_mut() = Some(Served(child));
        let begun = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            ensure!(begun.elapsed() < Duration::from_secs(30), "the staging's Postgres did not start");
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn url(&self) -> String {
        format!("postgresql://{ROLE}:{PASSWORD}@127.0.0.1:{}/{DATABASE}", self.port)
    }

    fn env_file(&self) -> String {
        format!("DATABASE_URL={}\n", self.url())
    }
}
