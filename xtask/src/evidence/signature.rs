//! The optional signature of a record, made and checked by `ssh-keygen -Y` with the user's SSH key, as git does for
//! commits.
//!
//! The private key is never read here: ssh-keygen or the user's agent does that. No passphrase is asked for,
//! since the run may be unattended: a key that needs one must be in the agent. Format:
//! <https://github.com/openssh/openssh-portable/blob/master/PROTOCOL.sshsig>.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::error::{Failure, OrFail, Result};
use crate::evidence::record::RECORD;
use crate::files::read_plain;
use crate::hint::Hint;
use crate::interrupt::Interrupt;
use crate::process::locate;
use crate::process::{self, Exit, Finished, Invocation};
use crate::settings::Settings;
use crate::temporary::Temporary;
use redact::Redactor;

pub const SIGNATURE: &str = "run.json.sig";
/// What the signature is for, so that no other signature of the same key can pass for one.
pub const NAMESPACE: &str = "staging-drill@hotdash.app";
/// Names the key; a file of the public one will do where the agent has the private one.
pub const KEY_VARIABLE: &str = "STAGING_DRILL_SIGNING_KEY";

/// A security key waits for a touch.
const DEADLINE: Duration = Duration::from_secs(30);

/// Signs something else with the key that the user named, so that a key that cannot sign stops a run before it
/// begins.
///
/// # Errors
/// `blocked`, with what ssh-keygen says.
pub fn rehearse(settings: &Settings) -> Result<()> {
    let Some(key) = key(settings) else { return Ok(()) };
    let failed = || "cannot make a temporary folder";
    let folder = Temporary::new().blocked(failed)?;
    let file = folder.path().join("rehearsal");
    fs::write(&file, "rehearsal").blocked(failed)?;
    sign_with(settings, &key, &file).map_err(|failure| failure.with_status(crate::error::Status::Blocked))
}

/// Signs the record in `folder`, if the user named a key.
///
/// # Errors
/// `failed`, with what ssh-keygen says; `blocked` when it is not installed.
pub fn sign(settings: &Settings, folder: &Path) -> Result<()> {
    key(settings).map_or(Ok(()), |key| sign_with(settings, &key, &folder.join(RECORD)))
}

fn key(settings: &Settings) -> Option<PathBuf> {
    settings.variable(KEY_VARIABLE).map(|key| settings.root.join(key))
}

fn sign_with(settings: &Settings, key: &Path, file: &Path) -> Result<()> {
    let arguments = ["-Y", "sign", "-n", NAMESPACE, "-f"];
    let invocation = keygen(settings)?.args(arguments).arg(key).arg(file);
    // The run may have been interrupted; what it did is signed all the same.
    let finished = run(&invocation, &Interrupt::default())?;
    if finished.exit == Exit::Success {
        return Ok(());
    }
    let said = finished.tail.iter().rev().find(|line| !line.trim().is_empty());
    Err(Failure::failed(format!("cannot sign with the key that `{KEY_VARIABLE}` names"))
        .because(said.cloned().unwrap_or_else(|| finished.exit.in_words()))
        .note(format!("without `{KEY_VARIABLE}` nothing is signed"))
        .hint(Hint::shell("ssh-add").arg(settings.shown(key))))
}

/// What is known of a signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signed {
    /// By one of the project's list of signers.
    By(String),
    /// By an unknown key; its fingerprint.
    Unknown(String),
    /// It is not a signature of this record as it is now.
    Wrong,
}

