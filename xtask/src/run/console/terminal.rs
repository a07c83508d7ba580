//! The terminal of the spinners, which may go while a run goes on: indicatif panics on the first write that fails.

use std::io;

use ::console::Term;
use indicatif::{MultiProgress, ProgressDrawTarget, TermLike};

const REFRESHES_A_SECOND: u8 = 20;

/// Spinners on stderr where it is a terminal that shows them.
pub fn progress(live: bool, color: bool) -> MultiProgress {
    ::console::set_colors_enabled_stderr(color);
    let usual = ProgressDrawTarget::stderr();
    let lasting = || Box::new(Lasting(Term::buffered_stderr()));
    MultiProgress::with_draw_target(if live && !usual.is_hidden() {
        ProgressDrawTarget::term_like_with_hz(lasting(), REFRESHES_A_SECOND)
    } else {
        ProgressDrawTarget::hidden()
    })
}

/// What cannot be written is not missed.
#[derive(Debug)]
struct Lasting(Term);

impl TermLike for Lasting {
    fn width(&self) -> u16 {
        self.0.size().1
    }

    fn height(&self) -> u16 {
        self.0.size().0
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_up(n).or(Ok(()))
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_down(n).or(Ok(()))
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_right(n).or(Ok(()))
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_left(n).or(Ok(()))
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.0.write_line(text).or(Ok(()))
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.0.write_str(text).or(Ok(()))
    }

    fn clear_line(&self) -> io::Result<()> {
        self.0.clear_line().or(Ok(()))
    }

    fn flush(&self) -> io::Result<()> {
        self.0.flush().or(Ok(()))
    }
}
