//! The files of the views in a run's folder.

pub const REPORT: &str = "report.html";
pub const JUNIT: &str = "junit.xml";
pub const ALL: [&str; 2] = [REPORT, JUNIT];