/// Checks the signature of the record in `folder`; None where there is none.
///
/// # Errors
/// `blocked` when ssh-keygen is not installed.
pub fn check(settings: &Settings, folder: &Path, interrupt: &Interrupt) -> Result<Option<Signed>> {
    let (signature, record) = (folder.join(SIGNATURE), folder.join(RECORD));
    let Ok(armour) = read_plain(&signature) else { return Ok(None) };
    if !is_canonical(&armour) {
        return Ok(Some(Signed::Wrong));
    }
    let ask = |arguments: &[&str]| -> Result<Invocation> {
        Ok(keygen(settings)?.args(arguments).arg("-s").arg(&signature).stdin(&record))
    };
    if let Some(signers) = &settings.evidence.allowed_signers {
        let listed = run(&ask(&["-Y", "find-principals"])?.arg("-f").arg(signers), interrupt)?;
        let names = listed.tail.iter().filter(|_| listed.exit == Exit::Success);
        for name in names.filter_map(|names| names.split(',').next()) {
            let verify = ask(&["-Y", "verify", "-n", NAMESPACE, "-I", name])?.arg("-f").arg(signers);
            if run(&verify, interrupt)?.exit == Exit::Success {
                return Ok(Some(Signed::By(name.to_owned())));
            }
        }
    }
    let whoever = run(&ask(&["-Y", "check-novalidate", "-n", NAMESPACE])?, interrupt)?;
    let fingerprint = whoever.tail.iter().find_map(|line| line.rsplit_once(" key ")).map(|(_, key)| key.to_owned());
    Ok(Some(match (whoever.exit, fingerprint) {
        (Exit::Success, Some(fingerprint)) => Signed::Unknown(fingerprint),
        _ => Signed::Wrong,
    }))
}

fn keygen(settings: &Settings) -> Result<Invocation> {
    let missing =
        || Failure::blocked("`ssh-keygen` is not on PATH").hint(Hint::shell("apt-get install openssh-client"));
    let program = locate::on_path(settings, "ssh-keygen").ok_or_else(missing)?;
    let inherited = ["PATH", "HOME", "SSH_AUTH_SOCK", "SSH_SK_PROVIDER"];
    let inherited = inherited.into_iter().filter_map(|name| Some((name, settings.variable(name)?)));
    // Where a passphrase is needed, a program that says no is asked: a question at the terminal would wait for ever.
    let never = locate::on_path(settings, "false").unwrap_or_else(|| PathBuf::from("false"));
    Ok(Invocation::new(program, &settings.root)
        .envs(inherited)
        .env("SSH_ASKPASS", never)
        .env("SSH_ASKPASS_REQUIRE", "force"))
}

fn run(invocation: &Invocation, interrupt: &Interrupt) -> Result<Finished> {
    process::run(invocation, DEADLINE, std::io::sink(), &Redactor::generic(), interrupt)
}

/// Whether the file is as ssh-keygen writes it, to the last byte: it reads much more than it writes, and a changed
/// byte must be seen.
fn is_canonical(armour: &[u8]) -> bool {
    const WIDTH: usize = 70;
    let text = String::from_utf8_lossy(armour);
    let body = text
        .strip_prefix("-----BEGIN SSH SIGNATURE-----\n")
        .and_then(|text| text.strip_suffix("\n-----END SSH SIGNATURE-----\n"));
    let Some(body) = body else { return false };
    let lines: Vec<&str> = body.split('\n').collect();
    let Some((last, whole)) = lines.split_last() else { return false };
    let shaped = whole.iter().all(|line| line.len() == WIDTH) && (1..=WIDTH).contains(&last.len());
    shaped && STANDARD.decode(lines.concat()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_ssh_keygen_writes_is_read_as_a_signature() {
        let body = "A".repeat(70);
        let right = format!("-----BEGIN SSH SIGNATURE-----\n{body}\nXY\n-----END SSH SIGNATURE-----\n");
        assert!(is_canonical(right.as_bytes()));
        for wrong in [
            right.replace("XY\n", "XY"),
            right.replace("XY", "X\u{b}"),
            right.replace("XY", "X"),
            right.replace("XY\n", "XY\n\n"),
            right.replace("A\nX", "A X"),
            format!("{right}\n"),
            format!("\n{right}"),
        ] {
            assert!(!is_canonical(wrong.as_bytes()), "{wrong}");
        }
    }
}
