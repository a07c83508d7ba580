//! What a run stands in: environment, folders, modes, names, clock, git, other runs beside it. Disks that are full or read-only are mounts that only
//! the test's own processes see, so this needs leave to mount: root, as in CI.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use chores::reliability::Table;
use chores::setup;

use crate::aftermath::{Held, Stand, is, within};
use crate::project::{Answer, Project};
use crate::server;

/// `nobody`, as which the tests' own servers run.
const NOBODY: u32 = 65534;

#[test]
fn a_run_ends_in_order_wherever_it_stands() {
    let about = "Each run, and the next command after it, leaves what a signal leaves (signals-forward.md): no process, session, lock or temporary folder, a closed record, \
        evidence that verifies, every row. A mount that only the run sees makes a disk full or read-only.";
    let mut table = Table::new("surroundings", about, "a_run_ends_in_order_wherever_it_stands", &["what", "then"]);
    let stand = Stand::new("surroundings");
    environment(&stand, &mut table);
    disks(&stand, &mut table);
    names_and_clocks(&stand, &mut table);
    together(&mut table);
    table.hold();
}

fn environment(stand: &Stand, table: &mut Table) {
    let without = |name: &str| {
        let mut command = stand.project.command(&["forward"]);
        command.env_remove(name);
        command
    };
    let forward = |mut command: Command, code: i32, says: &str| stand.ends(&mut command, &["forward"], code, says);
    table.row(["no HOME", "0"], forward(without("HOME"), 0, ""));
    let mut command = stand.project.command(&["forward"]);
    command.env("HOME", "/nowhere/at/all");
    table.row(["a HOME that is not there", "0"], forward(command, 0, ""));
    table.row(["no TMPDIR", "0"], forward(without("TMPDIR"), 0, ""));
    let mut command = stand.project.command(&["mirror"]);
    let held = stand.ends(command.env("TMPDIR", "/nowhere/at/all"), &["mirror"], 4, "/nowhere/at/all");
    table.row(["a TMPDIR that is not there", "`mirror` 4, naming it"], held);
    table.row(["no PATH", "4, naming Node"], forward(without("PATH"), 4, "node"));
    table.row(["no git", "0, the record has no commit"], stand.without_git());
    table.row(["a repository that git does not trust", "0, the record has no commit"], stand.with_git(NOBODY, false));
    table.row(["a repository of ours", "0, the record has its commit"], stand.with_git(0, true));
    for umask in ["000", "077"] {
        let then = "0; rows, sums of values and the sandbox's data are for their owner alone";
        table.row([&format!("umask {umask}"), then], with_umask(umask));
    }
}

fn disks(stand: &Stand, table: &mut Table) {
    let full = |folder: &str, size: &str, args: &[&str], code: i32| {
        stand.mounted(folder, &format!("tmpfs -o size={size}"), args, code)
    };
    let held = full("feedback/evidence", "4k", &["forward"], 1);
    table.row(["evidence: its disk is full", "1"], held);
    let then = "1 or 4";
    table.row(["a log: its disk fills up", then], stand.full_while_it_runs());
    let held = full(".drill/snapshots", "8k", &["reset", "--confirm"], 4);
    table.row(["a snapshot: its disk is full", "4"], held);
    table.row(["`TMPDIR`: its disk is full", "the mirror is 4 or 1, and says so"], stand.full_tmpdir());
    table.row(["a read-only checkout", "4"], stand.mounted("", "ro", &["forward"], 4));
}

fn names_and_clocks(stand: &Stand, table: &mut Table) {
    for name in NAMES {
        let what = format!("a folder named `{}`", name.escape_debug());
        table.row([&what, "0, drill on staging with the mirror"], in_a_folder(name));
    }
    for (what, clock) in [("ten years ahead", "+3650d"), ("thirty days behind", "-30d")] {
        table.row([&format!("a clock that is {what}, in a reset"), "0"], stand.at_a_time(clock));
    }
    let what = "a clock that jumps a day back, and a year ahead, while a drill lasts";
    table.row([what, "0"], stand.jumping());
}

fn together(table: &mut Table) {
    table.row(["two drills on one target", "one 0, the other 4: another run is at work"], two_on_one());
    let then = "0 and 0, one chain, both entries in the feedback file";
    table.row(["two drills on two targets, one project", then], two_on_two());
    let what = "four runs at once that write the same feedback file, three times";
    table.row([what, "each entry is there, whole"], four_at_once());
    table.row(["a whole drill in the sandbox, as a user who is not root", "0"], as_nobody());
}

const NAMES: [&str; 5] = ["it's \"here\"", "ünï 日本", "a\nnew line", "$HOME `id` & ;", "-rf"];

