//! Rekeys as the paths `sys/rekey/*` and `sys/rekey-recovery-key/*` offer them: without a token, authorised by shares alone.
//!
//! The rule: only the active server of an unsealed vault answers, and what was begun runs to its end even if the client goes away.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Core, SHARE_LENGTHS, to_the_end};
use crate::logical::{Error, Result};
use crate::unseal::rekey::{Asked, Given, Progress, Proof, Proven, Shares};

pub use crate::unseal::rekey::{Target, Words};

/// The body of `PUT sys/rekey/init`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct RekeyRequest {
    /// How many new shares.
    pub secret_shares: i64,
    /// How many of them will be needed.
    pub secret_threshold: i64,
    /// Old clients of Vault send it; the number of stored shares is always 1.
    pub stored_shares: i64,
    /// PGP keys for the shares: refused, not offered by this server.
    pub pgp_keys: Option<Vec<String>>,
    /// Whether the new shares are to be stored, encrypted with the PGP keys: refused.
    pub backup: bool,
    /// Whether enough of the new shares have to be given before they count.
    pub require_verification: bool,
}

/// The body of `PUT sys/rekey/update` and the like.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct ShareRequest {
    /// A share, in hex or base 64.
    pub key: Zeroizing<String>,
    /// What the share is for: the nonce that the beginning was answered with.
    pub nonce: String,
}

/// How far a rekey is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RekeyStatus {
    /// Its name; empty if there is none.
    pub nonce: String,
    /// Whether there is one.
    pub started: bool,
    /// How many of the new shares will be needed.
    pub t: u8,
    /// How many there will be.
    pub n: u8,
    /// How many shares were given.
    pub progress: u8,
    /// How many are needed.
    pub required: u8,
    /// None: there are no PGP keys.
    pub pgp_fingerprints: Option<Vec<String>>,
    /// Never.
    pub backup: bool,
    /// Whether enough of the new shares have to be given before they count.
    pub verification_required: bool,
    /// The name of that verification, once there are new shares.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub verification_nonce: String,
}

/// New shares. They are secret: nothing but the answer's body may see them.
#[derive(Serialize)]
pub struct RekeyResult {
    /// The rekey's name.
    pub nonce: String,
    /// True.
    pub complete: bool,
    /// The new shares, in hex; none if a key service has the key.
    pub keys: Vec<Zeroizing<String>>,
    /// The same in base 64.
    pub keys_base64: Vec<Zeroizing<String>>,
    /// None: there are no PGP keys.
    pub pgp_fingerprints: Option<Vec<String>>,
    /// Never.
    pub backup: bool,
    /// Whether they count only once enough of them were given.
    pub verification_required: bool,
    /// The name of that verification.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub verification_nonce: String,
}

/// What a share led to.
#[derive(Serialize)]
#[serde(untagged)]
pub enum RekeyAnswer {
    /// More are needed.
    Progress(RekeyStatus),
    /// It was the last.
    Complete(Box<RekeyResult>),
}

/// How far the verification of a rekey is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VerifyStatus {
    /// Its name; empty before there are new shares.
    pub nonce: String,
    /// Whether there are.
    pub started: bool,
    /// How many of them have to be given.
    pub t: u8,
    /// How many there are.
    pub n: u8,
    /// How many were given.
    pub progress: u8,
}

/// The end of the verification of a rekey.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VerifyResult {
    /// Its name.
    pub nonce: String,
    /// True: the new shares count.
    pub complete: bool,
}

/// What a share led to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum VerifyAnswer {
    /// More are needed.
    Progress(VerifyStatus),
    /// It was the last.
    Complete(VerifyResult),
}

impl RekeyRequest {
    pub(crate) fn asked(&self) -> Asked {
        Asked {
            shares: self.secret_shares,
            threshold: self.secret_threshold,
            verify: self.require_verification,
            pgp_keys: self.pgp_keys.as_ref().map_or(0, Vec::len),
            backup: self.backup,
        }
    }
}

impl From<Progress> for RekeyStatus {
    fn from(progress: Progress) -> RekeyStatus {
        RekeyStatus {
            nonce: progress.nonce,
            started: progress.started,
            t: progress.threshold,
            n: progress.shares,
            progress: progress.progress,
            required: progress.required,
            pgp_fingerprints: None,
            backup: false,
            verification_required: progress.verify,
            verification_nonce: progress.verification_nonce,
        }
    }
}

impl From<Shares> for RekeyResult {
    fn from(shares: Shares) -> RekeyResult {
        let keys = shares.keys.shares();
        RekeyResult {
            nonce: shares.nonce,
            complete: true,
            keys: keys.iter().map(|key| Zeroizing::new(hex::encode(key.expose()))).collect(),
            keys_base64: keys.iter().map(|key| Zeroizing::new(STANDARD.encode(key.expose()))).collect(),
            pgp_fingerprints: None,
            backup: false,
            verification_required: shares.verification_nonce.is_some(),
            verification_nonce: shares.verification_nonce.unwrap_or_default(),
        }
    }
}

