//! What refusals of a rekey say, and with which status: the field's servers have two interfaces to it, which tell the same in other words.

use super::{Asked, Target, Words};
use crate::logical::Error;
use crate::shamir::CombineError;

impl Words {
    fn pick(self, rekey: &str, rotate: &str) -> String {
        match self {
            Words::Rekey => rekey.to_owned(),
            Words::Rotate => rotate.to_owned(),
        }
    }

    fn refuse(self, rekey: &str, rotate: &str) -> Error {
        Error::BadRequest(self.pick(rekey, rotate))
    }

    /// A status of 500 where the older interface has it.
    fn fail(self, text: String) -> Error {
        match self {
            Words::Rekey => Error::Refused(text),
            Words::Rotate => Error::BadRequest(text),
        }
    }

    /// Shamir's seal has no recovery key.
    pub(super) fn no_recovery(self) -> Error {
        self.refuse("recovery rekeying not supported", "recovery keys not supported")
    }

    /// What was asked for, beside the numbers, if it cannot be had. `auto`: with a key service.
    pub(super) fn check(self, target: Target, asked: &Asked, auto: bool) -> Result<(), Error> {
        let root_of_service = auto && target == Target::Root;
        let pgp = asked.pgp_keys > 0;
        let count = i64::try_from(asked.pgp_keys).unwrap_or(i64::MAX);
        let no_backup = "cannot request a backup of the new keys without providing PGP keys for encryption";
        let rules = match self {
            Words::Rekey => [
                (asked.backup && !pgp, no_backup),
                (pgp && count != asked.shares, "incorrect number of PGP keys for rekey"),
                (root_of_service && pgp, "PGP key encryption not supported when rekeying the barrier key with recovery keys"),
                (root_of_service && asked.verify, "requiring verification not supported when rekeying the barrier key with recovery keys"),
            ],
            Words::Rotate => [
                (root_of_service && pgp, "PGP key encryption not supported when using stored keys"),
                (root_of_service && asked.backup, "key backup not supported when using stored keys"),
                (root_of_service && asked.verify, "requiring verification not supported when rotating the barrier key with recovery keys"),
                (asked.backup && !pgp, no_backup),
            ],
        };
        let broken = rules.into_iter().find(|(broken, _)| *broken).map(|(_, text)| text);
        match broken.or(pgp.then_some("pgp_keys are not supported by this server: rekey without them and encrypt the new keys yourself")) {
            Some(text) => Err(Error::bad_request(text)),
            None => Ok(()),
        }
    }

    /// The numbers cannot be; `error` is of the seal's configuration.
    pub(super) fn invalid(self, error: Error) -> Error {
        let Error::BadRequest(text) = error else { return error };
        match text.strip_prefix("invalid seal configuration: ") {
            Some(reason) => self.fail(self.pick("invalid rekey seal configuration: ", "invalid rotate seal configuration: ") + reason),
            None => self.fail(text),
        }
    }

    pub(super) fn under_way(self) -> Error {
        self.refuse("rekey already in progress", "rotation already in progress")
    }

    pub(super) fn none(self, target: Target) -> Error {
        let rekey = if target == Target::Root { "no barrier rekey in progress" } else { "no recovery rekey in progress" };
        self.refuse(rekey, "no rotation in progress")
    }

    pub(super) fn wrong_nonce(self, nonce: &str) -> Error {
        let text =
            self.pick("incorrect nonce supplied; nonce for this rekey operation is", "incorrect nonce supplied; nonce for rotation is");
        Error::BadRequest(format!("{text} {nonce:?}"))
    }

    pub(super) fn repeated(self, target: Target) -> Error {
        let what = if target == Target::Root { "generation operation" } else { "rekey operation" };
        let what = self.pick(what, "rotation");
        Error::BadRequest(format!("given key has already been provided during this {what}"))
    }

    pub(super) fn not_combined(self, target: Target, error: CombineError) -> Error {
        let key = if target == Target::Root { "failed to compute root key" } else { "failed to compute recovery key" };
        let text = self.pick(key, "failed to compute key");
        self.fail(format!("{text}: {error}"))
    }

    /// The shares combine to another key than the unseal key.
    pub(super) fn not_unseal_key(self, error: Error) -> Error {
        let Error::BadRequest(text) = error else { return error };
        let text = text.strip_prefix("unable to retrieve stored keys: ").unwrap_or(&text);
        let text = if self == Words::Rotate { text.strip_prefix("invalid key: ").unwrap_or(text) } else { text };
        self.fail(format!("failed to read root key: {text}"))
    }

    pub(super) fn to_be_verified(self, nonce: &str) -> Error {
        let text = self.pick("rekey operation already finished", "rotation already finished");
        Error::BadRequest(format!("{text}; verification must be performed; nonce for the verification operation is {nonce:?}"))
    }

    pub(super) fn not_configured(self) -> Error {
        self.refuse("no rekey configuration found", "no rotation configuration found")
    }

    pub(super) fn nothing_to_verify(self, begun: bool) -> Error {
        match begun {
            true => self.refuse("no rekey verification in progress", "no rotation verification in progress"),
            false => self.refuse("no rekey in progress", "no rotation in progress"),
        }
    }

    pub(super) fn proof_not_combined(self, error: CombineError) -> Error {
        self.fail(format!("failed to compute key for verification: {error}"))
    }

    pub(super) fn not_proven(self) -> Error {
        self.refuse(
            "rekey verification failed; incorrect key shares supplied",
            "rotation verification failed; incorrect key shares supplied",
        )
    }
}

/// The nonce is not that of the verification.
pub(super) fn wrong_proof_nonce(nonce: &str) -> Error {
    Error::BadRequest(format!("incorrect nonce supplied; nonce for this verify operation is {nonce:?}"))
}

/// The shares do not combine to the recovery key.
pub(in crate::unseal) fn not_recovery_key(error: Error) -> Error {
    let Error::BadRequest(text) = error else { return error };
    let text = text.strip_prefix("failed to verify recovery key: ").unwrap_or(&text);
    Error::BadRequest(format!("recovery key verification failed: {text}"))
}

/// There is no recovery key whose holders could agree.
pub(in crate::unseal) fn no_recovery_key() -> Error {
    Error::bad_request(
        "this vault has no recovery key, whose shares have to authorise this: make one with sys/rotate/recovery/init (coffer operator rekey -init -target=recovery)",
    )
}

/// New keys were sent to the storage, and nobody knows whether it has them.
pub(super) fn unknown(nonce: &str) -> Error {
    Error::Refused(format!(
        "the storage gave no answer, so that it is not known yet whether the new keys are stored: keep the shares of before, and send the same again, \
         under the nonce {nonce:?}, before this server is stopped or sealed; then the new keys are given out, or made anew if nothing was stored"
    ))
}
