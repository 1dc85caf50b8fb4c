//! The mount tables as they are stored.
//!
//! There are four: mounts and auth mounts, each with a table for those that are local to one cluster. The single-entry form is
//! written: one entry `core/mounts` that holds the whole table. OpenBao, on storage with transactions, keeps an entry for each mount
//! (`core/mounts/<uuid>`); those are read if there is no single entry, and then replaced by one. The two forms are never both a source: with
//! both present OpenBao takes the single entry and deletes the others, and so does this. The single entry is therefore written before
//! the others are deleted, and a cut between the two is finished at the next load.
//!
//! An entry for each mount stays so in two cases. Where OpenBao has namespaces: it reads their tables in the form that it finds at the root, and those
//! that have the other are lost to it. And where the whole table is too large for one entry of this storage.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};

use super::entry::Entry;
use crate::logical::{Error, Fields, Result};
use crate::view::View;

/// The longest text of a table: some 50,000 mounts. A packed table that unpacks to more is none that a server wrote.
const LONGEST: u64 = 32 << 20;

/// One of the four tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Mounts,
    LocalMounts,
    Auth,
    LocalAuth,
}

impl Place {
    /// All, in the order in which they are loaded.
    pub(crate) const ALL: [Place; 4] = [Place::Mounts, Place::LocalMounts, Place::Auth, Place::LocalAuth];

    /// Where it is stored.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Place::Mounts => "core/mounts",
            Place::LocalMounts => "core/local-mounts",
            Place::Auth => "core/auth",
            Place::LocalAuth => "core/local-auth",
        }
    }

    /// The folder of OpenBao's form.
    fn folder(self) -> String {
        format!("{}/", self.key())
    }

    /// Its `type` member, which is also its entries' `table`.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Place::Mounts | Place::LocalMounts => "mounts",
            Place::Auth | Place::LocalAuth => "auth",
        }
    }

    /// The table that an entry belongs in.
    pub(crate) fn of(entry: &Entry) -> Place {
        match (entry.table.as_str(), entry.local) {
            ("auth", false) => Place::Auth,
            ("auth", true) => Place::LocalAuth,
            (_, false) => Place::Mounts,
            (_, true) => Place::LocalMounts,
        }
    }
}

/// A table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Table {
    #[serde(rename = "type")]
    kind: String,
    entries: Option<Vec<Entry>>,
    /// Members that other servers keep here.
    #[serde(flatten)]
    other: Fields,
    /// Whether each mount has an entry of its own.
    #[serde(skip)]
    each: bool,
}

impl Table {
    /// A table of this kind, empty.
    pub(crate) fn new(place: Place) -> Table {
        Table { kind: place.kind().to_owned(), ..Table::default() }
    }

    /// A table of audit devices, empty.
    pub(crate) fn audit() -> Table {
        Table { kind: "audit".to_owned(), ..Table::default() }
    }

    /// Its mounts.
    pub(crate) fn entries(&self) -> &[Entry] {
        self.entries.as_deref().unwrap_or_default()
    }

    /// Its mounts, to be changed.
    pub(crate) fn entries_mut(&mut self) -> &mut Vec<Entry> {
        self.entries.get_or_insert_default()
    }

    /// Reads a stored table, compressed or not. `key` is for the error.
    pub(crate) fn decode(key: &str, stored: &[u8]) -> Result<Table> {
        let damaged = |reason: String| Error::Damaged(format!("{key}: {reason}"));
        let text = match stored.split_first() {
            Some((b'G', rest)) => unpacked(GzDecoder::new(rest)).map_err(|reason| damaged(format!("gzip: {reason}")))?,
            Some((b'S', rest)) => unpacked(snap::read::FrameDecoder::new(rest)).map_err(|reason| damaged(format!("snappy: {reason}")))?,
            Some((b'4' | b'L', _)) => {
                return Err(damaged(
                    "is compressed with lz4 or lzw, which only old releases of Vault wrote; have Vault rewrite it (tune a mount)"
                        .to_owned(),
                ));
            }
            _ => stored.to_vec(),
        };
        serde_json::from_slice(&text).map_err(|error| damaged(format!("is no mount table: {error}")))
    }

    /// As it is stored: `G`, then the JSON text and a newline in gzip.
    pub(crate) fn encode(&self) -> Result<Vec<u8>> {
        let failed = |error: &dyn std::fmt::Display| Error::Internal(format!("writing a mount table: {error}"));
        let mut text = serde_json::to_vec(self).map_err(|error| failed(&error))?;
        text.push(b'\n');
        let mut encoder = GzEncoder::new(vec![b'G'], Compression::best());
        encoder.write_all(&text).map_err(|error| failed(&error))?;
        encoder.finish().map_err(|error| failed(&error))
    }

