//! A seal backend that is broken in one way, which the setting `mode` names, or in none. **It protects nothing**: it keeps each key in a file of the granted
//! directory, under the ticket that it gives out for it.
//!
//! As `tests/guests/broken` for a storage: with the mode `none` it passes every check of `coffer plugin test`, with any other it fails the one that the mode
//! is for. What a seal on AWS KMS may try is in `tests/guests/hostile-seal`.

#[path = "../../broken/src/disk.rs"]
mod disk;

use std::cell::{Cell, RefCell};
use std::fmt::Write as _;
use std::hash::{BuildHasher, RandomState};
use std::hint::black_box;
use std::time::{Duration, Instant};

use cofferdam_guest::seal::{Descriptor, Guest, Wrapped};
use cofferdam_guest::{Error, Result, Setting, Settings};
use wasip2::filesystem::types::ErrorCode;

/// The file that says that somebody works, and the one with the key that was handled last.
const BUSY: &str = "busy";
const CURRENT: &str = "current";
const KEY: &str = "key-1";
/// The length of a ticket in bytes.
const TICKET: usize = 40;
const MODES: &[&str] = &[
    "none",
    // It wants a setting that nobody gives.
    "does-not-open",
    // It says that its service is away.
    "ill",
    // One key in five comes back as another.
    "loses-a-key",
    // A byte of a wrapped key may be any.
    "ignores-a-byte",
    // What stands after a wrapped key is not looked at.
    "ignores-the-rest",
    // Under another key's name another key comes back.
    "another-key-for-another-name",
    // What was wrapped before it was opened anew does not come back.
    "forgets-when-opened",
    // Of two wraps at the same time one gets the other's key.
    "mixes-up",
    // It does not look at the length before it cuts.
    "traps-on-rubbish",
    // It hands a key on as the wrapped one.
    "betrays-a-key",
    // Every error has one case.
    "one-case-for-all",
    // When an answer is lost, it is told that what is stored is damaged.
    "corrupt-when-lost",
    // The mark that somebody works stays if that one is stopped.
    "leaves-its-lock-file",
    // What took long is told as failed.
    "gives-up-when-slow",
    // Keys that cannot be listed when it is opened are removed.
    "begins-anew",
    // An instance ends after some calls.
    "wears-out",
    // It tries to read what is beside its directory.
    "reaches-outside",
    // Files that it opens it does not close.
    "leaks-handles",
    // Memory that it has used it does not free.
    "leaks-memory",
    // Once it takes nearly all the memory that it may.
    "hoards-memory",
    // What an instance answers depends on which one it is.
    "answers-by-chance",
    // It serves so many wraps, and no more.
    "stumbles",
];

/// The calls after which an instance is worn out.
const WORN_OUT: u32 = 100;
/// What a call took too long for.
const SLOW: Duration = Duration::from_millis(30);
/// The memory that a call leaks, and the memory that is taken at once: of 128 MiB.
const LEAK: usize = 100 << 10;
const HOARD: usize = 118 << 20;

thread_local! {
    static MODE: RefCell<String> = const { RefCell::new(String::new()) };
    static CALLS: Cell<u32> = const { Cell::new(0) };
    static LEAKED: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

fn is(mode: &str) -> bool {
    MODE.with_borrow(|own| own == mode)
}

fn configure(settings: Vec<Setting>) -> Result<()> {
    let mut settings = Settings::new(settings);
    let mode = settings.text("mode").unwrap_or_else(|| "none".to_owned());
    settings.finish()?;
    if !MODES.contains(&mode.as_str()) {
        return Err(Error::Configuration(format!("\"mode\" is {mode:?}, which is none")));
    }
    MODE.set(mode);
    Ok(())
}

/// The case tells the host what to do.
fn fault(code: ErrorCode) -> Error {
    let text = code.name().to_owned();
    match code {
        _ if is("one-case-for-all") => Error::Unavailable(text),
        ErrorCode::Busy => Error::Throttled(0),
        ErrorCode::Access | ErrorCode::NotPermitted | ErrorCode::ReadOnly => Error::Denied(text),
        ErrorCode::InsufficientSpace | ErrorCode::Quota => Error::Exhausted(text),
        _ if is("corrupt-when-lost") => Error::Corrupt(text),
        _ => Error::Unavailable(text),
    }
}

/// What goes wrong around a call that handles no key.
fn idle() {
    CALLS.set(CALLS.get() + 1);
    match MODE.with_borrow(String::clone).as_str() {
        "wears-out" if CALLS.get() > WORN_OUT => std::process::abort(),
        "reaches-outside" => disk::reach_outside(),
        // The limit is not to end it, only the check.
        "leaks-handles" if CALLS.get().is_multiple_of(10) => disk::leak_handle(),
        "leaks-memory" => LEAKED.with_borrow_mut(|leaked| leaked.push(vec![1; LEAK])),
        // The memory of an instance never shrinks.
        "hoards-memory" if CALLS.get() == 1 => drop(black_box(vec![0_u8; HOARD])),
        _ => {}
    }
}

/// Handles a key.
fn work<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    let began = Instant::now();
    if is("stumbles") && files()?.len() > 1 {
        return Err(Error::Denied("enough".to_owned()));
    }
    if is("leaves-its-lock-file") {
        disk::create(BUSY, b"").map_err(fault)?;
    }
    let came = work();
    if is("leaves-its-lock-file") {
        let _ = disk::remove(BUSY);
    }
    if is("gives-up-when-slow") && began.elapsed() > SLOW {
        return Err(Error::Unavailable("it took too long".to_owned()));
    }
    came
}

