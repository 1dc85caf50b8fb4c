//! `sys/generate-root/*`: a root token from shares, without a token. And the opposite of its encoding, which wants nothing.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::rekey::ShareRequest;
use super::{Active, Core};
use crate::logical::{Error, Fields, Response, Result};
use crate::token::ROOT_TOKEN_LEN;
use crate::unseal::generate_root::{self, Given, Progress};

/// The body of `PUT sys/generate-root/attempt`.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct GenerateRootRequest {
    /// A password as long as the token; if it is empty one is made up.
    pub otp: Zeroizing<String>,
    /// PGP key for the token: refused, not offered by this server.
    pub pgp_key: String,
}

/// The answer of `sys/generate-root/attempt` and of `sys/generate-root/update`.
#[derive(Serialize)]
pub struct GenerateRootStatus {
    /// The attempt's name; empty if there is none.
    pub nonce: String,
    /// Whether there is one.
    pub started: bool,
    /// How many shares were given.
    pub progress: u8,
    /// How many are needed.
    pub required: u8,
    /// Whether the token is made.
    pub complete: bool,
    /// The token, combined with the password, in base 64.
    pub encoded_token: Zeroizing<String>,
    /// The same, as older clients call it.
    pub encoded_root_token: Zeroizing<String>,
    /// Empty: there is no PGP key.
    pub pgp_fingerprint: &'static str,
    /// The password, if it was made up just now.
    pub otp: Zeroizing<String>,
    /// How long a password has to be; zero in the answer to a share.
    pub otp_length: usize,
}

/// The body of `PUT sys/decode-token`.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct DecodeTokenRequest {
    /// What [`GenerateRootStatus::encoded_token`] was.
    pub encoded_token: Zeroizing<String>,
    /// The password.
    pub otp: Zeroizing<String>,
}

impl GenerateRootStatus {
    fn new(progress: Progress) -> GenerateRootStatus {
        GenerateRootStatus {
            nonce: progress.nonce,
            started: progress.started,
            progress: progress.progress,
            required: progress.required,
            complete: false,
            encoded_token: Zeroizing::default(),
            encoded_root_token: Zeroizing::default(),
            pgp_fingerprint: "",
            otp: Zeroizing::default(),
            otp_length: ROOT_TOKEN_LEN,
        }
    }
}

/// `PUT sys/decode-token`.
pub fn decode_token(request: &DecodeTokenRequest) -> Result<Response> {
    let token = generate_root::decode(&request.encoded_token, &request.otp)?;
    Ok(Response::data(Fields::from_iter([("token".to_owned(), token.as_str().into())])))
}

impl Core {
    /// `GET sys/generate-root/attempt`.
    pub async fn generate_root_status(self: &Arc<Self>) -> Result<GenerateRootStatus> {
        let core = self.clone();
        self.without_token(async move { core.generation_status().await }).await
    }

    /// `PUT sys/generate-root/attempt`: begins it.
    pub async fn generate_root_begin(self: &Arc<Self>, request: GenerateRootRequest) -> Result<GenerateRootStatus> {
        let core = self.clone();
        self.without_token(async move { core.generation_begin(request).await }).await
    }

    /// `DELETE sys/generate-root/attempt`: gives it up.
    pub async fn generate_root_cancel(self: &Arc<Self>) -> Result<()> {
        let core = self.clone();
        self.without_token(async move {
            core.unsealer().generation_end();
            Ok(())
        })
        .await
    }

    /// `PUT sys/generate-root/update`: takes a share; with the last one makes the token.
    pub async fn generate_root_update(self: &Arc<Self>, request: ShareRequest) -> Result<GenerateRootStatus> {
        let core = self.clone();
        let work = async move {
            let share = request.share()?;
            let active = core.active()?;
            core.generation_update(&active, &share, &request.nonce).await
        };
        self.without_token(work).await
    }

    pub(crate) async fn generation_status(&self) -> Result<GenerateRootStatus> {
        self.unsealer().generation().await.map(GenerateRootStatus::new)
    }

    pub(crate) async fn generation_begin(&self, request: GenerateRootRequest) -> Result<GenerateRootStatus> {
        if !request.pgp_key.is_empty() {
            return Err(Error::bad_request("pgp_key is not supported by this server: give an otp, or nothing to have one made up"));
        }
        let made_up = request.otp.is_empty();
        if !made_up && request.otp.len() != ROOT_TOKEN_LEN {
            return Err(Error::bad_request("OTP string is wrong length"));
        }
        let otp = if made_up { generate_root::password(ROOT_TOKEN_LEN)? } else { request.otp };
        let progress = self.unsealer().generation_begin(otp.clone()).await?;
        Ok(GenerateRootStatus { otp: if made_up { otp } else { Zeroizing::default() }, ..GenerateRootStatus::new(progress) })
    }

    pub(crate) async fn generation_update(&self, active: &Active, share: &[u8], nonce: &str) -> Result<GenerateRootStatus> {
        let (progress, otp) = match self.unsealer().generation_update(share, nonce).await? {
            Given::More(progress) => return Ok(GenerateRootStatus { otp_length: 0, ..GenerateRootStatus::new(progress) }),
            Given::Agreed(progress, otp) => (progress, otp),
        };
        let (entry, token) = active.tokens.create_root().await?;
        let encoded = generate_root::encode(&token, &otp)?;
        self.unsealer().generation_end();
        tracing::warn!(nonce, accessor = entry.accessor, "root generation finished: there is a new root token");
        Ok(GenerateRootStatus {
            complete: true,
            encoded_token: encoded.clone(),
            encoded_root_token: encoded,
            otp_length: 0,
            ..GenerateRootStatus::new(progress)
        })
    }
}
