//! The causes that `doctor` names: each made for real, named alone, and gone once its fix was applied as it is written.

mod declared;
mod history;
mod network;
#[path = "../../it/doctor/patient.rs"]
mod patient;
mod programs;
mod server;
mod tls;