impl Stand {
    /// Expects that code and that text, and looks at all that it leaves and at the next command.
    fn ends(&self, command: &mut Command, args: &[&str], code: i32, says: &str) -> Held {
        let seen = self.runs();
        let answer = Project::answer(command);
        is(answer.code == code, || format!("it ended with {}: {}", answer.code, answer.failure()))?;
        is(answer.stderr.contains(says), || format!("it does not say `{says}`: {}", answer.failure()))?;
        self.right_after(&answer, &seen)?;
        self.follow(&answer, &args.join(" "))?;
        self.rows_back()?;
        self.at_the_end()
    }

    fn newest(&self) -> serde_json::Value {
        self.runs().last().and_then(|run| self.record(run)).unwrap_or_default()
    }

    /// A PATH of Node alone, and of what starts servers.
    fn without_git(&self) -> Held {
        let bin = self.project.path("bin");
        fs::create_dir_all(&bin).unwrap();
        for program in ["node", "unshare", "sh"] {
            let found = which(program);
            let _ = std::os::unix::fs::symlink(found, bin.join(program));
        }
        let mut command = self.project.command(&["forward"]);
        let seen = self.runs();
        let answer = Project::answer(command.env("PATH", &bin));
        is(answer.code == 0, || answer.failure())?;
        is(self.newest()["git"].is_null(), || "a commit without git".to_owned())?;
        self.right_after(&answer, &seen)?;
        self.at_the_end()
    }

    fn with_git(&self, owner: u32, known: bool) -> Held {
        let git = |words: &[&str]| {
            let mut git = Command::new("git");
            git.args(["-c", "user.name=a", "-c", "user.email=a@b.example", "-c", "safe.directory=*"]).args(words);
            assert!(
                git.current_dir(self.project.path("")).stdout(Stdio::null()).status().unwrap().success(),
                "{words:?}"
            );
        };
        git(&["init", "-q"]);
        git(&["add", "package.json"]);
        git(&["commit", "-q", "-m", "one"]);
        for path in ["", ".git"] {
            chown(self.project.path(path), Some(owner), Some(owner)).unwrap();
        }
        let held = self.ends(&mut self.project.command(&["forward"]), &["forward"], 0, "");
        let commit = self.newest()["git"].clone();
        chown(self.project.path(""), Some(0), Some(0)).unwrap();
        fs::remove_dir_all(self.project.path(".git")).unwrap();
        held.and_then(|()| is(commit.is_null() != known, || format!("git: {commit}")))
    }

    /// In a namespace of its own in which `what` is mounted on that folder of the project: `ro` for the folder itself.
    fn in_mount(&self, folder: &str, what: &str, args: &[&str]) -> Command {
        let folder = self.project.path(folder);
        fs::create_dir_all(&folder).unwrap();
        let mount = match what {
            "ro" => "mount --bind \"$ON\" \"$ON\" && mount -o remount,bind,ro \"$ON\"".to_owned(),
            what => format!("cp -a \"$ON\" \"$KEPT\" && mount -t {what} none \"$ON\""),
        };
        let inner = self.project.command(args);
        let mut command = Command::new("unshare");
        // The folder as it is now: a mount does not change where a process stands.
        command.args(["--mount", "--", "sh", "-c", &format!("{mount} && cd \"$WHERE\" && exec \"$0\" \"$@\"")]);
        command.arg(inner.get_program()).args(inner.get_args());
        command.env_clear().envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let kept = tempfile::tempdir().unwrap().keep();
        command.env("ON", &folder).env("KEPT", kept).env("WHERE", self.project.path("")).current_dir("/");
        command
    }

    fn mounted(&self, folder: &str, what: &str, args: &[&str], code: i32) -> Held {
        self.ends(&mut self.in_mount(folder, what, args), args, code, "error: ")
    }

    /// The evidence has room for the first files of a run.
    fn full_while_it_runs(&self) -> Held {
        for size in ["24k", "40k", "64k"] {
            let seen = self.runs();
            let mut command = self.in_mount("feedback/evidence", &format!("tmpfs -o size={size}"), &["mirror"]);
            let answer = Project::answer(&mut command);
            is([1, 4].contains(&answer.code), || {
                format!("{size}: it ended with {}: {}", answer.code, answer.failure())
            })?;
            self.right_after(&Answer { code: answer.code, ..answer }, &seen)?;
        }
        let again = self.project.run(&["mirror"]);
        is(again.code == 0, || again.failure())?;
        self.at_the_end()
    }

    fn full_tmpdir(&self) -> Held {
        let seen = self.runs();
        let mut command = self.in_mount("tmp", "tmpfs -o size=4k,nr_inodes=2", &["mirror"]);
        let answer = Project::answer(&mut command);
        is([1, 4].contains(&answer.code), || format!("it ended with {}: {}", answer.code, answer.failure()))?;
        is(answer.failure().contains("No space left"), || answer.failure())?;
        self.right_after(&answer, &seen)?;
        self.follow(&answer, "mirror")?;
        self.at_the_end()
    }

