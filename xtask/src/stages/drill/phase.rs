//! The places of a drill: five stages in their order, of which forward has two.

/// One stage's place in the drill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    Forward,
    Backward,
    ForwardAgain,
    Mirror,
    Parity,
}

impl Phase {
    pub const ALL: [Phase; 5] = [Phase::Forward, Phase::Backward, Phase::ForwardAgain, Phase::Mirror, Phase::Parity];

    /// From 1, in the order of the drill.
    pub fn number(self) -> usize {
        self as usize + 1
    }

    pub fn name(self) -> &'static str {
        match self {
            Phase::Forward | Phase::ForwardAgain => "forward",
            Phase::Backward => "backward",
            Phase::Mirror => "mirror",
            Phase::Parity => "parity",
        }
    }

    /// Where its files are in the evidence.
    pub fn subfolder(self) -> String {
        format!("{}-{}", self.number(), self.name())
    }

    pub fn in_words(self) -> &'static str {
        match self {
            Phase::Forward => "the first forward",
            Phase::ForwardAgain => "the second forward",
            other => other.name(),
        }
    }
}
