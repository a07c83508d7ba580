//! What of the evidence git keeps where drill.toml says `commit = "summary"`: the record of each run and what names its digest. The rest is an
//! artifact, and a checkout does not have it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use crate::evidence::feedback::KEPT;
use crate::evidence::record::{RECORD, Record};
use crate::evidence::signature::SIGNATURE;
use crate::evidence::views::attestation::ATTESTATION;

/// What git keeps of a run's folder.
const SUMMARY: [&str; 4] = [RECORD, ATTESTATION, SIGNATURE, KEPT];

/// Writes `.gitignore` into the folder of all runs. One that is there is somebody's, and stays.
///
/// # Errors
/// What the system says of the file.
pub fn ignore_the_rest(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    let kept: String = SUMMARY.iter().map(|name| format!("!/*/{name}\n")).collect();
    let text = format!(
        "# By the staging drill, since drill.toml says `commit = \"summary\"`: the rest is an artifact.\n/*/*\n{kept}"
    );
    match File::create_new(dir.join(".gitignore")) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        file => file?.write_all(text.as_bytes()),
    }
}

/// Whether nothing of the run in `folder` is there but what git keeps: as in a checkout, where none of its files can be verified.
pub fn is_summary(folder: &Path, record: &Record) -> bool {
    !record.files.is_empty() && record.files.keys().all(|name| folder.join(name).symlink_metadata().is_err())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn git_keeps_the_record_and_what_names_its_digest_and_no_file_of_somebody_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("feedback/evidence");
        ignore_the_rest(&dir).unwrap();
        let ignored = dir.join(".gitignore");
        insta::assert_snapshot!(fs::read_to_string(&ignored).unwrap(), @r#"
        # By the staging drill, since drill.toml says `commit = "summary"`: the rest is an artifact.
        /*/*
        !/*/run.json
        !/*/attestation.intoto.json
        !/*/run.json.sig
        !/*/feedback-entry.md
        "#);
        fs::write(&ignored, "mine").unwrap();
        ignore_the_rest(&dir).unwrap();
        assert_eq!(fs::read_to_string(&ignored).unwrap(), "mine");
    }
}
