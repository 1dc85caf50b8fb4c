//! What is wrong with a start.

use std::fmt;

/// All that is wrong with the settings. Each line names the flag, the variable or the place in the file.
#[derive(Debug)]
pub struct SettingsError {
    mistakes: Vec<String>,
}

impl SettingsError {
    pub(super) fn new(mistakes: Vec<String>) -> SettingsError {
        SettingsError { mistakes }
    }

    /// What is wrong, one by one.
    pub fn mistakes(&self) -> &[String] {
        &self.mistakes
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mistakes.as_slice() {
            [one] => f.write_str(one),
            all => {
                write!(f, "{} mistakes:", all.len())?;
                all.iter().try_for_each(|mistake| write!(f, "\n  * {mistake}"))
            }
        }
    }
}

impl std::error::Error for SettingsError {}
