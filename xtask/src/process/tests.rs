use std::fs::File;
use std::path::Path;
use std::thread;
use std::time::Instant;

use signal_hook::consts::SIGINT;

use crate::error::Status;
use crate::process::*;

const LONG: Duration = Duration::from_secs(60);

fn shell(script: &str) -> Invocation {
    Invocation::new("/bin/sh", Path::new("/")).args(["-c", script]).env("PATH", "/usr/bin:/bin")
}

/// What a run of `script` came to, and its log.
fn logged(script: &str, deadline: Duration, interrupt: &Interrupt) -> (Finished, String) {
    let log = tempfile::NamedTempFile::new().unwrap();
    let redactor = Redactor::generic();
    let finished = run(&shell(script), deadline, log.reopen().unwrap(), &redactor, interrupt).unwrap();
    (finished, std::fs::read_to_string(log.path()).unwrap())
}

fn without_time(log: &str) -> String {
    let (before, after) = log.rsplit_once(" after ").unwrap();
    format!("{before} after{}", after.trim_start_matches(|c: char| c.is_ascii_digit()))
}

/// An interrupt that comes in the middle of what a test runs, `times` times.
fn soon(times: usize) -> Interrupt {
    let interrupt = Interrupt::default();
    let told = interrupt.clone();
    thread::spawn(move || {
        for _ in 0..times {
            thread::sleep(Duration::from_millis(200));
            told.pretend(SIGINT);
        }
    });
    interrupt
}

#[test]
fn a_log_holds_the_command_its_output_and_how_it_ended() {
    let (finished, log) = logged("echo one; sleep 0.2; echo two >&2; exit 3", LONG, &Interrupt::default());
    assert_eq!((finished.exit, finished.tail), (Exit::Code(3), vec!["one".to_owned(), "two".to_owned()]));
    assert_eq!(
        without_time(&log),
        "$ sh -c 'echo one; sleep 0.2; echo two >&2; exit 3'\none\ntwo\n[exited with code 3 after ms]\n"
    );
}

/// A child that gets SIGPIPE or waits for ever because of our full disk would leave a migration half done.
#[test]
fn a_full_disk_lets_the_child_go_on_and_fails_its_log() {
    let folder = tempfile::tempdir().unwrap();
    let done = folder.path().join("done");
    let script = format!("head -c 300000 /dev/zero | tr '\\0' x; echo; echo end; : > '{}'", done.display());
    let full = File::options().write(true).open("/dev/full").unwrap();
    let finished = run(&shell(&script), LONG, full, &Redactor::generic(), &Interrupt::default()).unwrap();
    assert!(done.exists());
    assert_eq!((finished.exit, finished.tail.last().unwrap().as_str()), (Exit::Success, "end"));
    let failure = finished.whole("03-migrate.log").unwrap_err();
    assert_eq!(
        (failure.status, failure.message.as_str()),
        (Status::Failed, "cannot write the whole of `03-migrate.log`")
    );
    assert_eq!(
        failure.causes().collect::<Vec<_>>(),
        ["No space left on device (os error 28)", "the program itself exited 0"]
    );
}

#[test]
fn a_program_that_left_the_group_and_holds_the_output_is_told_in_the_last_line() {
    let begun = Instant::now();
    let (finished, log) = logged("setsid sleep 20 & sleep 0.5; printf unended", LONG, &Interrupt::default());
    assert_eq!(finished.exit, Exit::Success);
    assert!(begun.elapsed() < Duration::from_secs(10));
    let said = "[exited 0 after ms; another program held its output open, which was read no further]\n";
    assert_eq!(without_time(&log), format!("$ sh -c 'setsid sleep 20 & sleep 0.5; printf unended'\nunended\n{said}"));
}

#[test]
fn what_a_child_leaves_in_its_group_ends_with_it() {
    let (finished, _) = logged("sleep 300 & echo $!", LONG, &Interrupt::default());
    let left = Path::new("/proc").join(&finished.tail[0]).join("cmdline");
    let begun = Instant::now();
    // Its command line is empty as soon as it is dead, whoever takes it off the list.
    while std::fs::read(&left).is_ok_and(|line| !line.is_empty()) {
        assert!(begun.elapsed() < Duration::from_secs(5), "it is still there");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_deadline_ends_the_group() {
    let (finished, log) = logged("sleep 300 & sleep 300", Duration::from_millis(200), &Interrupt::default());
    assert_eq!(finished.exit, Exit::TimedOut);
    assert!(finished.duration < Duration::from_secs(2), "{:?}", finished.duration);
    assert!(log.contains("\n[did not end in time and was stopped after "), "{log}");
}

#[test]
fn a_signal_wakes_the_wait_and_ends_the_child() {
    let (finished, _) = logged("sleep 300", LONG, &soon(1));
    assert_eq!(finished.exit, Exit::Interrupted(Status::Interrupted));
    assert!(finished.duration < Duration::from_secs(2), "{:?}", finished.duration);
}

#[test]
fn a_second_signal_gives_no_time() {
    let (finished, _) = logged("trap '' TERM; while :; do sleep 300; done", LONG, &soon(2));
    assert_eq!(finished.exit, Exit::Interrupted(Status::Interrupted));
    assert!(finished.duration < Duration::from_secs(3), "{:?}", finished.duration);
}

#[test]
fn a_question_to_a_tool_that_is_interrupted_is_interrupted() {
    let failure = capture(&shell("sleep 300"), LONG, &soon(1)).unwrap_err();
    assert_eq!(failure.status, Status::Interrupted);
}

/// An empty answer would say of a checkout that it is clean.
#[test]
fn an_answer_is_kept_although_another_program_holds_the_output() {
    let (exit, said) = capture(&shell("echo here; setsid sleep 20 & sleep 0.5"), LONG, &Interrupt::default()).unwrap();
    assert_eq!((exit, said), (Exit::Success, b"here\n".to_vec()));
}

#[test]
fn a_program_without_a_folder_is_found_on_path() {
    let echo = Invocation::new("echo", Path::new("/")).arg("here").env("PATH", "/usr/bin:/bin");
    assert_eq!(capture(&echo, LONG, &Interrupt::default()).unwrap(), (Exit::Success, b"here\n".to_vec()));
}
