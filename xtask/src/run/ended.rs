//! What a step of our own came to, where it did not fail.

/// In one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// It did what it is for.
    Done(String),
    /// It could not, for a reason that fails no run: nothing was checked, and nothing may look as if it was.
    NotTried(String),
}

impl Ended {
    /// The word of the record, and what is beside it.
    pub fn in_words(self) -> (&'static str, String) {
        match self {
            Ended::Done(detail) => ("ok", detail),
            Ended::NotTried(why) => ("skipped", why),
        }
    }
}

impl From<String> for Ended {
    fn from(detail: String) -> Ended {
        Ended::Done(detail)
    }
}
