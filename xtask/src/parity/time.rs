//! Stretches of time, and what both sides hold in them.

use jiff::Timestamp;
use serde::Serialize;

/// Seconds since 1970, UTC.
pub type Second = i64;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Width {
    Day,
    Hour,
    Minute,
}

/// From the first second to the one after the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Range {
    #[serde(serialize_with = "rfc3339")]
    pub from: Second,
    #[serde(serialize_with = "rfc3339")]
    pub to: Second,
}

/// What both sides hold from `start` on, for one width.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Bucket {
    #[serde(serialize_with = "rfc3339")]
    pub start: Second,
    pub prisma: u64,
    pub mirror: u64,
}

impl Width {
    pub fn seconds(self) -> Second {
        match self {
            Width::Day => 86_400,
            Width::Hour => 3_600,
            Width::Minute => 60,
        }
    }

    pub fn word(self) -> &'static str {
        match self {
            Width::Day => "day",
            Width::Hour => "hour",
            Width::Minute => "minute",
        }
    }
}

impl Bucket {
    /// Negative where the mirror has fewer.
    pub fn delta(&self) -> i64 {
        self.mirror as i64 - self.prisma as i64
    }
}

/// As an instant of jiff's; one outside of its years is its first or last.
pub fn instant(second: Second) -> Timestamp {
    Timestamp::from_second(second).unwrap_or(if second < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

fn rfc3339<S: serde::Serializer>(second: &Second, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&instant(*second))
}
