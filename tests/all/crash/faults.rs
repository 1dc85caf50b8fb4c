//! A disk whose calls fail: each error has the right case, and nothing half-done stays behind.

use super::disk::{Call, Disk, Failure};
use super::machine::{Error, Machine, Setting};

/// A disk with an old value under `a/b/c`, and how to look at what is left.
fn machine() -> Machine {
    let mut machine = Machine::open(Disk::empty(), 0);
    machine.put("a/b/c", b"old", 0).unwrap();
    machine.disk().calls.clear();
    machine
}

fn fail(machine: &mut Machine, fails: impl Fn(Call, usize) -> Option<Failure> + Send + 'static) {
    machine.disk().fails = Some(Box::new(fails));
}

fn heal(machine: &mut Machine) {
    machine.disk().fails = None;
    machine.disk().calls.clear();
}

fn case(error: &Error) -> &'static str {
    match error {
        Error::Unavailable(_) => "unavailable",
        Error::Exhausted(_) => "exhausted",
        Error::Denied(_) => "denied",
        Error::InvalidKey(_) => "invalid-key",
        Error::Corrupt(_) => "corrupt",
        _ => "other",
    }
}

#[test]
fn each_failure_of_a_put_has_its_case_and_leaves_nothing_behind() {
    for (call, failure, expected) in [
        (Call::CreateFile, Failure::NoSpace, "exhausted"),
        (Call::CreateFile, Failure::Quota, "exhausted"),
        (Call::CreateFile, Failure::ReadOnly, "denied"),
        // As a host without codes of its own reports a read-only file system.
        (Call::CreateFile, Failure::Io, "denied"),
        (Call::CreateFile, Failure::NotPermitted, "denied"),
        (Call::Write, Failure::NoSpace, "exhausted"),
        (Call::Write, Failure::Io, "unavailable"),
        (Call::SyncFile, Failure::NoSpace, "exhausted"),
        (Call::SyncFile, Failure::Io, "unavailable"),
        (Call::MakeDirectory, Failure::NoSpace, "exhausted"),
        (Call::MakeDirectory, Failure::ReadOnly, "denied"),
        (Call::Rename, Failure::NoSpace, "exhausted"),
        (Call::Rename, Failure::Io, "denied"),
    ] {
        let mut machine = machine();
        let before = machine.disk().tree();
        fail(&mut machine, move |at, _| (at == call).then_some(failure));
        let error = machine.put("a/x/y/z", b"new", 1).unwrap_err();
        assert_eq!(case(&error), expected, "{call:?} {failure:?}: {error:?}");
        assert_eq!(machine.disk().tree(), before, "{call:?} {failure:?}");
        heal(&mut machine);
        machine.put("a/x/y/z", b"new", 1).unwrap();
        assert_eq!(machine.keys().unwrap(), ["a/b/c", "a/x/y/z"]);
    }
}

#[test]
fn no_free_handle_is_told_from_a_read_only_disk() {
    let mut machine = machine();
    fail(&mut machine, |call, _| matches!(call, Call::CreateFile | Call::OpenDirectory).then_some(Failure::Io));
    assert_eq!(case(&machine.put("x", b"new", 0).unwrap_err()), "unavailable");
}

#[test]
fn a_full_disk_leaves_the_old_value_and_lets_delete_make_room() {
    let mut machine = machine();
    fail(&mut machine, |call, _| matches!(call, Call::CreateFile | Call::Write | Call::MakeDirectory).then_some(Failure::NoSpace));
    assert_eq!(case(&machine.put("a/b/c", &[1; 100_000], 2).unwrap_err()), "exhausted");
    assert_eq!(machine.get("a/b/c").unwrap().unwrap(), b"old");
    assert_eq!(machine.delete("a/b/c").unwrap(), 2);
    assert!(machine.keys().unwrap().is_empty());
}

#[test]
fn a_read_only_disk_refuses_to_open_and_says_so() {
    let mut machine = Machine::new(Disk::empty(), 0);
    fail(&mut machine, |call, _| (call == Call::MakeDirectory).then_some(Failure::ReadOnly));
    match machine.try_open(&[]) {
        Err(Error::Denied(text)) => assert!(text.contains("read-only"), "{text}"),
        other => panic!("{other:?}"),
    }
}

