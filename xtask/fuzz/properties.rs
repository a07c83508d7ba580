//! One program for all targets: `FUZZ_TARGET` says which one libFuzzer tries.

#![no_main]

use std::sync::LazyLock;

static PROPERTY: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let wanted = std::env::var("FUZZ_TARGET").unwrap_or_default();
    let mut targets = xtask::fuzz::TARGETS.iter().chain(&pin::fuzz::TARGETS).chain(&redact::fuzz::TARGETS);
    targets.find(|(name, ..)| *name == wanted).map(|(.., property)| *property).expect("FUZZ_TARGET names a target")
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| PROPERTY(bytes));
