//! Whose turn it is on a connection: whether the server owes an answer, and since when nothing has moved.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Of one session, kept by its relay and read by who watches it.
pub struct Turn(Mutex<State>);

struct State {
    moved: Instant,
    /// Requests that the server was sent; the last one is open while it owes an answer.
    requests: u64,
    /// How often it is still to say that it is ready: a client may ask twice before it reads the first answer.
    owed: u32,
    /// Between the server's word that it is ready for rows and the client's that there are no more: it is the client's turn.
    copying: bool,
    /// The end of the rows was said, which is answered; a Sync right behind it has no answer of its own.
    copied: bool,
    /// Something is being written to the server, or to the client: that takes as long as the other end does not read.
    sending: bool,
    bringing: bool,
    from_client: Borders,
    from_server: Borders,
}

impl Turn {
    /// `owes` from the start: a login.
    pub fn new(owes: bool) -> Turn {
        let (from_client, from_server) = Default::default();
        let state = State {
            moved: Instant::now(),
            requests: 0,
            owed: u32::from(owes),
            copying: false,
            copied: false,
            sending: false,
            bringing: false,
            from_client,
            from_server,
        };
        Turn(Mutex::new(state))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The client's `bytes` are about to be written to the server. Only what is certainly answered makes the server owe an answer: rows of a
    /// COPY are not, and what is sent before a Sync may wait for it.
    pub fn sends(&self, bytes: &[u8]) {
        let mut state = self.state();
        (state.moved, state.sending) = (Instant::now(), true);
        let State { from_client, requests, owed, copying, copied, .. } = &mut *state;
        from_client.follow(bytes, |tag| {
            match tag {
                b'S' if *copied || *copying => {}
                b'Q' | b'S' | b'F' => *owed += 1,
                b'c' | b'f' => (*owed, *copying) = (1, false),
                b'X' => *owed = 0,
                _ => {}
            }
            *requests += u64::from(matches!(tag, b'Q' | b'S' | b'F' | b'c' | b'f'));
            *copied = matches!(tag, b'c' | b'f');
        });
    }

    /// The server's `bytes` are about to be written to the client. Ready for a query, or for rows: it is the client's turn.
    pub fn brings(&self, bytes: &[u8]) {
        let mut state = self.state();
        (state.moved, state.bringing) = (Instant::now(), true);
        let State { from_server, owed, copying, .. } = &mut *state;
        from_server.follow(bytes, |tag| match tag {
            b'Z' => (*owed, *copying) = (owed.saturating_sub(1), false),
            b'G' | b'W' => (*owed, *copying) = (0, true),
            _ => {}
        });
    }

    pub fn sent(&self) {
        let mut state = self.state();
        (state.moved, state.sending) = (Instant::now(), false);
    }

    pub fn brought(&self) {
        let mut state = self.state();
        (state.moved, state.bringing) = (Instant::now(), false);
    }

    /// Since when nothing has moved although it is the server's turn: to answer, or to take what it is sent.
    pub fn silent_since(&self) -> Option<Instant> {
        let state = self.state();
        ((state.owed > 0 || state.sending) && !state.bringing).then_some(state.moved)
    }

    /// The number of the request that is open, or was last.
    pub fn request(&self) -> u64 {
        self.state().requests
    }

    /// Whether a message of ours may follow what the client got so far.
    pub fn between_messages(&self) -> bool {
        let state = self.state();
        state.from_server.at_one() && !state.bringing
    }
}

/// The borders of messages in a stream that comes in pieces: a tag, a length, and that many bytes.
#[derive(Default)]
pub struct Borders {
    header: [u8; 5],
    read: usize,
    left: usize,
}

impl Borders {
    /// Calls `ends` with the tag of each message of which `bytes` hold the end: before that nothing was said.
    pub fn follow(&mut self, mut bytes: &[u8], mut ends: impl FnMut(u8)) {
        while !bytes.is_empty() {
            let body = self.left.min(bytes.len());
            self.left -= body;
            if body > 0 && self.left == 0 {
                ends(self.header[0]);
            }
            let head = (self.header.len() - self.read).min(bytes.len() - body);
            self.header[self.read..self.read + head].copy_from_slice(&bytes[body..body + head]);
            self.read += head;
            bytes = &bytes[body + head..];
            if self.read == self.header.len() {
                let [tag, length @ ..] = self.header;
                // The length counts itself.
                self.left = (u32::from_be_bytes(length) as usize).saturating_sub(4);
                self.read = 0;
                if self.left == 0 {
                    ends(tag);
                }
            }
        }
    }

