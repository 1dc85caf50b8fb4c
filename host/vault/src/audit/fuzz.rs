//! The settings of stored devices, for [`crate::fuzz`].

use std::collections::BTreeMap;

use super::settings::{KINDS, Settings};

/// The settings of a device of any type: a JSON object of texts.
pub fn audit_settings(bytes: &[u8]) {
    let Ok(options) = serde_json::from_slice::<BTreeMap<String, String>>(bytes) else { return };
    for (kind, _) in KINDS {
        match Settings::parse(kind, &options) {
            Ok(settings) => assert!(settings.mode.is_none_or(|mode| mode <= 0o7777), "a mode of {:?}", settings.mode),
            Err(wrong) => assert!(!wrong.advice().is_empty(), "a device is refused without a word"),
        }
    }
}
