//! Pages of a listing.
//!
//! WASI has no way to read part of a directory, so a page reads all its names; of these only as many are kept as the page can hold.

use cofferdam_guest::Result;
use cofferdam_guest::storage::Page;
use wasip2::filesystem::types::ErrorCode;

use crate::disk::{self, Kind};
use crate::layout::{RESERVED, leaf_of};

/// The most names on a page, whatever the caller asked for: with the longest names about 2 MiB.
const PAGE: usize = 8_192;

/// The names directly below the folder that sort after `after`.
pub(crate) fn page(folder: &str, after: &str, limit: u32) -> Result<Page> {
    let directory = folder.strip_suffix('/').unwrap_or(folder);
    if directory == RESERVED || directory.strip_prefix(RESERVED).is_some_and(|below| below.starts_with('/')) {
        return Ok(Page { names: Vec::new(), more: false });
    }
    let limit = usize::try_from(limit).unwrap_or(PAGE).clamp(1, PAGE);
    let mut after = after.to_owned();
    loop {
        let mut names = names_after(directory, &after, limit + 1)?;
        let more = names.len() > limit;
        names.truncate(limit);
        let last = names.last().cloned();
        let mut kept = Vec::with_capacity(names.len());
        for name in names {
            if is_entry(directory, &name)? {
                kept.push(name);
            }
        }
        match last {
            // A whole page of folders that hold nothing: the caller could not go on from an empty page.
            Some(last) if more && kept.is_empty() => after = last,
            _ => return Ok(Page { names: kept, more }),
        }
    }
}

/// The first `most` names after `after`, sorted, with folders that may turn out to be empty.
fn names_after(directory: &str, after: &str, most: usize) -> Result<Vec<String>> {
    let mut names: Vec<String> = Vec::new();
    let mut links = Vec::new();
    let mut foreign = 0_u32;
    let mut keep = |name: String| {
        if name.as_str() <= after {
            return;
        }
        // No key has such a name; the host takes none from a guest.
        if name.chars().any(char::is_control) || matches!(name.as_str(), "." | "..") {
            foreign += 1;
            return;
        }
        names.push(name);
        // Now and then all but the smallest are let go, so that memory is bound by the page and not by the folder.
        if names.len() >= 2 * most + 64 {
            names.select_nth_unstable(most);
            names.truncate(most);
        }
    };
    disk::read_directory(directory, |kind, name| {
        match kind {
            Kind::Directory if directory.is_empty() && name == RESERVED => {}
            Kind::Directory => keep(name + "/"),
            Kind::File => {
                if let Some(leaf) = leaf_of(&name) {
                    keep(leaf.to_owned());
                }
            }
            Kind::Link => links.push(name),
            Kind::Other => {}
        }
        true
    })?;
    for name in links {
        let path = disk::join(directory, &name);
        match disk::kind_of(&path)? {
            Ok((Kind::Directory, _)) => keep(name + "/"),
            Ok((Kind::File, _)) => {
                if let Some(leaf) = leaf_of(&name) {
                    keep(leaf.to_owned());
                }
            }
            Ok(_) | Err(ErrorCode::NoEntry) => {}
            Err(code) => cofferdam_guest::warn!("symbolic link {path:?} was left out of a listing: {}", code.name()),
        }
    }
    if foreign > 0 {
        cofferdam_guest::warn!("directory {directory:?}: {foreign} names that no key has were left out of a listing");
    }
    names.sort_unstable();
    // A directory that changes while it is read may give a name twice.
    names.dedup();
    names.truncate(most);
    Ok(names)
}

/// Whether a name of the directory stands for an entry: a folder with something below, or a file that is no empty `.temp` of Vault's.
fn is_entry(directory: &str, name: &str) -> Result<bool> {
    if let Some(folder) = name.strip_suffix('/') {
        return holds_entries(&disk::join(directory, folder));
    }
    if name.ends_with(".temp") {
        let found = disk::kind_of(&disk::join(directory, &format!("_{name}")))?;
        return Ok(!matches!(found, Ok((_, 0)) | Err(ErrorCode::NoEntry)));
    }
    Ok(true)
}

/// Whether any entry lies below the directory. What cannot be looked into counts as one, so that no folder vanishes.
fn holds_entries(directory: &str) -> Result<bool> {
    let mut below = Vec::new();
    let mut found = false;
    let read = disk::read_directory(directory, |kind, name| {
        match kind {
            Kind::Directory => below.push(name),
            Kind::File | Kind::Link => found |= leaf_of(&name).is_some() || kind == Kind::Link,
            Kind::Other => {}
        }
        !found
    });
    if found || read.is_err() {
        return Ok(true);
    }
    for name in below {
        if holds_entries(&disk::join(directory, &name))? {
            return Ok(true);
        }
    }
    Ok(false)
}
