//! Keeping what key services keep under their keys of today, one copy with each service that is configured.
//!
//! The rule: nothing that opens is given up for something that could not be made; what cannot be renewed stays as it is, is told, and is tried again.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use zeroize::Zeroizing;

use super::Inner;
use super::journal::Change;
use crate::crypto;
use crate::logical::{Error, Result};
use crate::seal::blob::{self, Header};
use crate::seal::copies::{Blobs, Kept, RECOVERY_KEY, STORED_KEYS};
use crate::seal::{AutoSeal, stored};

/// By service: the key that it would use now; none if it cannot be asked.
type Current = BTreeMap<String, Option<String>>;

impl Inner {
    /// Puts what the key services protect under their keys of today. The barrier is open and this server may write.
    ///
    /// A failure is only told, for the keys open as they are; except where the service's guest has seen the root key: that one is replaced, or
    /// the vault is not opened.
    pub(super) async fn renew_seal(&self) -> Result<()> {
        if !self.is_auto() {
            return self.forget_copies().await;
        }
        if let Some(blobs) = self.blobs(&STORED_KEYS).await?
            && Header::of(STORED_KEYS.path, &blobs.usual)?.direct
        {
            self.store_root_alone().await?;
            tracing::warn!(
                "the root key was stored encrypted by the key service itself, so that its plugin has seen it: it was replaced, and the new one is \
                 stored under a data-encryption key (mechanism 1); allow_direct_blob can be removed"
            );
        }
        let current = self.current_keys().await;
        if self.has_several() {
            self.services.note_keys(&current.values().cloned().collect());
        }
        let mut change = Change::new();
        // Each by itself: a recovery key that is missing or does not open is no reason to leave the stored keys under an old key.
        for kept in [&RECOVERY_KEY, &STORED_KEYS] {
            match self.renewed(kept, &current).await {
                Ok(part) => change = change.and(part),
                Err(error) => tracing::warn!(%error, "the {} cannot be renewed; this is tried again at the next unseal", kept.name),
            }
        }
        if !change.is_empty()
            && let Err(error) = self.make(change).await
        {
            tracing::warn!(%error, "the stored keys stay under the keys that they are under; this is tried again at the next unseal");
        }
        Ok(())
    }

    async fn current_keys(&self) -> Current {
        let mut current = Current::new();
        for seal in &self.seal.seals {
            let asked = async { seal.backend.key_id().await.map_err(|error| seal.failed(error)) };
            let key = self.within(seal, asked).await.inspect_err(|error| {
                tracing::warn!(seal = seal.name, %error, "the key service does not say which key is its key of today; what it holds stays as it is");
            });
            current.insert(seal.name.clone(), key.ok());
        }
        current
    }

    /// What is to be changed, so that every service has a copy under its key of today.
    async fn renewed(&self, kept: &Kept, current: &Current) -> Result<Change> {
        let Some(before) = self.blobs(kept).await? else {
            self.services.note(kept, BTreeSet::new());
            return Ok(Change::new());
        };
        let (mut held, mut lacking, mut plain) = (Vec::new(), BTreeSet::new(), None);
        for seal in &self.seal.seals {
            match self.renewed_at(seal, kept, &before, current, &mut plain).await? {
                Some(blob) => held.push((seal.name.clone(), blob)),
                None => drop(lacking.insert(seal.name.clone())),
            }
        }
        // Nobody knows whose the blob at Vault's place is, and not everybody has one to open the vault with instead.
        let unowned = before.seal.as_deref().is_none_or(|owner| !self.seal_names().contains(&owner));
        let given_up = unowned && !lacking.is_empty() && held.iter().all(|(_, blob)| *blob != before.usual);
        let after = if given_up { None } else { Blobs::arranged(before.generation.max(1), held) };
        self.services.note(kept, if self.has_several() { lacking } else { BTreeSet::new() });
        let Some(after) = after else { return Ok(Change::new()) };
        self.arrange(kept, &before, &after)
    }