/// The file of a ticket.
fn file(ticket: &[u8]) -> String {
    let ticket = if is("ignores-a-byte") { ticket.get(1..).unwrap_or_default() } else { ticket };
    ticket.iter().fold("t-".to_owned(), |mut name, byte| {
        let _ = write!(name, "{byte:02x}");
        name
    })
}

/// The files of all tickets.
fn files() -> Result<Vec<String>> {
    let mut names = disk::names().map_err(fault)?;
    names.retain(|name| name.starts_with("t-"));
    Ok(names)
}

/// Waits until another wrap has begun, or a while, and returns its key.
fn mixed_up(dek: &[u8]) -> Result<Vec<u8>> {
    // Another may have removed it, or may be as far.
    let _ = disk::remove(CURRENT);
    let _ = disk::create(CURRENT, dek);
    for _ in 0..50 {
        std::thread::sleep(Duration::from_millis(10));
        if let Some(other) = disk::read(CURRENT).map_err(fault)?.filter(|other| other.len() == dek.len() && other != dek) {
            return Ok(other);
        }
    }
    Ok(dek.to_vec())
}

fn wrap(mut dek: Vec<u8>) -> Result<Wrapped> {
    let fifth = (is("betrays-a-key") || is("loses-a-key")) && files()?.len() % 5 == 4;
    let ticket: Vec<u8> = (0..TICKET / 8).flat_map(|at| RandomState::new().hash_one(at).to_be_bytes()).collect();
    let given = if fifth && is("betrays-a-key") { dek.clone() } else { ticket.clone() };
    if is("mixes-up") {
        dek = mixed_up(&dek)?;
    }
    if let Some(last) = dek.last_mut().filter(|_| fifth && is("loses-a-key")) {
        *last ^= 1;
    }
    disk::create(&file(&ticket), &dek).map_err(fault)?;
    Ok(Wrapped { blob: given, key_id: KEY.to_owned() })
}

fn unwrap(wrapped: Wrapped) -> Result<Vec<u8>> {
    let mut ticket = wrapped.blob;
    if is("traps-on-rubbish") && ticket.len() > 1_000 {
        std::process::abort();
    }
    if is("another-key-for-another-name") && wrapped.key_id != KEY {
        return Ok(vec![0x5a; 32]);
    }
    if is("ignores-the-rest") {
        ticket.truncate(TICKET);
    }
    let unknown = || Error::Corrupt("there is no such ticket".to_owned());
    if ticket.len() != TICKET {
        return Err(unknown());
    }
    disk::read(&file(&ticket)).map_err(fault)?.ok_or_else(unknown)
}

struct BrokenSeal;

impl Guest for BrokenSeal {
    fn open(settings: Vec<Setting>) -> Result<Descriptor> {
        configure(settings)?;
        if is("does-not-open") {
            return Err(Error::Configuration("\"key\" must be set".to_owned()));
        }
        let kept = files();
        if is("forgets-when-opened") || (is("begins-anew") && kept.is_err()) {
            files()?.iter().try_for_each(|name| disk::remove(name)).map_err(fault)?;
        } else {
            kept?;
        }
        Ok(Descriptor { name: "broken-seal".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned(), key_id: key_id() })
    }

    fn attach(settings: Vec<Setting>, _: Descriptor) -> Result<()> {
        configure(settings)
    }

    fn wrap(dek: Vec<u8>) -> Result<Wrapped> {
        work(|| wrap(dek))
    }

    fn unwrap(wrapped: Wrapped) -> Result<Vec<u8>> {
        work(|| unwrap(wrapped))
    }

    fn key_id() -> Result<String> {
        idle();
        Ok(key_id())
    }

    fn health() -> Result<()> {
        idle();
        if is("ill") { Err(Error::Denied("the service is away".to_owned())) } else { Ok(()) }
    }
}

/// The key in use.
fn key_id() -> String {
    if is("answers-by-chance") { format!("key-{}", RandomState::new().hash_one(0)) } else { KEY.to_owned() }
}

cofferdam_guest::seal::export!(BrokenSeal);
