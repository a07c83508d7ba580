//! The staging drill: `cargo xtask`.

#![forbid(unsafe_code)]

mod error;
mod secret;
mod target;

fn main() {}
