//! What is wrong with this guest: one thing, or nothing.

use std::cell::Cell;

/// The modes, each with the name that the setting `mode` has for it.
macro_rules! modes {
    ($($(#[doc = $text:literal])* $mode:ident = $name:literal,)*) => {
        /// One fault, or none.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Mode {
            $($(#[doc = $text])* $mode,)*
        }

        impl Mode {
            /// The mode of that name.
            pub(crate) fn named(name: &str) -> Option<Mode> {
                match name {
                    $($name => Some(Mode::$mode),)*
                    _ => None,
                }
            }
        }
    };
}

modes! {
    /// Nothing is wrong.
    None = "none",
    /// It wants a setting that nobody gives.
    DoesNotOpen = "does-not-open",

    /// A folder that was there once is listed for ever.
    KeepsEmptyFolders = "keeps-empty-folders",
    /// A listing begins with the name that it is to begin after.
    AfterIsInclusive = "after-is-inclusive",
    /// A leaf is left out of listings where a folder has its name.
    HidesLeafBesideFolder = "hides-leaf-beside-folder",
    /// An empty value is not stored.
    EmptyValueIsNone = "empty-value-is-none",
    /// A shorter value is written over the beginning of a longer one.
    LongerValueKeepsItsTail = "longer-value-keeps-its-tail",
    /// Keys that differ in case alone are one.
    FoldsCase = "folds-case",
    /// With a leaf goes what is below the folder of its name.
    DeleteRemovesBelow = "delete-removes-below",
    /// To remove what is not there is an error.
    DeleteOfMissingFails = "delete-of-missing-fails",
    /// It promises to store larger values than it does.
    LargestValueIsRefused = "largest-value-is-refused",
    /// Of a full batch the last operation is lost.
    LargestBatchLosesItsLast = "largest-batch-loses-its-last",
    /// Names are sorted as text of 16-bit units.
    SortsAsUtf16 = "sorts-as-utf16",
    /// A listing after a name that does not exist begins at the start.
    AfterMustExist = "after-must-exist",
    /// The 501st name of a folder is never listed.
    ListsFiveHundred = "lists-five-hundred",
    /// An entry is removed before it is written anew.
    PutHasAGap = "put-has-a-gap",
    /// A folder that was emptied once is never listed again.
    FolderIsListedOnce = "folder-is-listed-once",
    /// What an instance once made it believes to be there for ever.
    ForgetsNothing = "forgets-nothing",
    /// Scans leave out keys of more than three segments.
    ScanSkipsDeepKeys = "scan-skips-deep-keys",
    /// The segment of an entry is its place among the others.
    SegmentByPosition = "segment-by-position",
    /// The first segment has everything, whatever the guest claims.
    OneSegmentHasAll = "one-segment-has-all",
    /// A cursor is known to the instance alone that gave it.
    CursorInMemory = "cursor-in-memory",
    /// A cursor is a number of entries.
    CursorByPosition = "cursor-by-position",
    /// A batch that removes what is not there is refused.
    BatchEndsAtMissing = "batch-ends-at-missing",
    /// Batches are applied from their end, operation by operation.
    BatchBackwards = "batch-backwards",
    /// Batches are applied operation by operation, and claimed to be atomic.
    BatchInPieces = "batch-in-pieces",
    /// A value is written in two steps.
    PutInHalves = "put-in-halves",
    /// A folder is looked at, and removed with all that is below it a while later.
    DeletePrunesLate = "delete-prunes-late",
    /// Entries are kept in the memory of the instance.
    WritesIntoMemory = "writes-into-memory",
    /// What an instance has read it does not read again.
    CachesReads = "caches-reads",
    /// A listing after a folder's name leaves out what sorts between it and the leaf of that name.
    AfterWithoutSlash = "after-without-slash",

    /// A lock is given to whoever asks.
    SeenIsIgnored = "seen-is-ignored",
    /// Of what was seen, the expiry is not compared.
    ExpiryIsNotCompared = "expiry-is-not-compared",
    /// A renewal is acknowledged and not stored.
    RenewStoresNothing = "renew-stores-nothing",
    /// The renewal of a lock that is gone takes it.
    RenewRevives = "renew-revives",
    /// Anyone may release a lock.
    AnyoneReleases = "anyone-releases",
    /// A lock that is past its expiry is not shown.
    JudgesExpiry = "judges-expiry",
    /// Expiries are kept in milliseconds.
    ExpiryInMillis = "expiry-in-millis",
    /// The holder's value is kept as text.
    ValueAsText = "value-as-text",
    /// A lock is an entry of its key.
    LockIsAnEntry = "lock-is-an-entry",
    /// Locks are listed.
    ListsLocks = "lists-locks",
    /// There is one lock, whatever its key.
    OneLockForAll = "one-lock-for-all",
    /// A lock is looked at, and taken a while later.
    LooksThenTakes = "looks-then-takes",
    /// Locks are kept in the memory of the instance.
    LocksInMemory = "locks-in-memory",

    /// A write is acknowledged whatever came of it.
    AcknowledgesFailedWrites = "acknowledges-failed-writes",
    /// To be asked for less is told as a missing right.
    DeniedWhenThrottled = "denied-when-throttled",
    /// When an answer is lost, it is told that what is stored is damaged.
    CorruptWhenLost = "corrupt-when-lost",
    /// The mark that somebody writes stays if that one is stopped.
    LeavesItsLockFile = "leaves-its-lock-file",
    /// What took long is told as failed.
    GivesUpWhenSlow = "gives-up-when-slow",
    /// What cannot be read is not there.
    NothingWhenItFails = "nothing-when-it-fails",
    /// A page of a scan counts as given though it failed.
    CountsFailedPages = "counts-failed-pages",
    /// An entry is written before its folders.
    MarksFoldersLate = "marks-folders-late",
    /// Every error has one case.
    OneCaseForAll = "one-case-for-all",
    /// An instance that has failed once fails for ever.
    StaysDown = "stays-down",
    /// A store that cannot be read when it is opened is made anew.
    BeginsAnew = "begins-anew",
    /// Who asked for a lock and got an error is told to have it.
    HasTheLockIfUnsure = "has-the-lock-if-unsure",
    /// Who asked for a lock and got an error is told that another has it.
    LostTheLockIfUnsure = "lost-the-lock-if-unsure",
    /// A lock is freed before it is taken over or renewed.
    FreesBeforeItTakes = "frees-before-it-takes",

    /// An instance ends after some hundred calls.
    WearsOut = "wears-out",
    /// It tries to read what is beside its directory.
    ReachesOutside = "reaches-outside",
    /// Files that it opens it does not close.
    LeaksHandles = "leaks-handles",
    /// Memory that it has used it does not free.
    LeaksMemory = "leaks-memory",
    /// Once it takes nearly all the memory that it may.
    HoardsMemory = "hoards-memory",
    /// What an instance answers depends on which one it is.
    AnswersByChance = "answers-by-chance",

    /// One call in ten fails for no reason.
    Stumbles = "stumbles",
}

thread_local!(static MODE: Cell<Mode> = const { Cell::new(Mode::None) });

/// Sets what is wrong with this instance.
pub(crate) fn set(mode: Mode) {
    MODE.set(mode);
}

/// What is wrong with it.
pub(crate) fn mode() -> Mode {
    MODE.get()
}

/// Whether it is this.
pub(crate) fn is(mode: Mode) -> bool {
    MODE.get() == mode
}

/// A while in which others have their turn, where a fault is that there is one.
pub(crate) fn pause() {
    std::thread::sleep(std::time::Duration::from_millis(5));
}
