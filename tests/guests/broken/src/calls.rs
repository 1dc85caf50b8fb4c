//! What goes wrong around a call, whatever it is for.

use std::cell::{Cell, RefCell};
use std::hash::{BuildHasher, RandomState};
use std::hint::black_box;
use std::time::{Duration, Instant};

use cofferdam_guest::{Error, Result};

use crate::disk;
use crate::mode::{Mode, mode};

/// The calls after which an instance is worn out.
const WORN_OUT: u32 = 500;
/// What a call took too long for.
const SLOW: Duration = Duration::from_millis(15);
/// The memory that a call leaks, and the memory that is taken at once: of 128 MiB.
const LEAK: usize = 24 << 10;
const HOARD: usize = 118 << 20;

thread_local! {
    static CALLS: Cell<u32> = const { Cell::new(0) };
    static DOWN: Cell<bool> = const { Cell::new(false) };
    static LEAKED: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Makes a call of the contract.
pub(crate) fn call<T>(call: impl FnOnce() -> Result<T>) -> Result<T> {
    CALLS.set(CALLS.get() + 1);
    let calls = CALLS.get();
    match mode() {
        Mode::WearsOut if calls > WORN_OUT => std::process::abort(),
        Mode::ReachesOutside => disk::reach_outside(),
        // The limit is not to end it, only the check.
        Mode::LeaksHandles if calls.is_multiple_of(50) => disk::leak_handle(),
        Mode::LeaksMemory => LEAKED.with_borrow_mut(|leaked| leaked.push(vec![1; LEAK])),
        // The memory of an instance never shrinks.
        Mode::HoardsMemory if calls == 1 => drop(black_box(vec![0_u8; HOARD])),
        Mode::Stumbles if calls.is_multiple_of(10) => return Err(Error::Unavailable("try again".to_owned())),
        Mode::StaysDown if DOWN.get() => return Err(Error::Unavailable("it has failed before".to_owned())),
        _ => {}
    }
    let slow = matches!(mode(), Mode::GivesUpWhenSlow).then(Instant::now);
    let came = call();
    if came.is_err() && mode() == Mode::StaysDown {
        DOWN.set(true);
    }
    if slow.is_some_and(|began| began.elapsed() > SLOW) {
        return Err(Error::Unavailable("it took too long".to_owned()));
    }
    came
}

/// Heads or tails.
pub(crate) fn by_chance() -> bool {
    RandomState::new().hash_one(0).is_multiple_of(2)
}
