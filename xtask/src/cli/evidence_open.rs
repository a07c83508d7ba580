//! `evidence open`: a run's page in the browser of whoever sits here, and its path in any case.

use std::fs::File;
use std::path::Path;

use crate::error::{Failure, OrFail, Result};
use crate::evidence::outcome::Outcome;
use crate::evidence::past::{find, read_all};
use crate::evidence::views::names::REPORT;
use crate::hint::Hint;
use crate::process::{self, Invocation, locate};
use crate::run::runner::Runner;
use crate::settings::Settings;

/// What a desktop's opener needs of our environment: where the display is, and which browser is meant.
const OF_DESKTOP: [&str; 10] = [
    "PATH",
    "HOME",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    "XDG_RUNTIME_DIR",
    "XDG_CURRENT_DESKTOP",
    "DBUS_SESSION_BUS_ADDRESS",
    "BROWSER",
    "LANG",
];

/// # Errors
/// `usage` when there is no such run, `blocked` when it has no page, or when what opens it cannot be started.
pub fn run(runner: &Runner<'_>, wanted: Option<&str>, outcome: &mut Outcome) -> Result<()> {
    let Runner { settings, console, .. } = *runner;
    let dir = settings.evidence_dir();
    let runs = read_all(&dir).blocked(|| format!("cannot read `{}`", settings.shown(&dir)))?;
    let past = find(&runs, wanted, &settings.shown(&dir))?;
    let report = past.folder.join(REPORT);
    if !report.is_file() {
        return Err(Failure::blocked(format!("`{}` has no `{REPORT}`", settings.shown(&past.folder)))
            .hint(Hint::run("evidence report").arg(past.short_id())));
    }
    let opened = !settings.output.json && open(settings, &report)?;
    outcome.extra.insert("report".to_owned(), settings.shown(&report).into());
    outcome.extra.insert("opened".to_owned(), opened.into());
    if !settings.output.json {
        console.result(&settings.shown(&report));
    }
    Ok(())
}

/// Whether there is a display, and something that opens files on it.
fn open(settings: &Settings, report: &Path) -> Result<bool> {
    let is_mac = std::env::consts::OS == "macos";
    let has_display = is_mac || ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| settings.variable(name).is_some());
    let opener = locate::on_path(settings, if is_mac { "open" } else { "xdg-open" });
    let Some(opener) = opener.filter(|_| has_display && settings.variable("CI").is_none()) else { return Ok(false) };
    let environment = OF_DESKTOP.iter().filter_map(|name| Some((*name, settings.variable(name)?)));
    let invocation = Invocation::new(opener, &settings.root).arg(report).envs(environment);
    // A browser may stay for as long as its window, so nobody waits for it, or hears it.
    let nobody = File::options().write(true).open("/dev/null").blocked(|| "cannot open `/dev/null`")?;
    process::start_detached(&invocation, nobody)?;
    Ok(true)
}
