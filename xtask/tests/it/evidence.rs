//! Evidence that can be trusted: what was recorded is what is there, and whatever was changed since is found.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use chores::setup;
use regex::Regex;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::interrupt::await_statement;
use crate::project::{Answer, Project, stop};
use crate::record_schema::complaint;

const DIR: &str = "feedback/evidence";

/// A run that leaves evidence, and needs no server for it: the guard refuses its target. Returns its name.
pub fn refused(project: &Project) -> String {
    name(&project.command_refused().output().unwrap().stdout)
}

fn name(stdout: &[u8]) -> String {
    let json: Value = serde_json::from_slice(stdout).unwrap();
    json["evidence"].as_str().unwrap().rsplit('/').next().unwrap().to_owned()
}

impl Project {
    fn command_refused(&self) -> std::process::Command {
        self.write("production.env", "DATABASE_URL=postgresql://u:Sup3r-S3cret-Pw@db.hotdash.app:5432/hotdash\n");
        self.command(&["forward", "--json", "--env-file", "production.env"])
    }

    pub fn run_folder(&self, run: &str) -> PathBuf {
        self.path(DIR).join(run)
    }

    pub fn record(&self, run: &str) -> Value {
        serde_json::from_slice(&fs::read(self.run_folder(run).join("run.json")).unwrap()).unwrap()
    }

    pub fn verify(&self, code: i32) -> Answer {
        self.run(&["evidence", "verify"]).expect(code)
    }

    /// Each as kind, run and file.
    pub fn findings(&self) -> Vec<(String, String, String)> {
        let json = self.run(&["evidence", "verify", "--json"]).expect(5).json();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let findings = json["verification"]["findings"].as_array().unwrap().iter();
        findings.map(|found| (text(&found["kind"]), text(&found["run"]), text(&found["file"]))).collect()
    }
}

pub fn found(kind: &str, run: &str, file: &str) -> (String, String, String) {
    (kind.to_owned(), run.to_owned(), file.to_owned())
}

