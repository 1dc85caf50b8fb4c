//! What a rekey is asked for and what it answers.

use std::sync::Arc;

use super::commit::NewKey;

/// Which key is made anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The root key; with Shamir's seal also the unseal key, and so the shares.
    Root,
    /// The recovery key of a vault that a key service unseals.
    Recovery,
}

/// In which interface's words refusals are told, and with which status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Words {
    /// `sys/rekey/*` and `sys/rekey-recovery-key/*`, which Vault has.
    Rekey,
    /// `sys/rotate/root/*` and `sys/rotate/recovery/*` of OpenBao.
    Rotate,
}

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    /// How many shares.
    pub(crate) shares: i64,
    /// How many of them are needed.
    pub(crate) threshold: i64,
    /// Whether the new shares have to come back before they count.
    pub(crate) verify: bool,
    /// How many PGP keys came along: refused.
    pub(crate) pgp_keys: usize,
    /// Whether the new shares are to be stored: refused.
    pub(crate) backup: bool,
}

/// How far a rekey is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Whether there is one.
    pub(crate) started: bool,
    /// Its name; empty if there is none.
    pub(crate) nonce: String,
    /// How many shares there will be.
    pub(crate) shares: u8,
    /// How many of them will be needed.
    pub(crate) threshold: u8,
    /// How many shares of today were given.
    pub(crate) progress: u8,
    /// How many are needed.
    pub(crate) required: u8,
    /// Whether the new shares have to come back.
    pub(crate) verify: bool,
    /// The name of that verification, once there are new shares.
    pub(crate) verification_nonce: String,
}

/// New shares, given out.
pub(crate) struct Shares {
    /// The rekey's name.
    pub(crate) nonce: String,
    /// The shares; none where a key service holds the key.
    pub(crate) keys: Arc<NewKey>,
    /// Whether they have to come back before they count, and under which name.
    pub(crate) verification_nonce: Option<String>,
}

/// What a share led to.
pub(crate) enum Given {
    /// More are needed.
    More(Progress),
    /// It was the last.
    Done(Shares),
}
