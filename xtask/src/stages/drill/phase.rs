//! The places of a drill: five stages in their order, of which forward has two.

/// One stage's place in the drill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Leg {
    Forward,
    Backward,
    Again,
    Mirror,
    Parity,
}

impl Leg {
    pub const ALL: [Leg; 5] = [Leg::Forward, Leg::Backward, Leg::Again, Leg::Mirror, Leg::Parity];

    /// From 1, in the order of the drill.
    pub fn number(self) -> usize {
        self as usize + 1
    }

    pub fn name(self) -> &'static str {
        match self {
            Leg::Forward | Leg::Again => "forward",
            Leg::Backward => "backward",
            Leg::Mirror => "mirror",
            Leg::Parity => "parity",
        }
    }

    /// Where its files are in the evidence.
    pub fn chapter(self) -> String {
        format!("{}-{}", self.number(), self.name())
    }

    pub fn in_words(self) -> &'static str {
        match self {
            Leg::Forward => "the first forward",
            Leg::Again => "the second forward",
            other => other.name(),
        }
    }

    pub fn is_of_the_mirror(self) -> bool {
        self >= Leg::Mirror
    }
}
