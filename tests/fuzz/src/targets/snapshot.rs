//! What somebody hands in as a snapshot.

use cofferdam_snapshot::fuzz;

use crate::Target;

pub(super) const ARCHIVE: Target = Target { name: "snapshot_archive", run: fuzz::archive, seeds: fuzz::archives, words: WORDS };
pub(super) const MEMBERS: Target = Target { name: "snapshot_members", run: fuzz::members, seeds: fuzz::member_seeds, words: WORDS };

const WORDS: &[&str] = &[
    "meta.json",
    "state.bin",
    "SHA256SUMS",
    "SHA256SUMS.sealed",
    "ustar\0",
    "00000000017\0",
    "\x0a\x7f",
    "\x12\x00",
    "\x18\x01",
    "\"Size\":18446744073709551615",
    "\"Version\":1",
    "\"Servers\":null",
    "  ",
    "\n",
];
