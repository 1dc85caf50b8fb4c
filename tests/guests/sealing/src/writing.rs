//! Forms in which a key can be handed on so that anyone can read it.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The bytes in the form of that name; none if no form has it.
pub(crate) fn written(form: &str, bytes: &[u8]) -> Option<Vec<u8>> {
    match form {
        "raw" => Some(bytes.to_vec()),
        "hex" => Some(hex(bytes).into_bytes()),
        "base64" => Some(STANDARD.encode(bytes).into_bytes()),
        "xor" => Some(bytes.iter().map(|byte| byte ^ 0x5a).collect()),
        "reversed" => Some(bytes.iter().rev().copied().collect()),
        _ => None,
    }
}

/// In hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