    fn at_a_time(&self, offset: &str) -> Held {
        let library = setup::faketime();
        let reset = ["reset", "--confirm"];
        let mut command = self.project.command(&reset);
        command.env("LD_PRELOAD", library).env("FAKETIME", offset).env("DONT_FAKE_MONOTONIC", "1");
        self.ends(&mut command, &reset, 0, "")
    }

    /// The clock is read from a file, which changes while the run lasts.
    fn jumping(&self) -> Held {
        let file = self.project.path("clock");
        fs::write(&file, "+0d").unwrap();
        let mut command = self.project.command(&["drill", "--accept-data-loss"]);
        command.env("LD_PRELOAD", setup::faketime()).env("FAKETIME_TIMESTAMP_FILE", &file);
        command
            .env("FAKETIME_NO_CACHE", "1")
            .env("DONT_FAKE_MONOTONIC", "1")
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let seen = self.runs();
        let mut child = command.spawn().unwrap();
        let mut jumps = ["-1d", "+365d", "+0d"].into_iter().cycle();
        while child.try_wait().unwrap().is_none() {
            std::thread::sleep(std::time::Duration::from_millis(300));
            let next = file.with_extension("next");
            fs::write(&next, jumps.next().unwrap()).unwrap();
            fs::rename(&next, &file).unwrap();
        }
        let answer = Project::answered(child);
        is(answer.code == 0, || format!("it ended with {}: {}", answer.code, answer.failure()))?;
        self.right_after(&answer, &seen)?;
        self.at_the_end()
    }
}

fn with_mirror(project: &Project) {
    let script = "supabase/sql/analytics_facts_table.sql";
    fs::copy(server::workspace().join(script), project.path(script)).unwrap();
}

fn which(program: &str) -> PathBuf {
    let path = std::env::var("PATH").unwrap();
    let found = path.split(':').map(|folder| Path::new(folder).join(program)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{program} is on PATH"))
}

/// Files below `folder` that others may read, write or enter.
fn open_to_others(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let mode = entry.metadata().unwrap().permissions().mode();
        if mode & 0o077 != 0 {
            found.push(format!("{} {:o}", entry.path().display(), mode & 0o777));
        } else if entry.path().is_dir() {
            found.extend(open_to_others(&entry.path()));
        }
    }
    found
}

/// A drill in the sandbox that ends in its mirror, so that what a resumed one would need is there.
fn with_umask(umask: &str) -> Held {
    let project = Project::new();
    project.write("supabase/sql/analytics_facts_table.sql", "select 1 / 0;\n");
    let mut command =
        project.shell(&format!("umask {umask}; exec \"$@\""), &["drill", "--sandbox", "--accept-data-loss"]);
    let answer = Project::answer(&mut command);
    is(answer.code == 1, || format!("it ended with {}: {}", answer.code, answer.failure()))?;
    let values = project.path(".drill/values");
    is(fs::read_dir(&values).is_ok_and(|values| values.count() == 1), || "no sums of values".to_owned())?;
    let mut open = open_to_others(&project.path(".drill/snapshots"));
    open.extend(open_to_others(&values));
    let sandbox = project.path(".drill/sandbox");
    open.extend(open_to_others(&sandbox).into_iter().filter(|path| !path.contains("/sandbox/lock ")));
    is(open.is_empty(), || format!("open to others: {open:?}"))?;
    with_mirror(&project);
    let resumed = project.run(&["drill", "--sandbox", "--resume"]);
    is(resumed.code == 0, || resumed.failure())?;
    let verified = project.run(&["evidence", "verify", "--sandbox"]);
    is(verified.code == 0, || verified.stdout)
}

/// A project in a folder of that name, which the drill is told of by where it stands.
fn in_a_folder(name: &str) -> Held {
    let stand = Stand::new("surroundings_folder");
    let folder = stand.project.path("beside").join(name);
    fs::create_dir_all(folder.parent().unwrap()).unwrap();
    let (from, to) = (stand.project.path(""), folder.clone());
    fs::create_dir(&to).unwrap();
    for entry in fs::read_dir(&from).unwrap().flatten().filter(|entry| entry.file_name() != "beside") {
        let copy = Command::new("cp").arg("-a").arg("--").arg(entry.path()).arg(&to).status().unwrap();
        assert!(copy.success());
    }
    let mut command = stand.project.command(&["drill", "--accept-data-loss", "--json"]);
    let answer = Project::answer(command.current_dir(&folder));
    is(answer.code == 0, || format!("it ended with {}: {}", answer.code, answer.failure()))?;
    let evidence = folder.join(answer.json()["evidence"].as_str().unwrap_or_default());
    is(evidence.join("run.json").is_file(), || format!("no record in {}", evidence.display()))?;
    stand.no_process_is_left()?;
    stand.no_session_is_left()?;
    let verified = Project::answer(stand.project.command(&["evidence", "verify"]).current_dir(&folder));
    is(verified.code == 0, || verified.stdout)?;
    stand.rows_are_there()
}

