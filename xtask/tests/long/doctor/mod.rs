//! More causes that `doctor` names, as `tests/it/doctor` has the others.

mod history;
#[path = "../../it/doctor/patient.rs"]
#[allow(dead_code, reason = "shared with CI's tests")]
mod patient;
mod programs;
mod tls;