    /// The service's copy, made anew if it has none or one under another key; none if there is none and none can be made.
    async fn renewed_at(
        &self,
        seal: &AutoSeal,
        kept: &Kept,
        before: &Blobs,
        current: &Current,
        plain: &mut Option<Zeroizing<Vec<u8>>>,
    ) -> Result<Option<Bytes>> {
        let names = self.seal_names();
        let blob = before.of(&seal.name, &names).cloned();
        let header = blob.as_ref().and_then(|blob| Header::of(kept.path, blob).ok());
        // What nobody has put a name to is any service's, but proof of none's.
        let own = !self.has_several() || before.copies.contains_key(&seal.name) || before.seal.as_deref() == Some(&seal.name);
        let kept_as_it_is = blob.filter(|_| own);
        let Some(Some(now)) = current.get(&seal.name) else { return Ok(kept_as_it_is) };
        match header {
            Some(header) if header.key_id == *now && !header.direct => return Ok(before.of(&seal.name, &names).cloned()),
            Some(header) if own => {
                if let (Some(blob), true) = (&kept_as_it_is, self.shared && !self.has_several())
                    && let Err(error) = blob::open(seal, kept.path, blob).await
                {
                    tracing::warn!(
                        seal = seal.name, %error, from = header.key_id, to = now,
                        "the {} stay under a key that this server's configuration does not open: another server was given another key; configure all of them alike",
                        kept.name
                    );
                    return Ok(kept_as_it_is);
                }
                if header.direct && kept.path == RECOVERY_KEY.path {
                    tracing::warn!(
                        "the recovery key was stored encrypted by the key service itself, so that its plugin has seen it: replace it, by a rekey of the recovery key"
                    );
                }
                tracing::info!(seal = seal.name, from = header.key_id, to = now, "upgrading {}", kept.name);
            }
            _ => tracing::info!(seal = seal.name, key = now, "giving this seal a copy of the {}", kept.name),
        }
        if plain.is_none() {
            *plain = Some(self.plain(kept).await?);
        }
        let plain = plain.as_ref().map(|plain| plain.as_slice()).unwrap_or_default();
        match self.within(seal, tried(seal, kept, plain)).await {
            Ok(blob) => Ok(Some(Bytes::from(blob))),
            Err(error) => {
                tracing::warn!(seal = seal.name, %error, "this seal cannot encrypt the {} now and decrypt it again; this is tried again", kept.name);
                Ok(kept_as_it_is)
            }
        }
    }

    async fn plain(&self, kept: &Kept) -> Result<Zeroizing<Vec<u8>>> {
        if kept.path == STORED_KEYS.path {
            let root = self.barrier.with_keyring(|keyring| Ok(keyring.root().clone()))?;
            return stored::plain(&root);
        }
        self.open_kept(kept).await?.ok_or_else(|| Error::Damaged(format!("{} is gone", kept.path)))
    }

    /// From one arrangement to the other.
    fn arrange(&self, kept: &Kept, before: &Blobs, after: &Blobs) -> Result<Change> {
        let names = self.seal_names();
        let mut change = Change::new();
        for gone in before.copies.keys().chain(&before.seal).filter(|name| !names.contains(&name.as_str())) {
            tracing::info!(seal = gone, "deleting the copy of the {} of a seal that is not configured any more", kept.name);
        }
        if after.usual != before.usual {
            if before.seal.is_some() && before.seal != after.seal {
                tracing::info!(
                    from = before.seal,
                    to = after.seal,
                    "{} is of another seal from now on: the preferred one of those that are there",
                    kept.path
                );
            }
            change = change.put(kept.path, after.usual.to_vec());
        }
        let same = (&before.usual, &before.seal, &before.copies) == (&after.usual, &after.seal, &after.copies);
        if !self.has_several() {
            return Ok(if before.beside { change.delete(kept.copies) } else { change });
        }
        Ok(if same { change } else { change.put(kept.copies, after.index()?) })
    }

    /// Deletes what several key services have left beside Vault's entries: Shamir's shares open the vault now.
    async fn forget_copies(&self) -> Result<()> {
        let mut change = Change::new();
        for kept in [&STORED_KEYS, &RECOVERY_KEY] {
            if self.read(kept.copies).await?.is_some() {
                tracing::info!("deleting {}, which is left of key services", kept.copies);
                change = change.delete(kept.copies);
            }
        }
        if change.is_empty() { Ok(()) } else { self.make(change).await }
    }
}

/// Encrypts, and decrypts for a try: a key that may encrypt only would lock the vault at the next start.
async fn tried(seal: &AutoSeal, kept: &Kept, plain: &[u8]) -> Result<Vec<u8>> {
    let blob = blob::seal(seal, plain).await?;
    let again = blob::open(seal, kept.path, &blob).await?;
    if crypto::same(&again, plain) {
        return Ok(blob);
    }
    Err(Error::Internal(format!("the {} came back from the key service as something else", kept.name)))
}