/// `text` with `<1>`, `<2>` for the runs and `<time>` for times: what differs from one test to the next.
pub fn steady(text: &str, runs: &[&str]) -> String {
    let mut text = text.to_owned();
    for (index, run) in runs.iter().enumerate() {
        text = text
            .replace(run, &format!("<{}>", index + 1))
            .replace(run.rsplit('-').next().unwrap(), &format!("<{}>", index + 1));
    }
    let time = Regex::new("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z").unwrap();
    let host = rustix::system::uname().nodename().to_str().unwrap().to_owned();
    // Columns are as wide as what is in them, so what varies takes its padding along.
    let text = time.replace_all(&text, "<time>").replace(&host, "<host>");
    Regex::new("(<[0-9a-z]+>|  ) +").unwrap().replace_all(&text, "$1 ").into_owned()
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_flipped_byte_in_any_file_of_any_run_is_found() {
    let (project, database) = Project::on_staging("evidence_flip");
    let runs = [
        name(project.run(&["claim", "--confirm", &database.name, "--json"]).expect(0).stdout.as_bytes()),
        name(project.run(&["forward", "--json"]).expect(0).stdout.as_bytes()),
        refused(&project),
    ];
    project.verify(0);
    let mut flipped = 0;
    for run in &runs {
        for entry in fs::read_dir(project.run_folder(run)).unwrap() {
            let path = entry.unwrap().path();
            let right = fs::read(&path).unwrap();
            for at in [0, right.len() / 2, right.len() - 1] {
                flip(&path, at);
                let file = path.file_name().unwrap().to_str().unwrap();
                // A byte of the run's own name in its record makes it look renamed as well.
                let mut findings = project.findings();
                findings.retain(|finding| *finding != found("renamed", run, ""));
                assert_eq!(findings, [found("changed", run, file)], "byte {at} of {}", path.display());
                flipped += 1;
                fs::write(&path, &right).unwrap();
            }
        }
    }
    assert!(flipped > 30, "{flipped}");
    project.verify(0);
    altered_words_are_found(&project, &runs[1]);
    a_file_without_end_stops_nobody(&project, &runs[1]);
}

/// Of the entry of `run`, which is a forward's: what people read in it is compared, too.
fn altered_words_are_found(project: &Project, run: &str) {
    let file = "feedback/deployment.md";
    let right = project.read(file);
    let at = right.find(&format!("`{DIR}/{run}`")).unwrap();
    let heading = right[..at].rfind("## ").unwrap();
    let end = right[at..].find("\n## ").map_or(right.len(), |end| at + end);
    let (before, entry, after) = (&right[..heading], &right[heading..end], &right[end..]);
    let line = |start: &str| entry.lines().find(|line| line.starts_with(start)).unwrap().to_owned();
    let (evidence, row) = (line("- evidence:"), line("| public.Session"));
    let with = |altered: String| {
        project.write(file, &format!("{before}{altered}{after}"));
        altered
    };
    let forgeries = [
        entry.replacen("forward ok", "forward failed", 1),
        entry.replace("127.0.0.1", "10.0.0.1"),
        entry.replace("- applied:", "- taken back:"),
        entry.replace(&row, "| public.Session | - | 7 |"),
        entry.replace(&format!("{row}\n"), ""),
        entry.replace(&row, &format!("{row}\n| public.Forged | 0 | 0 |")),
        entry.replace(&evidence, "- evidence: lost"),
        entry.replace("run.json)", "../evil.json)"),
    ];
    for forged in forgeries {
        let forged = with(forged);
        assert_eq!(project.findings(), [found("changed", run, "")], "{forged}");
    }
    with(entry.replacen("forward ok", "forward failed", 1));
    let said = steady(&project.verify(5).stderr, &[run]);
    insta::assert_snapshot!(said, @r"
    error: the evidence in `feedback/evidence` is not what was recorded
    caused by: the entry of `<1>` in `feedback/deployment.md` was changed: it has `## <time> — forward failed` where the record makes `## <time> — forward ok`
    hint: git log --stat -- feedback/evidence
    ");
    // What people write below it, and how a formatter sets it, is theirs.
    with(format!("{}\nRead by Ana.\n\n- fine\n", entry.replace("|---|", "| :-- |").replace(" | - | ", " |    -  | ")));
    project.verify(0);
    project.write(file, &right);
}

/// 20 GB that take no room on the disk, and would be read for minutes.
fn a_file_without_end_stops_nobody(project: &Project, run: &str) {
    let folder = project.run_folder(run);
    let endless = |name: &str| fs::File::create(folder.join(name)).unwrap().set_len(20 << 30).unwrap();
    let begun = std::time::Instant::now();
    endless("core");
    assert_eq!(project.findings(), [found("added", run, "core")]);
    project.run(&["evidence", "list"]).expect(0);
    project.run(&["evidence", "show", run]).expect(0);
    project.run(&["evidence", "report", run, "--out", project.path("page.html").to_str().unwrap()]).expect(0);
    assert!(project.read("page.html").contains("not read: it is too large"));
    for (name, kind) in
        [("04-migrate-deploy.log", "changed"), ("feedback-entry.md", ""), ("attestation.intoto.json", "missing")]
    {
        let right = fs::read(folder.join(name)).ok();
        endless(name);
        let found: Vec<_> =
            project.findings().into_iter().filter(|(.., file)| file == name).map(|(kind, ..)| kind).collect();
        assert_eq!(found.concat(), kind, "{name}");
        right.map_or_else(|| fs::remove_file(folder.join(name)), |bytes| fs::write(folder.join(name), bytes)).unwrap();
    }
    let record = fs::read(folder.join("run.json")).unwrap();
    endless("run.json");
    assert!(project.findings().contains(&found("changed", run, "run.json")));
    refused(project);
    fs::write(folder.join("run.json"), record).unwrap();
    fs::remove_file(folder.join("core")).unwrap();
    project.verify(0);
    assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
}

#[test]
fn files_that_are_gone_new_or_no_files_are_found() {
    let project = Project::new();
    let runs = [refused(&project), refused(&project)];
    let folder = project.run_folder(&runs[0]);
    fs::write(folder.join("later.txt"), "x").unwrap();
    fs::create_dir(folder.join("down")).unwrap();
    std::os::unix::fs::symlink("run.json", folder.join("down/link")).unwrap();
    fs::remove_file(folder.join("attestation.intoto.json")).unwrap();
    assert_eq!(
        project.findings(),
        [
            found("missing", &runs[0], "attestation.intoto.json"),
            found("added", &runs[0], "down/link"),
            found("added", &runs[0], "later.txt"),
        ]
    );
    let answer = project.verify(5);
    insta::assert_snapshot!(steady(&answer.stderr, &[&runs[0], &runs[1]]), @r"
    error: the evidence in `feedback/evidence` is not what was recorded
    caused by: `<1>/attestation.intoto.json` was removed after the run was closed at <time>
    caused by: `<1>/down/link` was added after the run was closed at <time>
    caused by: `<1>/later.txt` was added after the run was closed at <time>
    hint: git log --stat -- feedback/evidence
    ");
    // A pipe that nobody writes to would be waited for.
    let status = std::process::Command::new("mkfifo").arg(folder.join("attestation.intoto.json")).status().unwrap();
    assert!(status.success() && project.findings().contains(&found("added", &runs[0], "attestation.intoto.json")));
    let one = project.run(&["evidence", "verify", &runs[1]]).expect(0);
    insta::assert_snapshot!(steady(&one.stdout, &[&runs[0], &runs[1]]), @r"
    `<2>`: every file is as its record says
    `<2>`: its record is as `feedback/deployment.md` says
    ");
}

#[test]
fn a_removed_run_is_missed_by_the_next_one_and_by_its_entry() {
    let project = Project::new();
    let runs = [refused(&project), refused(&project), refused(&project)];
    for run in &runs {
        let folder = project.run_folder(run);
        fs::rename(&folder, project.path("elsewhere")).unwrap();
        assert_eq!(project.findings(), [found("removed", run, "")]);
        fs::rename(project.path("elsewhere"), &folder).unwrap();
    }
    fs::rename(project.run_folder(&runs[1]), project.path("elsewhere")).unwrap();
    project.run(&["evidence", "verify", &runs[1]]).expect(5);
    project.run(&["evidence", "verify", &runs[0]]).expect(0);
    let answer = project.verify(5);
    insta::assert_snapshot!(steady(&answer.stderr, &[&runs[0], &runs[1], &runs[2]]), @r"
    error: the evidence in `feedback/evidence` is not what was recorded
    caused by: the run `<2>` was removed after <time>; it is named in `<3>` and `feedback/deployment.md`
    hint: git log --stat -- feedback/evidence
    ");
    fs::remove_file(project.path("feedback/deployment.md")).unwrap();
    assert_eq!(project.findings(), [found("removed", &runs[1], "")], "the next run alone still knows it");
    // Of the newest run nobody knows but its entry: who takes both away is not found, as docs/safety.md says.
    fs::rename(project.path("elsewhere"), project.run_folder(&runs[1])).unwrap();
    fs::remove_dir_all(project.run_folder(&runs[2])).unwrap();
    project.verify(0);
}

#[test]
fn a_reordered_chain_is_found() {
    let project = Project::new();
    let runs = [refused(&project), refused(&project), refused(&project)];
    let [first, second, third] = [0, 1, 2].map(|index| project.run_folder(&runs[index]));
    // Two folders that changed places.
    let swap = || {
        fs::rename(&first, project.path("elsewhere")).unwrap();
        fs::rename(&second, &first).unwrap();
        fs::rename(project.path("elsewhere"), &second).unwrap();
    };
    swap();
    let findings = project.findings();
    for run in &runs[..2] {
        assert!(findings.contains(&found("renamed", run, "")) && findings.contains(&found("changed", run, "run.json")));
    }
    swap();
    project.verify(0);
    // A link that leads past a run, in a record that fits its own attestation no more.
    let mut record = project.record(&runs[2]);
    record["previous"] = project.record(&runs[1])["previous"].clone();
    fs::write(third.join("run.json"), serde_json::to_string_pretty(&record).unwrap() + "\n").unwrap();
    assert_eq!(project.findings(), [found("changed", &runs[2], "run.json")]);
}

#[test]
fn the_record_of_a_run_without_a_successor_is_vouched_for_by_its_entry() {
    let project = Project::new();
    let runs = [refused(&project), refused(&project)];
    let whole = project.verify(0);
    insta::assert_snapshot!(steady(&whole.stdout, &[&runs[0], &runs[1]]), @r"
    2 runs in `feedback/evidence`: every file is as its record says, and every record is as the run after it says
    `<2>`: its record is as `feedback/deployment.md` says
    ");
    fs::remove_file(project.path("feedback/deployment.md")).unwrap();
    let alone = project.verify(0);
    insta::assert_snapshot!(steady(&alone.stdout, &[&runs[0], &runs[1]]), @r"
    2 runs in `feedback/evidence`: every file is as its record says, and every record is as the run after it says
    `<2>`: nothing outside its own folder vouches for its record
    ");
}

#[test]
fn runs_at_once_are_all_in_the_chain_and_all_in_the_feedback_file() {
    let project = Project::new();
    let children: Vec<_> = (0..8)
        .map(|_| {
            project
                .command_refused()
                .stdout(std::process::Stdio::piped())
                .stderr(std::process::Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    let runs: Vec<String> = children.into_iter().map(|child| name(&child.wait_with_output().unwrap().stdout)).collect();
    let json = project.run(&["evidence", "verify", "--json"]).expect(0).json();
    assert_eq!(json["verification"]["runs"], 8);
    assert_eq!(json["verification"]["ends"].as_array().unwrap().len(), 1, "one after the other, nobody beside");
    let feedback = project.read("feedback/deployment.md");
    for run in &runs {
        assert_eq!(feedback.matches(&format!("`{DIR}/{run}`")).count(), 1, "{feedback}");
    }
}

#[test]
fn branches_that_were_merged_are_followed_both() {
    let project = Project::new();
    let root = refused(&project);
    let ours = refused(&project);
    let aside = project.path("aside");
    fs::rename(project.run_folder(&ours), &aside).unwrap();
    let theirs = refused(&project);
    fs::rename(&aside, project.run_folder(&ours)).unwrap();
    for run in [&ours, &theirs] {
        assert_eq!(project.record(run)["previous"]["run"], *root);
    }
    let forked = project.verify(0).stdout;
    assert!(forked.contains("the chain has 2 ends, as after a merge of branches"), "{forked}");
    let record = project.record(&refused(&project));
    let mut followed = [&record["previous"]["run"], &record["merged"][0]["run"]].map(|run| run.as_str().unwrap());
    followed.sort_unstable();
    let mut both = [ours.as_str(), theirs.as_str()];
    both.sort_unstable();
    assert_eq!(followed, both);
    let joined = project.verify(0).stdout;
    assert!(!joined.contains("ends"), "{joined}");
    fs::remove_dir_all(project.run_folder(&theirs)).unwrap();
    assert_eq!(project.findings(), [found("removed", &theirs, "")]);
}

#[test]
fn a_run_that_was_killed_is_closed_by_the_next_one_and_not_while_it_lives() {
    let (project, database) = Project::on_staging("evidence_kill");
    project.migration("20260101000000_slow", "select pg_sleep(3);");
    let child = project.start(&["forward"]);
    await_statement(&database, "%pg_sleep(3)%");
    let beside = refused(&project);
    let killed =
        fs::read_dir(project.path(DIR)).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let killed = killed.filter(|name| *name != beside).collect::<Vec<_>>().pop().unwrap();
    assert_eq!(project.record(&killed)["status"], "running", "it lives");
    assert!(project.verify(0).stdout.contains(&format!("note: `{killed}` is still running")));
    stop(child, Signal::KILL);

    let list = project.run(&["evidence", "list"]).expect(0).stdout;
    assert!(list.lines().any(|line| line.contains("abandoned") && line.ends_with("not closed")), "{list}");
    assert!(project.verify(0).stdout.contains("was killed before it closed its record"));
    let next = project.command_refused().output().unwrap();
    let said = String::from_utf8(next.stderr).unwrap();
    let next = name(&next.stdout);
    let first = said.lines().next().unwrap();
    assert!(first.starts_with(&format!("note: the run {killed} was ended while ")), "{said}");
    assert!(first.contains("`migrate deploy`") && first.ends_with("its record is now closed as abandoned"), "{said}");
    let record = project.record(&killed);
    assert_eq!(
        (&record["status"], &record["exit_code"], &record["finished_at"]),
        (&json!("abandoned"), &json!(null), &json!(null))
    );
    assert_eq!(record["abandoned"]["closed_by"], *next);
    let steps: Vec<&str> =
        record["stages"][0]["steps"].as_array().unwrap().iter().map(|step| step["status"].as_str().unwrap()).collect();
    assert!(steps.contains(&"abandoned") && !steps.contains(&"running"), "{steps:?}");
    assert!(
        record["files"]["report.html"].is_string() && record["files"]["junit.xml"].is_string(),
        "{}",
        record["files"]
    );
    assert_eq!(record["previous"]["run"], *beside);
    assert_eq!(project.record(&next)["previous"]["run"], *killed);
    assert!(record["files"].as_object().unwrap().contains_key("plan.json"));
    let feedback = project.read("feedback/deployment.md");
    assert!(feedback.contains("— forward abandoned") && feedback.contains(&format!("closed by {next}")), "{feedback}");
    project.verify(0);
    flip(&project.run_folder(&killed).join("plan.json"), 5);
    assert_eq!(project.findings(), [found("changed", &killed, "plan.json")]);
}

#[test]
fn a_folder_with_half_a_run_and_other_things_in_it_is_listed_shown_and_verified() {
    let project = Project::new();
    let empty = project.run(&["evidence", "list"]).expect(0);
    assert_eq!(empty.stdout, format!("no runs in `{DIR}`\n"));
    assert!(project.verify(0).stdout.starts_with("nothing was verified"));
    let runs = [refused(&project), refused(&project), refused(&project)];
    fs::remove_file(project.run_folder(&runs[0]).join("run.json")).unwrap();
    fs::write(project.run_folder(&runs[1]).join("run.json"), "{\"schema\": ").unwrap();
    fs::write(project.path(DIR).join("README.md"), "ours").unwrap();
    fs::create_dir(project.path(DIR).join("20200101T000000Z-forward-000000")).unwrap();
    // Killed while it wrote its first record.
    let begun = project.path(DIR).join("20200101T000000Z-reset-000001");
    fs::create_dir(&begun).unwrap();
    fs::write(begun.join(".run.json.new"), "{\"sch").unwrap();
    let names = [runs[0].as_str(), &runs[1], &runs[2]];
    let findings = project.findings();
    assert!(findings.contains(&found("missing", &runs[0], "run.json")), "{findings:?}");
    assert!(findings.contains(&found("changed", &runs[1], "run.json")), "{findings:?}");
    assert_eq!(findings.len(), 2);
    let list = project.run(&["evidence", "list"]).expect(0);
    // The links that told which of two runs in one second came first are gone.
    let listed = steady(&list.stdout, &names);
    let mut lines: Vec<&str> = listed.lines().collect();
    lines.sort_unstable();
    insta::assert_snapshot!(lines.join("\n"), @"
     000000   -   -   -   -   -   empty
     000001   -   -   -   -   -   empty
     <1> -   -   -   -   -   altered
     <2> -   -   -   -   -   altered
     <3> <time> forward  refused  -   <host> as recorded
     README.md  -   -   -   -   -   no run
     id   started   command  status   target  who  evidence
    `<1>/run.json` is missing; its digest is in `attestation.intoto.json` and `feedback/deployment.md`
    `<2>/run.json` was changed after `<3>`, `attestation.intoto.json` and `feedback/deployment.md` recorded it at <time>
    ");
    let shown = project.run(&["evidence", "show", &runs[0]]).expect(0);
    insta::assert_snapshot!(steady(&shown.stdout, &names), @r"
    evidence: feedback/evidence/<1>, altered
      `<1>/run.json` is missing; its digest is in `attestation.intoto.json` and `feedback/deployment.md`
    ");
    let json = project.run(&["evidence", "list", "--json"]).expect(0).json();
    let states: Vec<&str> = json["runs"].as_array().unwrap().iter().map(|run| run["state"].as_str().unwrap()).collect();
    assert_eq!(states.iter().filter(|state| **state == "unreadable").count(), 4, "{states:?}");
    assert!(states.contains(&"foreign") && states.contains(&"closed"), "{states:?}");
    // The rest of the run is still evidence, and the next run is not stopped.
    refused(&project);
    for run in &runs[..2] {
        fs::remove_dir_all(project.run_folder(run)).unwrap();
    }
}

#[test]
fn a_run_is_shown_by_its_short_id_and_the_newest_without_one() {
    let project = Project::new();
    let runs = [refused(&project), refused(&project)];
    let short = runs[0].rsplit('-').next().unwrap();
    let one = project.run(&["evidence", "show", short]).expect(0);
    insta::assert_snapshot!(steady(&one.stdout, &[&runs[0]]), @r#"
    forward: refused
      time   <time> to <time>
      who   <host>, as the environment said
      tools   drill 0.1.0
    error: `staging` is not provably a staging database
      host: `DATABASE_URL` leads to `db.hotdash.app`, which is not an allowed host of target `staging`
      database: `DATABASE_URL` names the database `hotdash`, which target `staging` does not allow
    hint: correct `DATABASE_URL`; or, if that host is staging, add "db.hotdash.app" to `allow_hosts` in drill.toml
    evidence: feedback/evidence/<1>, as recorded
    "#);
    let json = project.run(&["evidence", "show", &runs[0], "--json"]).expect(0).json();
    assert_eq!(json["run"]["record"], project.record(&runs[0]));
    let ambiguous = project.run(&["evidence", "show", "2"]);
    assert!(ambiguous.code == 2 || short.starts_with('2'), "{}", ambiguous.stderr);
    let json = project.run(&["evidence", "show", "--json"]).expect(0).json();
    assert_eq!(json["run"]["run"], *runs[1]);
    let missing = project.run(&["evidence", "show", "zzz"]).expect(2);
    insta::assert_snapshot!(missing.stderr, @r"
    error: there is no run `zzz` in `feedback/evidence`
    hint: cargo xtask evidence list
    ");
}

#[test]
fn what_the_sandbox_leaves_is_verified_apart() {
    let project = Project::new();
    project.run(&["forward", "--sandbox"]).expect(0);
    let answer = project.run(&["evidence", "verify", "--sandbox"]).expect(0);
    assert!(answer.stdout.starts_with("1 run in `.drill/evidence`"), "{}", answer.stdout);
    assert!(answer.stdout.contains("nothing outside its own folder vouches for its record"), "{}", answer.stdout);
    assert!(project.verify(0).stdout.starts_with("nothing was verified"));
}

/// A new SSH key in the project; its public half.
fn key(project: &Project, name: &str, passphrase: &str) -> String {
    let path = project.path(name);
    let mut keygen = std::process::Command::new(&setup::programs().ssh_keygen);
    keygen.args(["-q", "-t", "ed25519", "-C", name, "-N", passphrase, "-f"]).arg(&path);
    assert!(keygen.status().unwrap().success());
    project.read(&format!("{name}.pub"))
}

#[test]
fn a_signature_names_its_signer_and_a_record_that_should_be_signed_and_is_not_is_found() {
    let mut project = Project::new();
    let ana = key(&project, "ana", "");
    key(&project, "bob", "");
    project.write("signers", &format!("ana@example.com namespaces=\"staging-drill@hotdash.app\" {ana}"));
    let unsigned = refused(&project);
    let signing = |project: &mut Project, key: &str| {
        project.env.insert("STAGING_DRILL_SIGNING_KEY".to_owned(), key.to_owned());
        refused(project)
    };
    let by_ana = signing(&mut project, "ana");
    let said = project.verify(0).stdout;
    assert!(
        said.contains(&format!(
            "`{by_ana}`: its record is as `feedback/deployment.md` says, and signed by an unknown key, SHA256:"
        )),
        "{said}"
    );

    project.drill_toml(&format!("[evidence]\nallowed_signers = \"signers\"\n{}", crate::project::DRILL_TOML));
    let said = project.verify(0).stdout;
    assert!(said.ends_with(", and signed by ana@example.com\n"), "{said}");
    let signature = project.run_folder(&by_ana).join("run.json.sig");
    let right = fs::read(&signature).unwrap();
    for at in [0, 29, 35, right.len() / 2, right.len() - 30, right.len() - 1] {
        flip(&signature, at);
        assert_eq!(project.findings(), [found("changed", &by_ana, "run.json.sig")], "byte {at}");
        fs::write(&signature, &right).unwrap();
    }
    fs::write(&signature, fs::read(project.run_folder(&unsigned).join("run.json")).unwrap()).unwrap();
    assert_eq!(project.findings(), [found("changed", &by_ana, "run.json.sig")]);
    fs::remove_file(&signature).unwrap();
    assert_eq!(project.findings(), [found("unsigned", &by_ana, "")]);
    fs::write(&signature, &right).unwrap();

    let by_bob = signing(&mut project, "bob");
    assert_eq!(project.findings(), [found("unsigned", &by_bob, "")]);
    signing(&mut project, "ana.pub");
    project.verify(0);
}

#[test]
fn a_key_that_asks_for_a_passphrase_stops_the_run_before_it_begins() {
    let (mut project, database) = Project::on_staging("evidence_key");
    key(&project, "locked", "a passphrase");
    project.env.insert("STAGING_DRILL_SIGNING_KEY".to_owned(), "locked".to_owned());
    let answer = project.run(&["claim", "--confirm", &database.name]).expect(4);
    let said = answer.stderr.replace(&project.path("").display().to_string(), "<root>/");
    let said = said.split_once("error: ").unwrap().1;
    insta::assert_snapshot!(said, @r#"
    cannot sign with the key that `STAGING_DRILL_SIGNING_KEY` names
    caused by: Load key "<root>/locked": incorrect passphrase supplied to decrypt private key
    note: without `STAGING_DRILL_SIGNING_KEY` nothing is signed
    hint: ssh-add locked
    "#);
    assert_eq!(database.one::<i64>("select count(*) from pg_namespace where nspname = 'staging_drill'"), 0);
    assert!(!project.path("feedback").exists());
}

#[test]
fn every_key_that_the_schema_knows_is_described() {
    let root = crate::server::workspace();
    let schema: Value = serde_json::from_slice(&fs::read(root.join("docs/evidence.schema.json")).unwrap()).unwrap();
    let page = fs::read_to_string(root.join("docs/evidence.md")).unwrap();
    let keys: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
    let missing: Vec<_> = keys.iter().filter(|key| !page.contains(&format!("`{key}`"))).collect();
    assert!(keys.len() > 20 && missing.is_empty(), "{missing:?}");
}

#[test]
fn the_schema_takes_what_a_run_left_and_nothing_that_contradicts_itself() {
    let project = Project::new();
    let right = project.record(&refused(&project));
    assert_eq!(complaint(&right), None);
    let contradictions = [
        ("a key that nobody knows", json!({ "extra": 1 })),
        ("a run that went well with an error", json!({ "status": "ok", "exit_code": 0 })),
        ("a run that failed without one", json!({ "error": null })),
        (
            "a closed run with a stage that runs",
            json!({ "stages": [{ "name": "forward", "status": "running", "duration_ms": 0, "steps": [] }] }),
        ),
        (
            "an abandoned run that nobody closed",
            json!({ "status": "abandoned", "exit_code": null, "finished_at": null }),
        ),
        ("a run that ended and runs", json!({ "status": "running" })),
        ("a digest that is none", json!({ "files": { "plan.json": "x" } })),
        ("no digests at all", json!({ "files": null })),
    ];
    for (what, change) in contradictions {
        let mut record = right.clone();
        record.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        assert!(complaint(&record).is_some(), "{what}");
    }
}

fn stderr(mut command: std::process::Command) -> (String, String) {
    let output = command.output().unwrap();
    (name(&output.stdout), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_feedback_file_with_a_merge_conflict_or_a_lock_of_its_owner_stays_as_it_is_and_the_entry_is_kept() {
    let project = Project::new();
    let file = project.path("feedback/deployment.md");
    refused(&project);
    let conflict =
        format!("# ours\n\n<<<<<<< HEAD\n{}=======\n>>>>>>> theirs\n", project.read("feedback/deployment.md"));
    fs::write(&file, &conflict).unwrap();
    let (run, said) = stderr(project.command_refused());
    let warning =
        said.lines().find_map(|line| line.strip_prefix("warning: `feedback/deployment.md` got no entry: ")).unwrap();
    insta::assert_snapshot!(steady(warning, &[&run]), @"it has a merge conflict at line 3; the entry is in `feedback/evidence/<1>/feedback-entry.md`");
    assert_eq!(fs::read_to_string(&file).unwrap(), conflict);
    let kept = fs::read_to_string(project.run_folder(&run).join("feedback-entry.md")).unwrap();
    assert!(kept.starts_with("## ") && kept.contains(&run), "{kept}");
    assert!(project.verify(0).stdout.contains("nothing outside its own folder vouches"));

    fs::write(&file, "mine\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o444)).unwrap();
    let (_, said) = stderr(project.command_refused());
    assert!(
        said.contains("warning: `feedback/deployment.md` got no entry: it is read-only; the entry is in `"),
        "{said}"
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine\n");
    // Its owner resolves it, and pastes.
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&file, kept).unwrap();
    let run = refused(&project);
    let now = fs::read_to_string(&file).unwrap();
    assert!(
        now.contains(&run) && now.starts_with("## ") && now.contains("<!-- staging drill: newest entry first -->"),
        "{now}"
    );
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    project.verify(0);
}

#[test]
fn a_feedback_file_behind_a_link_stays_there() {
    let project = Project::new();
    project.write("notes/deployment.md", "# Elsewhere\n");
    fs::create_dir_all(project.path("feedback")).unwrap();
    std::os::unix::fs::symlink("../notes/deployment.md", project.path("feedback/deployment.md")).unwrap();
    let run = refused(&project);
    assert!(project.path("feedback/deployment.md").is_symlink());
    assert!(project.read("notes/deployment.md").contains(&run));
}

/// `command` with other mounts, in a namespace of its own; `mounts` is shell.
fn with_mounts(command: &std::process::Command, mounts: &str) -> std::process::Output {
    let mut shell = std::process::Command::new("unshare");
    shell.args(["--user", "--map-root-user", "--mount", "sh", "-c", mounts, "sh"]);
    shell
        .arg(command.get_program())
        .args(command.get_args())
        .current_dir(command.get_current_dir().unwrap())
        .env_clear();
    shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.output().unwrap()
}

#[test]
fn a_read_only_feedback_folder_costs_the_entry_its_place_and_nothing_else() {
    let project = Project::new();
    project.drill_toml(&format!("[evidence]\ndir = \"proof of runs\"\n{}", crate::project::DRILL_TOML));
    fs::create_dir(project.path("feedback")).unwrap();
    let command = project.command_refused();
    let output =
        with_mounts(&command, "mount --bind feedback feedback && mount -o remount,ro,bind feedback && exec \"$@\"");
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{said}");
    let run = name(&output.stdout);
    assert!(said.contains("got no entry: Read-only file system"), "{said}");
    let kept = project.read(&format!("proof of runs/{run}/feedback-entry.md"));
    assert!(kept.contains(&format!("](<../proof of runs/{run}/run.json>)")), "{kept}");
    project.verify(0);
}

#[test]
fn a_full_disk_stops_a_run_before_it_changes_anything_and_leaves_a_whole_record() {
    let (project, database) = Project::on_staging("evidence_disk");
    fs::create_dir_all(project.path(DIR)).unwrap();
    let command = project.command(&["forward"]);
    let output = with_mounts(
        &command,
        "mount -t tmpfs -o size=12k none feedback/evidence && { \"$@\"; code=$?; cp -r feedback/evidence saved; exit $code; }",
    );
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("error: cannot write the evidence `") && said.contains("No space left on device"), "{said}");
    assert!(said.contains("note: no step had begun, so the database is as it was"), "{said}");
    assert_eq!(database.one::<i64>("select count(*) from pg_tables where schemaname = 'public'"), 0);
    fs::remove_dir_all(project.path(DIR)).unwrap();
    fs::rename(project.path("saved"), project.path(DIR)).unwrap();
    let left = fs::read_dir(project.path(DIR)).unwrap().next().unwrap().unwrap().file_name().into_string().unwrap();
    assert_eq!(project.record(&left)["status"], "running");
    // A run may be killed after it has made its pages, and before its record says how it ended: what they say never came true, and
    // the run that closes it makes its own.
    for early in ["report.html", "junit.xml", "attestation.intoto.json", ".run.json.new"] {
        fs::write(project.run_folder(&left).join(early), "all is well").unwrap();
    }
    refused(&project);
    assert_eq!(project.record(&left)["status"], "abandoned");
    let files = project.record(&left)["files"].clone();
    assert!(files.get("plan.json").is_some(), "{files}");
    for view in ["report.html", "junit.xml"] {
        let text = fs::read_to_string(project.run_folder(&left).join(view)).unwrap();
        assert!(!text.contains("all is well") && text.contains("abandoned"), "{text}");
    }
    project.verify(0);
}

/// The opener is a fake, since no browser runs here: it writes down what it was asked to open.
#[test]
fn a_report_is_opened_where_there_is_a_display_and_named_everywhere() {
    let mut project = Project::without_client();
    project.write(".env.staging", "DATABASE_URL=postgresql://u:p@127.0.0.1:1/a_test\n");
    project.run(&["evidence", "open"]).expect(4);
    project.run(&["forward"]).expect(4);
    let opener = project.path("bin/xdg-open");
    project.write(
        "bin/xdg-open",
        "#!/bin/sh\necho \"$1 on $DISPLAY, $DATABASE_URL\" > opened.part && mv opened.part opened\n",
    );
    fs::set_permissions(&opener, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", project.path("bin").display(), std::env::var("PATH").unwrap());
    project.env.insert("PATH".to_owned(), path);
    let named = project.run(&["evidence", "open"]).expect(0).stdout;
    assert!(named.starts_with("feedback/evidence/") && named.ends_with("/report.html\n"), "{named}");
    let report = project.path(named.trim_end());
    assert!(report.is_file(), "{named}");
    project.env.insert("DISPLAY".to_owned(), ":7".to_owned());
    project.env.insert("CI".to_owned(), "true".to_owned());
    assert_eq!(project.run(&["evidence", "open"]).expect(0).stdout, named);
    project.env.remove("CI");
    let json = project.run(&["evidence", "open", "--json"]).expect(0).json();
    assert_eq!((&json["report"], &json["opened"]), (&json!(named.trim_end()), &json!(false)));
    assert!(!project.path("opened").exists(), "nobody asked for it");
    assert_eq!(project.run(&["evidence", "open"]).expect(0).stdout, named);
    let opened = (0..100).find_map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        fs::read_to_string(project.path("opened")).ok()
    });
    let root = project.path("").canonicalize().unwrap();
    let expected = format!("{} on :7, \n", root.join(named.trim_end()).display());
    assert_eq!(opened.as_deref(), Some(expected.as_str()));
    fs::remove_file(&report).unwrap();
    let gone = project.run(&["evidence", "open"]).expect(4);
    assert!(gone.stderr.contains("\nhint: cargo xtask evidence report "), "{}", gone.stderr);
}
