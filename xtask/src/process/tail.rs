//! The last lines of what a child said.

use std::collections::VecDeque;

const LINES: usize = 40;
const LINE: usize = 4096;

#[derive(Default)]
pub struct Tail {
    lines: VecDeque<String>,
    partial: Vec<u8>,
}

impl Tail {
    pub fn remember(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            let room = LINE.saturating_sub(self.partial.len());
            self.partial.extend_from_slice(&piece[..piece.len().min(room)]);
            if piece.ends_with(b"\n") {
                self.end_line();
            }
        }
    }

    pub fn is_in_a_line(&self) -> bool {
        !self.partial.is_empty()
    }

    fn end_line(&mut self) {
        let line = String::from_utf8_lossy(&self.partial).trim_end().to_owned();
        self.partial.clear();
        self.lines.push_back(line);
        if self.lines.len() > LINES {
            self.lines.pop_front();
        }
    }

    pub fn finish(&mut self) -> Vec<String> {
        if self.is_in_a_line() {
            self.end_line();
        }
        std::mem::take(&mut self.lines).into()
    }
}
