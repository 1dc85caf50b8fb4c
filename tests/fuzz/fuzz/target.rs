//! The target that has this binary's name.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| cofferdam_fuzz::run(env!("CARGO_BIN_NAME"), input));
