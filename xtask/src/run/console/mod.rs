//! The only module that prints. Progress and prose go to stderr, results to stdout, and every byte passes the redactor and
//! is made inert: what others named or said commands neither a terminal nor a CI server.
//!
//! On a terminal the running steps have spinners; elsewhere each step is one plain line when it ends, so that a CI log
//! reads the same as the evidence, and one more every ten seconds that it lasts. Whether the output still has a reader is not for a run to ask: a closed pipe, a full disk or a
//! terminal that is gone ends the printing and nothing else.

mod following;
mod inert;
mod terminal;
#[cfg(test)]
mod tests;

use std::fmt::Arguments;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use comfy_table::{CellAlignment, Table, presets};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::error::{DATA_LOSS, Failure, Result, Status};
use crate::evidence::folder::pretty;
use crate::evidence::masking;
use crate::evidence::outcome::{BeforeAfter, Outcome};
use crate::headway::Headway;
use crate::hint::Hint;
use crate::interrupt::Interrupt;
use crate::meanwhile::meanwhile;
use crate::parity::by_row::verdict::RowVerdict;
use crate::parity::comparison::{Comparison, percent};
use crate::settings::Output;
use crate::words::{duration, in_line, sentence};
use inert::{inert, inert_in_colour, inert_json};
use redact::Redactor;

/// How often a terminal is drawn anew, and how often a line is written where there is none.
const DRAWN: Duration = Duration::from_millis(100);
const WRITTEN: Duration = Duration::from_secs(10);

pub struct Console {
    output: Output,
    live: MultiProgress,
    redactor: Mutex<Redactor>,
    interrupt: OnceLock<Interrupt>,
    /// What the run counts, which is told while it goes on.
    pub headway: Headway,
    written: Duration,
    /// Where prose goes: stderr.
    prose: fn(Arguments<'_>),
}

/// The mark of what nobody tried: neither that of what went well nor that of what did not.
const NOT_TRIED: &str = "-";

impl Console {
    pub fn new(output: Output) -> Console {
        let (live, redactor) = (terminal::progress(output.live, output.color), Mutex::new(Redactor::generic()));
        let (interrupt, headway) = (OnceLock::new(), Headway::default());
        Console { output, live, redactor, interrupt, headway, written: WRITTEN, prose: to_stderr }
    }