type Attempt = dyn Fn(&mut Machine) -> Result<(), Error>;

/// Whatever call fails, once: the operation may be done or not, and the store is whole.
#[test]
fn any_single_failing_call_leaves_the_old_value_or_the_new() {
    let run = |number: Option<usize>, operation: &Attempt| {
        let mut machine = machine();
        machine.put("a/d", b"kept", 1).unwrap();
        machine.disk().calls.clear();
        if let Some(number) = number {
            fail(&mut machine, move |_, at| (at == number).then_some(Failure::Io));
        }
        let result = operation(&mut machine);
        let calls = machine.disk().calls.len();
        heal(&mut machine);
        (machine, result, calls)
    };
    let operations: [(&str, &Attempt); 4] = [
        ("overwrite", &|machine| machine.put("a/b/c", b"new", 2)),
        ("put in a new folder", &|machine| machine.put("a/n/c", b"new", 1)),
        ("put without a hint", &|machine| machine.put("a/b/c", b"new", 0)),
        ("delete", &|machine| machine.delete("a/b/c").map(drop)),
    ];
    for (name, operation) in operations {
        let (_, result, calls) = run(None, operation);
        result.unwrap();
        assert!(calls >= 3, "{name} made {calls} calls");
        let mut failed = 0;
        for number in 0..calls {
            let (mut machine, result, _) = run(Some(number), operation);
            failed += usize::from(result.is_err());
            let keys = machine.keys().unwrap();
            assert!(keys.contains(&"a/d".to_owned()), "{name}, call {number}: a neighbour is gone");
            for key in keys {
                let value = machine.get(&key).unwrap().unwrap();
                assert!(["old", "new", "kept"].map(str::as_bytes).contains(&value.as_slice()), "{name}, call {number}: {key} is {value:?}");
            }
            // Doing it again succeeds, and what is left over is gone with the next start.
            operation(&mut machine).unwrap();
            let expected = run(None, operation).0.into_disk().tree();
            let mut machine = Machine::open(machine.into_disk(), 9);
            assert_eq!(machine.disk().tree(), expected, "{name}, call {number}");
        }
        assert!(failed >= 2, "{name}: only {failed} failures were told");
    }
}

#[test]
fn a_folder_that_the_hint_promised_is_made_if_it_is_missing() {
    let mut machine = Machine::open(Disk::empty(), 0);
    machine.put("a/b/c", b"1", 2).unwrap();
    assert_eq!(machine.get("a/b/c").unwrap().unwrap(), b"1");
    // All three directories that got a new name are synced, as without the hint.
    let synced = machine.disk().calls.iter().filter(|call| **call == Call::SyncDirectory).count();
    assert_eq!(synced, 3);
}

#[test]
fn a_temporary_file_taken_away_is_written_again() {
    let mut machine = machine();
    machine.put("a/b/d", b"1", 2).unwrap();
    // A reload clears the directory between the write and the rename.
    let fired = std::sync::atomic::AtomicBool::new(false);
    fail(&mut machine, move |call, _| {
        (call == Call::Rename && !fired.swap(true, std::sync::atomic::Ordering::SeqCst)).then_some(Failure::NoEntry)
    });
    machine.put("a/b/d", b"2", 2).unwrap();
    assert_eq!(machine.get("a/b/d").unwrap().unwrap(), b"2");
}

#[test]
fn without_fsync_nothing_is_synced() {
    for (value, expected) in [("false", 0), ("true", 2)] {
        let mut machine = Machine::new(Disk::empty(), 0);
        machine.try_open(&[Setting { name: "fsync".into(), value: value.into() }]).unwrap();
        machine.disk().calls.clear();
        machine.put("k", b"v", 0).unwrap();
        let synced = machine.disk().calls.iter().filter(|call| matches!(call, Call::SyncFile | Call::SyncDirectory)).count();
        assert_eq!(synced, expected, "fsync = {value}");
    }
}