    /// Loads a table; none if there is nothing stored of it.
    pub(crate) async fn load(root: &View, place: Place) -> Result<Option<Table>> {
        if let Some(stored) = root.get(place.key()).await? {
            let table = Table::decode(place.key(), &stored)?;
            remove_per_mount_entries(root, place).await?;
            return Ok(Some(table));
        }
        let names = per_mount_entries(root, place).await?;
        let stays = stays(root).await?;
        if names.is_empty() && !stays {
            return Ok(None);
        }
        let mut table = Table::new(place);
        for name in &names {
            let key = format!("{}{name}", place.folder());
            let Some(stored) = root.get(&key).await? else { continue };
            let entry: Entry = serde_json::from_slice(&stored).map_err(|error| Error::Damaged(format!("{key}: is no mount: {error}")))?;
            table.entries_mut().push(entry);
        }
        table.entries_mut().sort_by(|a, b| a.path.cmp(&b.path));
        if stays {
            table.each = true;
            return Ok(Some(table));
        }
        match table.store(root, place).await {
            Ok(()) => remove_per_mount_entries(root, place).await?,
            Err(Error::TooLarge(reason)) => {
                tracing::error!(reason, "{} stays in the form of one entry for each mount, which Vault does not read", place.key());
                table.each = true;
            }
            Err(other) => return Err(other),
        }
        Ok(Some(table))
    }

    /// Stores it: in one write, or each of its mounts. [`Error::TooLarge`] tells how many fit into one.
    pub(crate) async fn store(&self, root: &View, place: Place) -> Result<()> {
        if self.each {
            return Box::pin(self.store_after(&Table::default(), root, place)).await;
        }
        match root.put(place.key(), &self.encode()?).await {
            Err(Error::TooLarge(reason)) => {
                let (all, fit) = (self.entries().len(), self.fitting(root.largest())?);
                Err(Error::TooLarge(format!(
                    "the mount table {} has no room in one entry of this storage for {all} mounts, as Vault and OpenBao want it: {fit} of them fit ({reason})",
                    place.key()
                )))
            }
            stored => stored,
        }
    }

    /// Stores what is not as it was before. A change of one mount is one write in either form.
    pub(crate) async fn store_after(&self, before: &Table, root: &View, place: Place) -> Result<()> {
        if !self.each {
            return self.store(root, place).await;
        }
        let key = |entry: &Entry| format!("{}{}", place.folder(), entry.uuid);
        for entry in self.entries().iter().filter(|entry| !before.entries().contains(entry)) {
            let mut text = serde_json::to_vec(entry).map_err(|error| Error::Internal(format!("writing a mount: {error}")))?;
            text.push(b'\n');
            root.put(&key(entry), &text).await?;
        }
        for gone in before.entries().iter().filter(|old| self.entries().iter().all(|entry| entry.uuid != old.uuid)) {
            root.delete(&key(gone)).await?;
        }
        Ok(())
    }

    /// How many of its mounts fit into an entry of this size, though not all of them do.
    fn fitting(&self, largest: usize) -> Result<usize> {
        let (mut fit, mut too_many) = (0, self.entries().len());
        while fit + 1 < too_many {
            let middle = fit.midpoint(too_many);
            let entries = self.entries().iter().take(middle).cloned().collect();
            let part = Table { kind: self.kind.clone(), entries: Some(entries), other: self.other.clone(), each: false };
            if part.encode()?.len() <= largest {
                fit = middle;
            } else {
                too_many = middle;
            }
        }
        Ok(fit)
    }
}

fn unpacked(reader: impl Read) -> Result<Vec<u8>, String> {
    let mut text = Vec::new();
    reader.take(LONGEST + 1).read_to_end(&mut text).map_err(|error| error.to_string())?;
    if u64::try_from(text.len()).is_ok_and(|len| len <= LONGEST) { Ok(text) } else { Err(format!("unpacks to more than {LONGEST} bytes")) }
}

/// Whether the form of one entry for each mount stays: OpenBao has namespaces, and has them so.
async fn stays(root: &View) -> Result<bool> {
    Ok(!root.list("core/namespaces/").await?.is_empty() && root.get(Place::Mounts.key()).await?.is_none())
}

async fn per_mount_entries(root: &View, place: Place) -> Result<Vec<String>> {
    let mut names = root.list(&place.folder()).await?;
    names.retain(|name| !name.ends_with('/'));
    Ok(names)
}

async fn remove_per_mount_entries(root: &View, place: Place) -> Result<()> {
    for name in per_mount_entries(root, place).await? {
        root.delete(&format!("{}{name}", place.folder())).await?;
    }
    Ok(())
}
