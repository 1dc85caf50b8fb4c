//! Every parser of what a guest, a client, a storage or an operator hands in, as a function of bytes that must not panic, take long, or take much
//! memory.
//!
//! A [`Target`] is such a function with inputs to begin from. [`drive`] feeds it changed ones for a while, on stable Rust and in every run of the
//! tests; `fuzz/` makes libFuzzer targets of the same functions, which see what code an input reaches and go on for hours. The rule: what either
//! has found stays in `findings/TARGET/`, and every test run tries it again.

mod drive;
mod hold;
mod mutate;
pub mod targets;

pub use drive::{Finding, budget, drive, replay, seed};
pub use targets::TARGETS;

/// A parser, and what it is tried with.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name: of the test, of the libFuzzer target, and of the directory of its findings.
    pub name: &'static str,
    /// Takes any bytes. It panics if the parser does, or breaks a promise.
    pub run: fn(&[u8]),
    /// Inputs of which most are taken.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// What its language is made of.
    pub words: &'static [&'static str],
}

/// Runs the target of this name. For libFuzzer, which knows its name only.
///
/// # Panics
///
/// When the target does, which is what is looked for; and when there is none of this name.
pub fn run(name: &str, input: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name);
    assert!(target.is_some(), "there is no fuzz target {name:?}");
    if let Some(target) = target {
        (target.run)(input);
    }
}