    /// One that writes as often as this, for tests.
    #[cfg(test)]
    pub fn heard(self, written: Duration, prose: fn(Arguments<'_>)) -> Console {
        Console { written, prose, ..self }
    }

    /// From now on a signal ends a question.
    pub fn hears(&self, interrupt: &Interrupt) {
        let _ = self.interrupt.set(interrupt.clone());
    }

    /// From now on nothing that `redactor` knows is printed; in GitHub Actions the log itself is told too.
    ///
    /// The runner reads commands from both streams, each on its own, so each begins with them; but with `--json` stdout stays one object,
    /// and a stream that was redirected to a file is not read by the runner, which masks: there the mask would be the leak.
    pub fn mask(&self, redactor: &Redactor) {
        if self.output.github {
            let (stdout, stderr) = (!self.output.json && !is_file(io::stdout()), !is_file(io::stderr()));
            for mask in redactor.masks() {
                if stderr {
                    to_stderr(format_args!("::add-mask::{mask}\n"));
                }
                if stdout {
                    to_stdout(format_args!("::add-mask::{mask}\n"));
                }
            }
        }
        *self.redactor() = redactor.clone();
    }

    fn redactor(&self) -> std::sync::MutexGuard<'_, Redactor> {
        self.redactor.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// One line that is shown even when quiet: what a question is about.
    pub fn show(&self, line: impl AsRef<str>) {
        self.prose(&in_line(line.as_ref()));
    }

    /// One line of progress.
    pub fn say(&self, line: impl AsRef<str>) {
        self.progress(&in_line(line.as_ref()));
    }

    /// Lines that are made already.
    fn progress(&self, lines: &str) {
        if !self.output.quiet {
            self.prose(lines);
        }
    }

    fn prose(&self, text: &str) {
        let text = inert_in_colour(&self.redactor().text(text));
        self.live.suspend(|| (self.prose)(format_args!("{text}\n")));
    }

    /// What a person at the terminal answers; None without a person there, or after Ctrl-C.
    pub fn ask(&self, question: &str) -> Option<String> {
        use std::io::IsTerminal;
        if !self.output.person || !io::stdin().is_terminal() {
            return None;
        }
        self.live.suspend(|| to_stderr(format_args!("{}", self.shown(question))));
        let (told, answer) = channel();
        // A signal does not end a read. The thread that is left behind ends with us.
        std::thread::spawn(move || told.send(io::stdin().lines().next()));
        loop {
            match answer.recv_timeout(Duration::from_millis(50)) {
                Ok(line) => return Some(line?.ok()?.trim().to_owned()),
                Err(RecvTimeoutError::Timeout) => {
                    self.interrupt.get().is_none_or(|it| it.check().is_ok()).then_some(())?
                }
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    /// The result of a command, on stdout. Its lines are its own: what others named is in them with `in_line`.
    pub fn result(&self, text: &str) {
        to_stdout(format_args!("{}\n", inert(&self.redactor().text(text))));
    }

    /// As `result`, for what has marks that `painted_result` made.
    pub fn result_in_colour(&self, text: &str) {
        to_stdout(format_args!("{}\n", inert_in_colour(&self.redactor().text(text))));
    }

    /// A mark of a row on stdout.
    pub fn painted_result(&self, mark: &str, code: &str) -> String {
        if self.output.color_results { painted(mark, code) } else { mark.to_owned() }
    }

    pub fn is_quiet(&self) -> bool {
        self.output.quiet
    }

    pub fn is_json(&self) -> bool {
        self.output.json
    }

    /// The outcome as it may be shown anywhere.
    pub fn masked(&self, outcome: &Outcome) -> Result<Outcome> {
        masking::view(&self.redactor(), outcome)
    }

    /// A command to the runner of GitHub Actions, made of a masked outcome: a line of its own, on the stream that `--json` leaves to prose.
    pub fn annotate(&self, command: &str) {
        self.live.suspend(|| to_stderr(format_args!("{command}\n")));
    }

    /// stdin to stdout, masked, for as long as it has a reader.
    pub fn filter(&self, redactor: &Redactor) -> io::Result<()> {
        match redact::filter(redactor, io::stdin().lock(), io::stdout().lock()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => result,
        }
    }

    /// Does `work`, and says meanwhile that `name` runs and how far what is counted has come.
    pub fn during<T>(&self, name: &str, work: impl FnOnce() -> T) -> T {
        self.followed(name, (Some(&self.headway), self.output.live), work)
    }

    /// As `during`, for a program: what it has done nobody counts, and what is counted is others' work beside it.
    pub fn waiting<T>(&self, name: &str, work: impl FnOnce() -> T) -> T {
        self.followed(name, (None, self.output.live), work)
    }

    /// As `waiting`, for a program that prints itself: a spinner would wipe that out.
    pub fn beside<T>(&self, name: &str, work: impl FnOnce() -> T) -> T {
        self.followed(name, (None, false), work)
    }

    fn followed<T>(&self, name: &str, how: (Option<&Headway>, bool), work: impl FnOnce() -> T) -> T {
        if self.output.quiet {
            return work();
        }
        meanwhile(&|ended| self.follow(name, how, ended), work)
    }

    fn follow(&self, name: &str, (headway, spins): (Option<&Headway>, bool), ended: &Receiver<()>) {
        let (begun, name) = (Instant::now(), in_line(name));
        let spinner = spins.then(|| self.spinner(&name));
        let every = if spinner.is_some() { DRAWN } else { self.written };
        while ended.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
            let seen = headway.and_then(Headway::look);
            match &spinner {
                Some(spinner) => {
                    spinner.set_message(self.shown(&following::message(&name, seen.as_ref())));
                    spinner.tick();
                }
                None => self.say(following::line(&name, seen.as_ref(), begun.elapsed())),
            }
        }
        spinner.iter().for_each(ProgressBar::finish_and_clear);
    }

    fn spinner(&self, name: &str) -> ProgressBar {
        let spinner = self.live.add(ProgressBar::new_spinner());
        let style = ProgressStyle::with_template("  {spinner} {msg} {elapsed:.dim}");
        spinner.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        spinner.set_message(self.shown(name));
        spinner.tick();
        spinner
    }

    /// One line, as it may be shown.
    fn shown(&self, text: &str) -> String {
        inert(&self.redactor().text(&in_line(text)))
    }

    pub fn ok(&self, name: &str, detail: &str, took: Duration) {
        self.ended(("✓", "32"), name, detail, took);
    }

    pub fn failed(&self, name: &str, detail: &str, took: Duration) {
        self.ended(("✗", "31"), name, detail, took);
    }

    pub fn skipped(&self, name: &str, why: &str, took: Duration) {
        self.ended((NOT_TRIED, "33"), name, why, took);
    }

    fn ended(&self, (mark, color): (&str, &str), name: &str, detail: &str, took: Duration) {
        let mark = self.painted(mark, color);
        let took = if took < Duration::from_millis(1) { String::new() } else { format!("  ({})", seconds(took)) };
        self.progress(&format!("  {mark} {}: {}{took}", in_line(name), in_line(detail)));
    }

    /// A stage that is not run.
    pub fn left_out(&self, name: &str, why: &str) {
        let (mark, name, why) = (self.painted(NOT_TRIED, "33"), in_line(name), in_line(why));
        self.progress(&format!("{mark} {name}: left out, {why}"));
    }

    /// What a plan had promised and what failed before it kept from being tried.
    pub fn not_tried(&self, indent: &str, names: &[&str]) {
        if !names.is_empty() {
            let mark = self.painted(NOT_TRIED, "33");
            self.progress(&format!("{indent}{mark} not tried: {}", in_line(&names.join(", "))));
        }
    }

    pub fn counts(&self, counts: &BeforeAfter) {
        self.progress(&counts_table(counts));
    }

    pub fn parity(&self, comparison: &Comparison) {
        self.progress(&parity_table(comparison));
    }

    /// How the run ended: the failure in full, or one line; what opens its report, and the evidence path, which is always the last line.
    pub fn finish(&self, outcome: &Outcome, failure: Option<&Failure>) {
        if let Some(failure) = failure {
            self.prose(&self.failure_text(failure, outcome.hint.as_deref()));
        }
        if self.output.json {
            let json = self.masked(outcome).and_then(|outcome| pretty(&outcome));
            let json = json.unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}\n"));
            to_stdout(format_args!("{}", inert_json(&json)));
        }
        if let Some(evidence) = &outcome.evidence
            && (!self.output.quiet || failure.is_some())
        {
            self.show(verdict(outcome, evidence, failure, outcome.elapsed_ms()));
            self.show(format!("evidence: {evidence}"));
        }
    }

    fn failure_text(&self, failure: &Failure, hint: Option<&str>) -> String {
        let mut lines = vec![format!("{} {}", self.painted("error:", "1;31"), sentence(&failure.message))];
        for refusal in &failure.refusals {
            lines.push(format!("  {}: {}", refusal.check, sentence(&refusal.message)));
            lines.push(format!("    {} {}", self.painted("fix:", "1"), sentence(&refusal.hint)));
        }
        lines.extend(failure.causes().map(|cause| format!("caused by: {}", sentence(&cause))));
        lines.extend(failure.notes.iter().map(|note| format!("note: {}", sentence(note))));
        if failure.status == Status::Refused && !failure.refusals.is_empty() {
            // What would be lost is known only after Prisma was asked for the scripts.
            let asked = failure.refusals.iter().any(|refusal| refusal.check == DATA_LOSS);
            let line = if asked { "Nothing was changed." } else { "Nothing was spawned, and nothing was changed." };
            lines.push(line.to_owned());
        }
        if let (Some(line), Some(hint)) = (hint, &failure.hint) {
            // What cannot be pasted is no hint.
            let label = if hint.advice().is_some() { "note:".to_owned() } else { self.painted("hint:", "1;36") };
            lines.push(format!("{label} {}", sentence(line)));
        }
        lines.join("\n")
    }

    fn painted(&self, text: &str, code: &str) -> String {
        if self.output.color { painted(text, code) } else { text.to_owned() }
    }
}

fn painted(text: &str, code: &str) -> String {
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}

/// `println!` would panic on a closed stream.
fn to_stdout(text: Arguments<'_>) {
    let _ = io::stdout().lock().write_fmt(text);
}

fn to_stderr(text: Arguments<'_>) {
    let _ = io::stderr().lock().write_fmt(text);
}

fn is_file(stream: impl std::os::fd::AsFd) -> bool {
    rustix::fs::fstat(stream)
        .is_ok_and(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::RegularFile)
}

/// Arguments that cannot be read may be anybody's, and a password among them.
pub fn usage(complaint: &str) {
    to_stderr(format_args!("{}", inert(&Redactor::generic().text(complaint))));
}

/// A panic's own message may quote anything and passes no redactor. Where it happened is enough to report it.
pub fn tame_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        to_stderr(format_args!("bug: an invariant of the drill broke at {place}\n"));
    }));
}

