//! The picture in the README: a terminal with what its first command printed, as SVG.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use chores::{cargo, workspace};
use maud::{Markup, PreEscaped, html};
use xshell::Shell;

const COMMAND: &str = "cargo xtask drill --sandbox";

/// What is kept there makes the next run another one.
const KEPT: &str = ".drill";

/// Writes the picture again.
pub fn write(shell: &Shell) -> Result<()> {
    ensure!(!shell.path_exists(KEPT), "the picture is of a first run: do this in a clone that has no `{KEPT}`");
    let shown = shown(&run(shell)?);
    Ok(fs::write(file(), svg(&shown))?)
}

/// Runs the command, and compares what it prints with the picture.
pub fn compare(shell: &Shell) -> Result<()> {
    let is_first = !shell.path_exists(KEPT);
    let (said, picture) = (run(shell)?, fs::read_to_string(file())?);
    if !is_first {
        println!("docs/drill.svg was not compared: it is of a first run, and there is a `{KEPT}` of earlier ones");
        return Ok(());
    }
    let drawn = text_of(&picture).context("docs/drill.svg has no text: cargo chore picture")?;
    ensure!(svg(&drawn) == picture, "docs/drill.svg was not made by the script: cargo chore picture");
    let (drawn, said) = (lines(&drawn), lines(&shown(&said)));
    let (false_now, missing) = (beyond(&drawn, &said), beyond(&said, &drawn));
    ensure!(
        false_now.is_empty() && missing.is_empty(),
        "docs/drill.svg is out of date: cargo chore picture\nno longer printed:\n{}\nnot in the picture:\n{}",
        false_now.join("\n"),
        missing.join("\n")
    );
    Ok(())
}

fn file() -> PathBuf {
    workspace().join("docs/drill.svg")
}

/// What the command prints.
fn run(shell: &Shell) -> Result<String> {
    let words: Vec<&str> = COMMAND.split(' ').skip(1).collect();
    let output = std::process::Command::from(cargo(shell).args(words)).stderr(Stdio::piped()).output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    eprint!("{said}");
    ensure!(output.status.success(), "{COMMAND} failed");
    Ok(said)
}

/// From the target to the evidence: what comes before is cargo's, npm's and the sandbox's.
fn shown(said: &str) -> Vec<String> {
    let lines = said.lines().skip_while(|line| !line.starts_with("Target: "));
    lines.map(|line| line.trim_end().to_owned()).collect()
}

/// Without what is another in each run, and each as often as it is there: steps that run side by side end in any order.
fn lines(shown: &[String]) -> BTreeMap<String, usize> {
    let mut lines = BTreeMap::new();
    for line in shown.iter().filter(|line| !is_of_the_machine(line)) {
        *lines.entry(steady(line)).or_default() += 1;
    }
    lines
}

/// How long others waited, and what lasted so long that it was told meanwhile, depends on what else the machine does.
fn is_of_the_machine(line: &str) -> bool {
    line.contains("verify waits: ") || line.contains("it was not watched") || line.trim_start().starts_with("… ")
}

