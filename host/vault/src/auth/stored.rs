//! What auth methods store: JSON as Go's encoder writes it, with a newline at its end.

use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::keyring::json::position;
use crate::logical::{Error, Result};
use crate::view::View;

/// The stored form.
pub(crate) fn encode(value: &impl Serialize) -> Result<Zeroizing<Vec<u8>>> {
    let text = serde_json::to_string(value).map(Zeroizing::new).map_err(|error| Error::Internal(error.to_string()))?;
    let mut out = Zeroizing::new(Vec::with_capacity(text.len() + 64));
    // In JSON these are only within texts.
    for c in text.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => out.extend_from_slice(format!("\\u{:04x}", u32::from(c)).as_bytes()),
            _ => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'\n');
    Ok(out)
}

/// The entry at a key of the view, or none.
pub(crate) async fn get<T: DeserializeOwned>(view: &View, key: &str) -> Result<Option<T>> {
    let Some(bytes) = view.get(key).await? else { return Ok(None) };
    let read = serde_json::from_slice(&bytes);
    read.map(Some).map_err(|error| Error::Damaged(format!("{}{key}: {}", view.prefix(), position(&error))))
}

/// Stores an entry.
pub(crate) async fn put(view: &View, key: &str, value: &impl Serialize) -> Result<()> {
    view.put(key, &encode(value)?).await
}

#[cfg(test)]
mod tests {
    use super::encode;

    #[test]
    fn texts_are_escaped_as_go_does() {
        let stored = encode(&serde_json::json!({"a": "<&>\u{2028}\u{e9}\n"})).unwrap();
        assert_eq!(String::from_utf8(stored.to_vec()).unwrap(), "{\"a\":\"\\u003c\\u0026\\u003e\\u2028\u{e9}\\n\"}\n");
    }
}
