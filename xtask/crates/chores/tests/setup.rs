//! On a machine with nothing, `cargo chore ci` says at its start all that is missing, and starts nothing.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]
#![allow(clippy::disallowed_methods, reason = "the module rules are for the program that users run")]

use std::process::Command;

#[test]
fn ci_tells_all_that_is_missing_at_its_start() {
    let nothing = env!("CARGO_TARGET_TMPDIR");
    let mut ci = Command::new(env!("CARGO_BIN_EXE_chores"));
    let output = ci.arg("ci").env_clear().env("PATH", nothing).env("CHROMIUM", "no-such-browser").output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "\n== what the tests need\n");
    let just = if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        ["", ""]
    } else {
        ["\n  just, for the tests of the recipes", "\n  cargo install --locked just"]
    };
    let expected = format!(
        "\
Error: the tests need what is not here, and what may not be installed here by itself:
  npm, for the real CLIs and the embedded Postgres{}
  Chromium, for the test that opens reports: CHROMIUM names no program
  ssh-keygen, for the tests of signatures
  pip, for zizmor, which looks at the workflows
do this, then try again:
  install Node 20 or newer, which has npm{}
  let CHROMIUM name a program, or unset it
  sudo apt-get update && sudo apt-get install --no-install-recommends openssh-client python3-pip
",
        just[0], just[1]
    );
    assert_eq!(String::from_utf8_lossy(&output.stderr), expected);
    assert_eq!(output.status.code(), Some(1));
}