    pub fn at_one(&self) -> bool {
        self.read == 0 && self.left == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(tag: u8, body: usize) -> Vec<u8> {
        let length = u32::try_from(body + 4).unwrap().to_be_bytes();
        [&[tag][..], &length, &vec![b'Z'; body]].concat()
    }

    #[test]
    fn borders_are_found_however_the_stream_is_cut() {
        let stream =
            [message(b'T', 20), message(b'D', 7), message(b'D', 0), message(b'C', 3), message(b'Z', 1)].concat();
        for size in 1..=stream.len() {
            let (mut borders, mut tags) = (Borders::default(), Vec::new());
            stream.chunks(size).for_each(|piece| borders.follow(piece, |tag| tags.push(tag)));
            assert_eq!((tags.as_slice(), borders.at_one()), (&b"TDDCZ"[..], true), "in pieces of {size}");
            borders.follow(&stream[..size.min(3)], |_| {});
            assert!(!borders.at_one());
        }
    }

    /// Who says what, in order, and whether the server owes an answer then.
    #[test]
    fn the_server_owes_an_answer_from_a_request_until_it_is_ready() {
        let turn = Turn::new(false);
        let owes = |from: char, tag: u8| {
            match from {
                '>' => (turn.sends(&message(tag, 9)), turn.sent()),
                _ => (turn.brings(&message(tag, 9)), turn.brought()),
            };
            turn.silent_since().is_some()
        };
        let said = |conversation: &str| -> String {
            conversation
                .split(' ')
                .map(|word| if owes(word.as_bytes()[0].into(), word.as_bytes()[1]) { 'y' } else { '-' })
                .collect()
        };
        assert_eq!(said(">Q <T <D <C <Z"), "yyyy-");
        assert_eq!(said(">P >D >S <1 <T <Z >B >E >S <2 <D <C <Z"), "--yyy---yyyy-", "before Sync nothing is owed");
        assert_eq!(said(">B >E >S <2 <G >d >d >c >S <C <Z"), "--yy---yyy-", "rows of a COPY are not answered");
        assert_eq!(said(">Q <H <d <d <c <C <Z"), "yyyyyy-");
        assert_eq!(said("<N <A <S >Q <E <Z >X"), "---yy--");
        assert_eq!(turn.request(), 8);
        assert_eq!(said(">C >S >Q <3 <Z <T <C <Z"), "-yyyyyy-", "a client asks twice before it reads");
        assert_eq!(said(">B >E >S <2 <G >d >S >f >S <E <Z"), "--yy---yyy-", "rows that end in a failure");
    }

    #[test]
    fn half_of_a_word_is_none() {
        let turn = Turn::new(true);
        let ready = message(b'Z', 1);
        turn.brings(&ready[..5]);
        turn.brought();
        assert!(turn.silent_since().is_some());
        turn.brings(&ready[5..]);
        turn.brought();
        assert!(turn.silent_since().is_none());
    }

    #[test]
    fn who_does_not_read_is_waited_for() {
        let turn = Turn::new(false);
        turn.sends(&message(b'd', 9));
        assert!(turn.silent_since().is_some(), "the server does not take a row");
        turn.brings(&message(b'N', 9));
        assert!(turn.silent_since().is_none(), "and the client does not take a notice: it is its turn");
        assert!(!turn.between_messages());
    }
}