impl From<Given> for RekeyAnswer {
    fn from(given: Given) -> RekeyAnswer {
        match given {
            Given::More(progress) => RekeyAnswer::Progress(progress.into()),
            Given::Done(shares) => RekeyAnswer::Complete(Box::new(shares.into())),
        }
    }
}

impl From<Proof> for VerifyStatus {
    fn from(proof: Proof) -> VerifyStatus {
        VerifyStatus { nonce: proof.nonce, started: proof.started, t: proof.threshold, n: proof.shares, progress: proof.progress }
    }
}

impl From<Proven> for VerifyAnswer {
    fn from(proven: Proven) -> VerifyAnswer {
        match proven {
            Proven::More(proof) => VerifyAnswer::Progress(proof.into()),
            Proven::Done(nonce) => VerifyAnswer::Complete(VerifyResult { nonce, complete: true }),
        }
    }
}

/// The bytes of a share, which is written in hex or base 64.
pub(crate) fn share(text: &str) -> Result<Zeroizing<Vec<u8>>> {
    // Some base 64 is valid hex as well: it is hex only if it has a share's length.
    if let Ok(share) = hex::decode(text).map(Zeroizing::new)
        && SHARE_LENGTHS.contains(&share.len())
    {
        return Ok(share);
    }
    STANDARD.decode(text).map(Zeroizing::new).map_err(|_| Error::bad_request("'key' must be a valid hex or base64 string"))
}

impl ShareRequest {
    pub(super) fn share(&self) -> Result<Zeroizing<Vec<u8>>> {
        if self.key.is_empty() {
            return Err(Error::bad_request("'key' must be specified in request body as JSON"));
        }
        share(&self.key)
    }
}

impl Core {
    /// Runs what wants no token: only on the active server, and to its end.
    pub(super) async fn without_token<T, F>(self: &Arc<Self>, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let core = self.clone();
        let work = to_the_end(async move {
            let _under_way = core.requests.clone().read_owned().await;
            core.active()?;
            work.await
        });
        self.while_leading(work).await
    }

    /// `GET sys/rekey/init` and `GET sys/rekey-recovery-key/init`.
    pub async fn rekey_status(self: &Arc<Self>, target: Target) -> Result<RekeyStatus> {
        let core = self.clone();
        self.without_token(async move { Ok(core.unsealer().rekey_progress(target, Words::Rekey).await?.into()) }).await
    }

    /// `PUT sys/rekey/init` and `PUT sys/rekey-recovery-key/init`: begins a rekey.
    pub async fn rekey_begin(self: &Arc<Self>, target: Target, request: RekeyRequest) -> Result<RekeyAnswer> {
        let core = self.clone();
        self.without_token(async move { Ok(core.unsealer().rekey_begin(target, Words::Rekey, &request.asked()).await?.into()) }).await
    }

    /// `DELETE sys/rekey/init` and `DELETE sys/rekey-recovery-key/init`: gives it up.
    pub async fn rekey_cancel(self: &Arc<Self>, target: Target) -> Result<()> {
        let core = self.clone();
        self.without_token(async move { core.unsealer().rekey_cancel(target, Words::Rekey).await }).await
    }

    /// `PUT sys/rekey/update` and `PUT sys/rekey-recovery-key/update`: takes a share of the key of today.
    pub async fn rekey_update(self: &Arc<Self>, target: Target, request: ShareRequest) -> Result<RekeyAnswer> {
        let core = self.clone();
        let work = async move {
            let share = request.share()?;
            Ok(core.unsealer().rekey_update(target, Words::Rekey, &share, &request.nonce).await?.into())
        };
        self.without_token(work).await
    }

    /// `GET sys/rekey/verify` and `GET sys/rekey-recovery-key/verify`.
    pub async fn rekey_verification(self: &Arc<Self>, target: Target) -> Result<VerifyStatus> {
        let core = self.clone();
        self.without_token(async move { Ok(core.unsealer().rekey_proof(target, Words::Rekey)?.into()) }).await
    }

    /// `DELETE sys/rekey/verify` and `DELETE sys/rekey-recovery-key/verify`: begins the verification anew.
    pub async fn rekey_verification_restart(self: &Arc<Self>, target: Target) -> Result<VerifyStatus> {
        let core = self.clone();
        self.without_token(async move { Ok(core.unsealer().rekey_proof_restart(target, Words::Rekey)?.into()) }).await
    }

    /// `PUT sys/rekey/verify` and `PUT sys/rekey-recovery-key/verify`: takes one of the new shares.
    pub async fn rekey_verify(self: &Arc<Self>, target: Target, request: ShareRequest) -> Result<VerifyAnswer> {
        let core = self.clone();
        let work = async move {
            let share = request.share()?;
            Ok(core.unsealer().rekey_prove(target, Words::Rekey, &share, &request.nonce).await?.into())
        };
        self.without_token(work).await
    }
}
