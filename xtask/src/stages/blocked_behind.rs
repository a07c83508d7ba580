//! The step that says how long others waited behind `migrate deploy`, and whether that was too long.

use std::time::Duration;

use crate::error::{Failure, Result};
use crate::evidence::deploy::Deploy;
use crate::run::ended::Ended;
use crate::run::plan::{Action, Step};
use crate::words::duration;

pub fn step<A>(limit: Duration, action: A) -> Step<A> {
    Step {
        name: "verify waits",
        does: format!("check that nobody waited longer than {} behind the deploy", said(limit)),
        failure: "others waited too long",
        action: Action::Builtin(action),
    }
}

/// Of all tries together.
///
/// # Errors
/// `different` where somebody waited for longer than `limit`.
pub fn verify(deploys: &[Deploy], limit: Duration) -> Result<Ended> {
    let longest = deploys.iter().max_by_key(|deploy| deploy.blocked_ms);
    if let Some(deploy) = longest.filter(|deploy| Duration::from_millis(deploy.blocked_ms) > limit) {
        return Err(too_long(deploy, limit));
    }
    let unwatched = deploys.iter().find_map(|deploy| deploy.unwatched.as_ref());
    if let Some(why) = unwatched.or(deploys.is_empty().then_some(&"it was not begun".to_owned())) {
        return Ok(Ended::NotTried(format!("not watched, or not to its end: {why}")));
    }
    let looks: u64 = deploys.iter().map(|deploy| deploy.looks).sum();
    let waited = match deploys.iter().map(|deploy| deploy.waited_ms).sum() {
        0 => "it waited for no lock".to_owned(),
        waited => format!("it waited {} for locks", duration(waited)),
    };
    let behind = match longest.map_or(0, |deploy| deploy.blocked_ms) {
        0 => "nobody behind it".to_owned(),
        blocked => format!("nobody longer than {} behind it ({} allowed)", duration(blocked), said(limit)),
    };
    Ok(Ended::Done(format!("looked {looks} times: {waited}, and {behind}")))
}

fn too_long(deploy: &Deploy, limit: Duration) -> Failure {
    let failure = Failure::different(format!(
        "others waited up to {} behind `migrate deploy`, and `blocked_behind` allows {}",
        duration(deploy.blocked_ms),
        said(limit)
    ));
    let failure = failure.because_all(deploy.blocked.iter().take(3).map(|one| one.in_words("waited")));
    let longest = deploy.waits.iter().max_by_key(|wait| wait.waited_ms);
    match longest.filter(|_| deploy.waited_ms >= deploy.blocked_ms / 2) {
        Some(wait) => failure
            .because(format!("the deploy waited {} before them: {}", duration(wait.waited_ms), wait.in_words()))
            .hint("set `lock_timeout` under `[prisma]` in drill.toml: the deploy then leaves the queue, lets them pass, and is tried again"),
        None => failure
            .because("they waited for what the deploy held: `impact` says which statement")
            .hint("write that migration so that it blocks for less long: docs/impact.md; `blocked_behind` under `[limits]` in drill.toml allows more"),
    }
}

fn said(limit: Duration) -> String {
    duration(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::deploy::{Blocked, Wait};

    fn seen(waited_ms: u64, blocked_ms: u64) -> Deploy {
        let held =
            Some("backend pid 7 (role `ana`, `nightly`, idle in transaction) holds a lock on `Session`".to_owned());
        let wait = Wait { table: Some("Session".into()), waited_ms, held, statement: Some("select ?".into()) };
        let role = Some("web".to_owned());
        let blocked =
            Blocked { pid: 9, role, application_name: None, table: Some("Session".into()), waited_ms: blocked_ms };
        let waits = [wait].into_iter().filter(|wait| wait.waited_ms > 0).collect();
        let blocked = [blocked].into_iter().filter(|one| one.waited_ms > 0).collect();
        Deploy { attempt: 1, looks: 20, waited_ms, blocked_ms, waits, blocked, unwatched: None }
    }

    #[test]
    fn what_was_not_watched_is_not_said_to_be_well_and_what_was_seen_counts() {
        let unwatched = |deploy| Deploy { unwatched: Some("cannot connect".to_owned()), ..deploy };
        let limit = Duration::from_secs(5);
        let cases = [
            vec![seen(0, 0)],
            vec![seen(3_000, 0), seen(1_200, 5_000)],
            vec![],
            vec![unwatched(Deploy::default())],
            vec![seen(9_000, 0), unwatched(seen(0, 4_000))],
            vec![seen(73_800, 42_000), seen(0, 10)],
            vec![unwatched(seen(0, 6_200))],
        ];
        let said = |ended: Ended| {
            let (word, detail) = ended.in_words();
            format!("{word}: {detail}")
        };
        let told = |deploys: &Vec<Deploy>| verify(deploys, limit).map_or_else(|failure| failure.in_full(), said);
        let said: Vec<String> = cases.iter().map(told).collect();
        insta::assert_snapshot!(said.join("\n"), @r"
        ok: looked 20 times: it waited for no lock, and nobody behind it
        ok: looked 40 times: it waited 4.2 s for locks, and nobody longer than 5.0 s behind it (5.0 s allowed)
        skipped: not watched, or not to its end: it was not begun
        skipped: not watched, or not to its end: cannot connect
        skipped: not watched, or not to its end: cannot connect
        different: others waited up to 42.0 s behind `migrate deploy`, and `blocked_behind` allows 5.0 s
        caused by: backend pid 9 (role `web`) waited 42.0 s for `Session`
        caused by: the deploy waited 1 min 13 s before them: backend pid 7 (role `ana`, `nightly`, idle in transaction) holds a lock on `Session`, and was last sent `select ?`
        different: others waited up to 6.2 s behind `migrate deploy`, and `blocked_behind` allows 5.0 s
        caused by: backend pid 9 (role `web`) waited 6.2 s for `Session`
        caused by: they waited for what the deploy held: `impact` says which statement
        ");
    }
}
