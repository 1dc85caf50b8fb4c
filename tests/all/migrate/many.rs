//! Very many entries, in memory that does not grow with them.

use cofferdam_snapshot::{Meta, Snapshot, Writer};

use super::{config, directory, fresh, run, snapshot};

/// Programs, guests and pages: what the process takes whatever it copies.
const MEMORY: f64 = 400.0 * 1024.0 * 1024.0;

/// What the last line but one says of memory, in bytes.
fn memory(said: &str) -> f64 {
    let (_, rest) = said.split_once("at most ").unwrap_or_else(|| panic!("{said}"));
    let mut words = rest.split(' ');
    let number: f64 = words.next().unwrap().parse().unwrap();
    let unit = match words.next().unwrap() {
        "KiB" => 1024.0,
        "MiB" => 1024.0 * 1024.0,
        "GiB" => 1024.0 * 1024.0 * 1024.0,
        other => panic!("{other}: {said}"),
    };
    number * unit
}

#[test]
fn memory_does_not_grow_with_the_number_of_entries() {
    let count: u64 = if std::env::var_os("COFFERDAM_FULL").is_some() { 1_000_000 } else { 8_000 };
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (dir.path().join("first.snap"), dir.path().join("second.snap"));
    let mut writer = Writer::create(&first, Meta::default()).unwrap();
    for number in 0..count {
        writer.put(&format!("logical/mount/{:03}/{number:07}", number % 997), format!("{number}:").repeat(40).into_bytes()).unwrap();
    }
    writer.finish().unwrap();
    let to = fresh(dir.path(), "to");
    for (source, destination) in [(snapshot(&first), directory(&to)), (directory(&to), snapshot(&second))] {
        let said = run(&config(dir.path(), &source, &destination), &[], 0);
        println!("{said}");
        assert!(said.contains(&format!("{count} same")) && memory(&said) < MEMORY, "{said}");
    }
    let [before, after] = [&first, &second].map(|path| Snapshot::open(path).unwrap());
    assert_eq!(before.contents().value_bytes, after.contents().value_bytes);
    assert_eq!(after.contents().entries, count);
}