/// Times go, and every number and name with a number in it is 0.
fn steady(line: &str) -> String {
    let timed = line.rsplit_once("  (").filter(|(_, time)| time.starts_with(|c: char| c.is_ascii_digit()));
    let line = timed.map_or(line, |(line, _)| line);
    // Seconds in one run, and minutes in another.
    if let Some((before, _)) = line.split_once(" passed in ") {
        return format!("{before} passed");
    }
    let (mut steady, mut word) = (String::new(), String::new());
    for c in line.chars().chain(['\n']) {
        if c.is_alphanumeric() || c == '_' || c == '-' {
            word.push(c);
            continue;
        }
        steady.push_str(if word.contains(|c: char| c.is_ascii_digit()) { "0" } else { &word });
        word.clear();
        steady.push(c);
    }
    steady.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn beyond(one: &BTreeMap<String, usize>, other: &BTreeMap<String, usize>) -> Vec<String> {
    let more = one.iter().filter(|(line, count)| other.get(*line).is_none_or(|there| there < *count));
    more.map(|(line, _)| format!("  {line}")).collect()
}

const COLUMNS: usize = 132;

fn svg(shown: &[String]) -> String {
    let drawn = shown.iter().filter(|line| !is_of_the_machine(line));
    let rows = drawn.clone().count() + 1;
    let (width, height) = (COLUMNS * 8 + 32, rows * 19 + 62);
    let picture = html! {
        svg xmlns="http://www.w3.org/2000/svg" viewBox=(format!("0 0 {width} {height}")) role="img" {
            title { (COMMAND) }
            desc { (PreEscaped("\n")) (shown.join("\n")) (PreEscaped("\n")) }
            style { (STYLE) }
            rect width="100%" height="100%" rx="8" {}
            circle cx="20" cy="18" r="6" fill="#f7768e" {}
            circle cx="40" cy="18" r="6" fill="#e0af68" {}
            circle cx="60" cy="18" r="6" fill="#9ece6a" {}
            (PreEscaped("\n"))
            (row(0, html! { tspan class="dim" { "$ " } tspan class="head" { (COMMAND) } }))
            @for (at, line) in drawn.enumerate() { (row(at + 1, painted(line))) }
        }
    };
    format!("{}\n", picture.into_string())
}

const STYLE: &str = "rect{fill:#1a1b26}text{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;\
fill:#c0caf5;white-space:pre}.ok{fill:#9ece6a}.head{font-weight:bold}.dim{fill:#7a84ad}";

fn row(at: usize, text: Markup) -> Markup {
    html! { text x="16" y=(at * 19 + 52) { (text) } (PreEscaped("\n")) }
}

/// As a terminal paints it, and cut where it is too wide.
fn painted(line: &str) -> Markup {
    let cut: String = match line.char_indices().nth(COLUMNS) {
        Some(_) => line.chars().take(COLUMNS - 1).chain(['…']).collect(),
        None => line.to_owned(),
    };
    let stage = cut.ends_with(':') && !cut.starts_with(' ');
    match (cut.split_once('✓'), cut.rsplit_once("  (")) {
        (Some((before, after)), timed) => {
            let (after, time) = match timed {
                Some(_) => {
                    after.rsplit_once("  (").map_or((after, String::new()), |(what, time)| (what, format!("  ({time}")))
                }
                None => (after, String::new()),
            };
            html! { (before) tspan class="ok" { "✓" } (after) tspan class="dim" { (time) } }
        }
        _ if stage => html! { tspan class="head" { (cut) } },
        _ => html! { (cut) },
    }
}

/// The lines that a picture was made of.
fn text_of(picture: &str) -> Option<Vec<String>> {
    let text = picture.split_once("<desc>\n")?.1.split_once("\n</desc>")?.0;
    let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&");
    Some(text.lines().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "\
   Compiling x
Target: sandbox is database `d` on 127.0.0.1:4011 <&\">
forward:
  ✓ migrate deploy: done  (3.4 s)
  ✓ verify waits: looked 3 times
  ✓ snapshot: 3000 rows (all) in `20261122T235350Z-68c476`
";

    #[test]
    fn a_picture_tells_what_it_was_made_of_and_times_and_names_may_differ() {
        let drawn = text_of(&svg(&shown(SAID))).unwrap();
        assert_eq!(drawn, shown(SAID));
        let other = SAID
            .replace("3.4 s", "211 ms")
            .replace("looked 3 times", "x")
            .replace("3000", "12")
            .replace("68c476", "abcdef")
            .replace("  ✓ migrate deploy", "  … migrate deploy: 20 s\n  ✓ migrate deploy");
        assert_eq!(lines(&shown(&other)), lines(&drawn));
        let told = lines(&shown(&SAID.replace("deploy: done", "deploy: nothing")));
        assert_eq!(beyond(&lines(&drawn), &told), ["  ✓ migrate deploy: done"]);
        assert_eq!(beyond(&told, &lines(&drawn)), ["  ✓ migrate deploy: nothing"]);
    }

    #[test]
    fn the_picture_was_made_by_this_script() {
        let picture = fs::read_to_string(file()).unwrap();
        assert_eq!(svg(&text_of(&picture).unwrap()), picture);
    }
}