/// What came of a run that left `evidence`, how long all of it took, and what opens its report.
fn verdict(outcome: &Outcome, evidence: &str, failure: Option<&Failure>, took: u64) -> String {
    let came_of_it = match failure.map_or(Status::Ok, |failure| failure.status) {
        Status::Ok => "passed in",
        Status::Failed | Status::Usage => "failed after",
        Status::Refused => "was refused after",
        Status::Blocked => "was blocked after",
        Status::Different => "found a difference after",
        Status::Bug => "broke after",
        Status::Interrupted | Status::Terminated => "was interrupted after",
    };
    let run = evidence.rsplit('/').next().unwrap_or(evidence);
    let open = Hint::run("evidence open").arg(run).line(&outcome.aim);
    format!("{} {came_of_it} {}: {open}", outcome.command, duration(took))
}

/// Rounded as a person would say it: `12 ms`, `1.3 s`.
fn seconds(took: Duration) -> String {
    if took < Duration::from_secs(1) {
        format!("{} ms", took.as_millis())
    } else {
        format!("{:.1} s", took.as_secs_f64())
    }
}

/// Rows under a header, in columns that align.
pub fn table<const N: usize>(header: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(header);
    rows.into_iter().for_each(|row| {
        table.add_row(row.map(|cell| in_line(&cell)));
    });
    trimmed(&table)
}

