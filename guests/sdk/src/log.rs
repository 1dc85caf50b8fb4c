//! Lines for the operator's log. The host adds the backend's name, escapes and cuts the text, and drops lines past a rate.

pub use crate::bindings::shared::cofferdam::backend::log::Level;

/// Writes one line. Use the macros, which format as `format!` does.
///
/// Outside WebAssembly, in a guest's unit tests, there is no host: the line goes to stderr.
pub fn write(level: Level, message: &str) {
    if cfg!(target_family = "wasm") {
        crate::bindings::shared::cofferdam::backend::log::write(level, message);
    } else {
        eprintln!("{level:?}: {message}");
    }
}

/// A line that only a developer of the guest wants.
#[macro_export]
macro_rules! trace { ($($text:tt)+) => { $crate::write($crate::Level::Trace, &::std::format!($($text)+)) } }

/// A line for finding a fault.
#[macro_export]
macro_rules! debug { ($($text:tt)+) => { $crate::write($crate::Level::Debug, &::std::format!($($text)+)) } }

/// A line about something ordinary.
#[macro_export]
macro_rules! info { ($($text:tt)+) => { $crate::write($crate::Level::Info, &::std::format!($($text)+)) } }

/// A line about something that the operator should look at.
#[macro_export]
macro_rules! warn { ($($text:tt)+) => { $crate::write($crate::Level::Warn, &::std::format!($($text)+)) } }

/// A line about something that went wrong and is not told by an error that is returned.
#[macro_export]
macro_rules! error { ($($text:tt)+) => { $crate::write($crate::Level::Error, &::std::format!($($text)+)) } }