fn two_on_one() -> Held {
    let stand = Stand::new("surroundings_one");
    let both =
        [stand.project.start(&["drill", "--accept-data-loss"]), stand.project.start(&["drill", "--accept-data-loss"])];
    let mut answers = both.map(Project::answered);
    answers.sort_by_key(|answer| answer.code);
    let codes = [answers[0].code, answers[1].code];
    is(codes == [0, 4], || format!("they ended with {codes:?}: {}", answers[1].failure()))?;
    is(answers[1].stderr.contains("another run of the drill is at work"), || answers[1].failure())?;
    stand.no_process_is_left()?;
    stand.no_session_is_left()?;
    stand.at_the_end()
}

/// Another target of `stand`'s project, in a database of its own.
fn add_target(stand: &Stand, name: &str) {
    let database = server::shared().database("surroundings_more");
    database.grant_supabase_roles();
    stand.project.write(&format!(".env.{name}"), &format!("DATABASE_URL={}\n", database.url()));
    let toml = stand.project.read("drill.toml");
    let target = format!(
        "\n[targets.{name}]\nenv_file = \".env.{name}\"\nallow_hosts = [\"127.0.0.1\"]\nallow_databases = [\"*_test\"]\n"
    );
    stand.project.write("drill.toml", &format!("{toml}{target}"));
    stand.project.run(&["claim", "--confirm", &database.name, "--target", name]).expect(0);
}

fn two_on_two() -> Held {
    let stand = Stand::new("surroundings_two");
    add_target(&stand, "preview");
    let drill = ["drill", "--accept-data-loss"];
    let both = [stand.project.start(&drill), stand.project.start(&[&drill[..], &["--target", "preview"]].concat())];
    for answer in both.map(Project::answered) {
        is(answer.code == 0, || format!("it ended with {}: {}", answer.code, answer.failure()))?;
    }
    stand.no_process_is_left()?;
    entries_are_whole(&stand)?;
    stand.at_the_end()
}

fn four_at_once() -> Held {
    let stand = Stand::new("surroundings_four");
    let names = ["one", "two", "three", "four"];
    names.iter().for_each(|name| add_target(&stand, name));
    for _ in 0..3 {
        let all = names.map(|name| stand.project.start(&["forward", "--target", name]));
        for answer in all.map(Project::answered) {
            is(answer.code == 0, || format!("it ended with {}: {}", answer.code, answer.failure()))?;
        }
        entries_are_whole(&stand)?;
    }
    stand.at_the_end()
}

/// Each run that is no claim has an entry in one of the feedback files.
fn entries_are_whole(stand: &Stand) -> Held {
    let text: String = ["deployment", "data", "qa"]
        .iter()
        .filter_map(|name| fs::read_to_string(stand.project.path(&format!("feedback/{name}.md"))).ok())
        .collect();
    for run in stand.runs() {
        let name = run.file_name().unwrap().to_string_lossy().into_owned();
        let links = text.lines().filter(|line| line.starts_with("- evidence: ") && line.contains(&name)).count();
        is(links == 1, || format!("{name} has {links} entries"))?;
    }
    Ok(())
}

/// The binary and the packages are where everybody may read them; the project is this user's.
fn as_nobody() -> Held {
    let project = Project::new();
    with_mirror(&project);
    let owned =
        Command::new("chown").args(["-R", "--no-dereference", "nobody"]).arg(project.path("")).status().unwrap();
    assert!(owned.success());
    let inner = project.command(&["drill", "--sandbox", "--accept-data-loss"]);
    let as_nobody = |inner: &Command| {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"])
            .arg(inner.get_program())
            .args(inner.get_args());
        command
            .env_clear()
            .envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))))
            .current_dir(project.path(""));
        Project::answer(&mut command)
    };
    let answer = as_nobody(&inner);
    is(answer.code == 0, || format!("it ended with {}: {}", answer.code, answer.failure()))?;
    let verified = as_nobody(&project.command(&["evidence", "verify", "--sandbox"]));
    is(verified.code == 0, || verified.stdout)?;
    let down = as_nobody(&project.command(&["sandbox", "down"]));
    is(down.code == 0, || down.failure())?;
    within(std::time::Duration::from_secs(10), || project.programs().is_empty())
        .map_err(|()| format!("{:?}", project.programs()))
}