fn trimmed(table: &Table) -> String {
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

/// Rows of every table before and after.
pub fn counts_table(counts: &BeforeAfter) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(["  table", "before", "after", "change"]);
    for (name, before, after) in counts.data() {
        let about = counts.about(name);
        let shown = |count: Option<u64>| count.map_or("-".to_owned(), |count| format!("{about}{count}"));
        let change = if about.is_empty() { change(before, after) } else { "estimated".to_owned() };
        table.add_row([format!("  {}", in_line(name)), shown(before), shown(after), change]);
    }
    numbers_to_the_right(table)
}

fn parity_table(comparison: &Comparison) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    let by_row = comparison.pairs.iter().any(|pair| pair.rows.as_ref().is_some_and(RowVerdict::differs));
    let header = ["  pair", "Prisma", "mirror", "difference", "missing / extra / changed"];
    table.set_header(&header[..if by_row { 5 } else { 4 }]);
    for pair in &comparison.pairs {
        let difference = format!("{:+} ({})", pair.delta, percent(pair.diff_pct));
        table.add_row([
            format!("  {}", in_line(&pair.name)),
            pair.prisma.to_string(),
            pair.mirror.to_string(),
            difference,
            pair.rows.as_ref().filter(|_| by_row).map(RowVerdict::figures).unwrap_or_default(),
        ]);
    }
    numbers_to_the_right(table)
}

fn numbers_to_the_right(mut table: Table) -> String {
    for column in 1..5 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    trimmed(&table)
}

fn change(before: Option<u64>, after: Option<u64>) -> String {
    match (before, after) {
        (None, Some(_)) => "new".to_owned(),
        (Some(_), None) => "gone".to_owned(),
        (Some(before), Some(after)) if before == after => "=".to_owned(),
        (Some(before), Some(after)) if after > before => format!("+{}", after - before),
        (Some(before), Some(after)) => format!("-{}", before - after),
        (None, None) => String::new(),
    }
}
