//! Where the active server is: `core/leader/<the lock's value>`, behind the barrier, as Vault and OpenBao have it.
//!
//! Without a port between servers there is only the address for clients in it; Vault's standbys then redirect.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::logical::{Error, Result};
use crate::view::View;

/// Where the leaders leave their addresses.
pub(super) const FOLDER: &str = "core/leader/";
/// Between the deletions of two that are out of date.
const CLEANING: Duration = Duration::from_millis(200);

#[derive(Deserialize, Serialize)]
struct Advertisement {
    redirect_addr: String,
}

/// Of the leader that the lock's value names.
pub(super) fn path(leader: &str) -> String {
    format!("{FOLDER}{leader}")
}

/// What an active server with this address leaves.
pub(super) fn write(address: &str) -> Result<Vec<u8>> {
    let advertisement = Advertisement { redirect_addr: address.to_owned() };
    let mut text = serde_json::to_vec(&advertisement).map_err(|error| Error::Internal(format!("{FOLDER}: {error}")))?;
    text.push(b'\n');
    Ok(text)
}

/// The address in what another server left; very old ones left nothing else.
pub(crate) fn read(stored: &[u8]) -> String {
    match serde_json::from_slice::<Advertisement>(stored) {
        Ok(advertisement) => advertisement.redirect_addr,
        Err(_) => String::from_utf8_lossy(stored).trim().to_owned(),
    }
}

/// Deletes what earlier leaders left, slowly.
pub(super) async fn clean(leaders: View, own: String) {
    let names = match leaders.list("").await {
        Ok(names) => names,
        Err(error) => return tracing::debug!(%error, "{FOLDER} was not cleaned"),
    };
    for name in names.into_iter().filter(|name| *name != own) {
        if let Err(error) = leaders.delete(&name).await {
            return tracing::debug!(%error, "{FOLDER} was not cleaned to its end");
        }
        tokio::time::sleep(CLEANING).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_written_as_vault_writes_it_and_read_from_whatever_it_wrote() {
        let written = write("https://a:8200").unwrap();
        assert_eq!(written, b"{\"redirect_addr\":\"https://a:8200\"}\n");
        assert_eq!(read(&written), "https://a:8200");
        assert_eq!(
            read(br#"{"redirect_addr":"http://b","cluster_addr":"https://b:8201","cluster_key_params":{"type":"p521"}}"#),
            "http://b"
        );
        assert_eq!(read(b"http://c\n"), "http://c");
    }
}
