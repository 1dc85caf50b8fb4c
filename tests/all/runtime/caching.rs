use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use cofferdam_runtime::{Runtime, RuntimeOptions, Source};
use tempfile::TempDir;

use super::path;

fn runtime(cache: &Path) -> Arc<Runtime> {
    let mut options = RuntimeOptions::default();
    options.cache = Some(cache.to_owned());
    Runtime::new(options).unwrap()
}

fn load(cache: &Path) -> Duration {
    let runtime = runtime(cache);
    let start = Instant::now();
    runtime.component(Source::File(path("needs_aws"))).unwrap();
    start.elapsed()
}

fn entries(cache: &Path) -> Vec<PathBuf> {
    fs::read_dir(cache).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// When the entry was written: it is written anew exactly when it was not used.
fn written(entry: &Path) -> (SystemTime, u64) {
    use std::os::unix::fs::MetadataExt;
    let metadata = fs::metadata(entry).unwrap();
    (metadata.modified().unwrap(), metadata.ino())
}

#[test]
fn code_is_kept_and_used_again() {
    let temporary = TempDir::new().unwrap();
    let cache = temporary.path().join("cache");
    load(&cache);
    let [entry] = &entries(&cache)[..] else { panic!("one entry expected") };
    assert_eq!(fs::metadata(entry).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(&cache).unwrap().permissions().mode() & 0o777, 0o700);
    let first = written(entry);
    load(&cache);
    assert_eq!(written(entry), first);
}

#[test]
fn an_entry_with_any_byte_flipped_is_not_used() {
    let temporary = TempDir::new().unwrap();
    let cache = temporary.path().join("cache");
    load(&cache);
    let entry = entries(&cache).remove(0);
    let whole = fs::read(&entry).unwrap();
    for at in [0, 31, 32, 100, whole.len() / 2, whole.len() - 1] {
        let mut flipped = whole.clone();
        flipped[at] ^= 1;
        fs::write(&entry, &flipped).unwrap();
        load(&cache);
        assert_eq!(fs::read(&entry).unwrap(), whole, "the byte {at} was flipped");
    }
    for cut in [0, 10, 32, whole.len() - 1] {
        fs::write(&entry, &whole[..cut]).unwrap();
        load(&cache);
        assert_eq!(fs::read(&entry).unwrap(), whole, "cut to {cut}");
    }
}

#[test]
fn code_of_another_component_under_this_name_is_not_used() {
    let temporary = TempDir::new().unwrap();
    let cache = temporary.path().join("cache");
    load(&cache);
    let entry = entries(&cache).remove(0);
    let whole = fs::read(&entry).unwrap();
    fs::remove_file(&entry).unwrap();
    runtime(&cache).component(Source::File(path("hostile"))).unwrap();
    let other = entries(&cache).remove(0);
    fs::copy(&other, &entry).unwrap();
    load(&cache);
    assert_eq!(fs::read(&entry).unwrap(), whole);
}

#[test]
fn a_directory_that_others_could_change_is_not_used() {
    let temporary = TempDir::new().unwrap();
    let open = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();

    let cache = temporary.path().join("cache");
    fs::create_dir(&cache).unwrap();
    open(&cache, 0o770);
    load(&cache);
    assert_eq!(entries(&cache).len(), 0, "others may write to it");

    open(&cache, 0o700);
    let above = temporary.path().join("above");
    let below = above.join("cache");
    fs::create_dir_all(&below).unwrap();
    open(&below, 0o700);
    open(&above, 0o777);
    load(&below);
    assert_eq!(entries(&below).len(), 0, "others may replace it");
    let link = temporary.path().join("link");
    symlink(&below, &link).unwrap();
    load(&link);
    assert_eq!(entries(&below).len(), 0, "the real path counts");

    open(&above, 0o1777);
    load(&below);
    assert_eq!(entries(&below).len(), 1, "in a sticky directory what is ours stays ours");
    load(&cache);
    assert_eq!(entries(&cache).len(), 1);
}

#[test]
fn an_entry_that_is_a_link_or_writable_by_others_is_not_used() {
    let temporary = TempDir::new().unwrap();
    let cache = temporary.path().join("cache");
    load(&cache);
    let entry = entries(&cache).remove(0);
    let before = written(&entry);
    fs::set_permissions(&entry, fs::Permissions::from_mode(0o666)).unwrap();
    load(&cache);
    assert_ne!(written(&entry), before);
    let elsewhere = temporary.path().join("elsewhere");
    fs::rename(&entry, &elsewhere).unwrap();
    symlink(&elsewhere, &entry).unwrap();
    load(&cache);
    assert!(!fs::symlink_metadata(&entry).unwrap().is_symlink(), "replaced by a file of our own");
}
