//! `sys/rotate/root/*`, `sys/rotate/recovery/*` and `sys/generate-root-token/*`: what the paths without a token offer, for who has one, as OpenBao
//! has it. Shares are needed all the same, but for `sys/rotate/root` itself.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use zeroize::Zeroizing;

use super::{Call, object, params};
use crate::core::{GenerateRootRequest, RekeyResult, Target, share};
use crate::logical::{Error, Fields, Operation, Request, Response, Result};
use crate::unseal::backup::Backup;
use crate::unseal::rekey::{Asked, Given, Progress, Proof, Proven, Words};

/// `verb` is what follows `sys/rotate/root/` or `sys/rotate/recovery/`.
pub(super) async fn rotate(call: &Call<'_>, target: Target, verb: &str, request: &Request) -> Result<Response> {
    let (unsealer, words, data) = (call.core.unsealer(), Words::Rotate, &request.data);
    let writes = matches!(request.operation, Operation::Update | Operation::Create);
    match (verb, request.operation) {
        ("init", Operation::Read) => Ok(Response::data(progress(unsealer.rekey_progress(target, words).await?))),
        ("init", Operation::Delete) => {
            unsealer.rekey_cancel(target, words).await?;
            Ok(Response::empty())
        }
        ("init", _) if writes => {
            let asked = asked(data)?;
            let answer = unsealer.rekey_begin(target, words, &asked).await?;
            let mut fields = given(answer);
            // Where nobody had to agree, it is all there is to tell.
            if fields.remove("complete").is_some() {
                fields.extend(object([("complete", true.into()), ("n", asked.shares.into()), ("t", asked.threshold.into())]));
            }
            Ok(Response::data(fields))
        }
        ("update", _) if writes => {
            let (part, nonce) = share_of(data)?;
            Ok(Response::data(given(unsealer.rekey_update(target, words, &part, &nonce).await?)))
        }
        ("verify", Operation::Read) => Ok(Response::data(proof(unsealer.rekey_proof(target, words)?))),
        ("verify", Operation::Delete) => Ok(Response::data(proof(unsealer.rekey_proof_restart(target, words)?))),
        ("verify", _) if writes => {
            let (part, nonce) = share_of(data)?;
            Ok(Response::data(match unsealer.rekey_prove(target, words, &part, &nonce).await? {
                Proven::More(more) => proof(more),
                Proven::Done(nonce) => object([("complete", true.into()), ("nonce", nonce.into())]),
            }))
        }
        ("init" | "update" | "verify", operation) if operation != Operation::List => Err(Error::UnsupportedOperation),
        _ => Err(Error::unsupported_path()),
    }
}

/// The new shares of a rekey as another server stored them, encrypted with PGP keys: this one has none to store, and gives back what came with an import.
pub(super) async fn backup(call: &Call<'_>, target: Target, operation: Operation) -> Result<Response> {
    match operation {
        Operation::Read => {
            let backup = call.core.unsealer().rekey_backup(target).await?;
            let Backup { nonce, keys } = backup.ok_or_else(|| Error::bad_request("no backed-up keys found"))?;
            let texts = |text: fn(&[u8]) -> String| -> Fields {
                keys.iter().map(|(fingerprint, keys)| (fingerprint.clone(), Value::from_iter(keys.iter().map(|key| text(key))))).collect()
            };
            let (hex, base64) = (texts(|key| hex::encode(key)), texts(|key| STANDARD.encode(key)));
            Ok(Response::flat(object([("nonce", nonce.into()), ("keys", hex.into()), ("keys_base64", base64.into())])))
        }
        Operation::Delete => {
            call.core.unsealer().remove_rekey_backup(target).await?;
            Ok(Response::empty())
        }
        Operation::List => Err(Error::unsupported_path()),
        _ => Err(Error::UnsupportedOperation),
    }
}

/// `verb` is what follows `sys/generate-root-token/`.
pub(super) async fn generate_root(call: &Call<'_>, verb: &str, request: &Request) -> Result<Response> {
    let writes = matches!(request.operation, Operation::Update | Operation::Create);
    let secret = |name: &str| params::text(&request.data, name).map(|text| text.unwrap_or_default());
    match (verb, request.operation) {
        ("attempt", Operation::Read) => {
            let status = call.core.generation_status().await?;
            let mut fields = object([
                ("started", status.started.into()),
                ("progress", status.progress.into()),
                ("required", status.required.into()),
                ("complete", false.into()),
                ("otp", "".into()),
                ("otp_length", status.otp_length.into()),
            ]);
            if status.started {
                fields.extend(object([("nonce", status.nonce.into()), ("pgp_fingerprint", "".into())]));
            }
            Ok(Response::data(fields))
        }
        ("attempt", Operation::Delete) => {
            call.core.unsealer().generation_end();
            Ok(Response::empty())
        }
        ("attempt", _) if writes => {
            let begin = GenerateRootRequest { otp: Zeroizing::new(secret("otp")?), pgp_key: secret("pgp_key")? };
            let status = call.core.generation_begin(begin).await?;
            Ok(Response::data(object([
                ("started", true.into()),
                ("nonce", status.nonce.into()),
                ("progress", status.progress.into()),
                ("required", status.required.into()),
                ("complete", false.into()),
                ("otp", status.otp.as_str().into()),
                ("otp_length", status.otp_length.into()),
                ("pgp_fingerprint", "".into()),
            ])))
        }
        ("update", _) if writes => {
            let nonce = params::required(&request.data, "nonce", "nonce is required")?;
            let key = Zeroizing::new(params::required(&request.data, "key", "key is required")?);
            let status = call.core.generation_update(call.active, &share(&key)?, &nonce).await?;
            Ok(Response::data(object([
                ("started", true.into()),
                ("nonce", status.nonce.into()),
                ("progress", status.progress.into()),
                ("required", status.required.into()),
                ("complete", status.complete.into()),
                ("encoded_token", status.encoded_token.as_str().into()),
                ("pgp_fingerprint", "".into()),
            ])))
        }
        ("attempt" | "update", operation) if operation != Operation::List => Err(Error::UnsupportedOperation),
        _ => Err(Error::unsupported_path()),
    }
}

fn asked(data: &Fields) -> Result<Asked> {
    Ok(Asked {
        shares: number(data, "secret_shares")?,
        threshold: number(data, "secret_threshold")?,
        verify: params::boolean(data, "require_verification")?.unwrap_or_default(),
        pgp_keys: params::list(data, "pgp_keys")?.map_or(0, |keys| keys.len()),
        backup: params::boolean(data, "backup")?.unwrap_or_default(),
    })
}

fn number(data: &Fields, name: &str) -> Result<i64> {
    let Some(text) = params::text(data, name)?.filter(|text| !text.is_empty()) else { return Ok(0) };
    text.parse().map_err(|_| {
        let text = "cannot parse value as 'int': strconv.ParseInt: invalid syntax";
        Error::BadRequest(format!("Field validation failed: error converting input for field {name:?}: '' {text}"))
    })
}

/// The share and what it is for.
fn share_of(data: &Fields) -> Result<(Zeroizing<Vec<u8>>, String)> {
    let key = Zeroizing::new(params::required(data, "key", "missing required field 'key'")?);
    let nonce = params::required(data, "nonce", "missing required field 'nonce'")?;
    Ok((share(&key)?, nonce))
}

fn progress(progress: Progress) -> Fields {
    let mut fields = object([
        ("started", progress.started.into()),
        ("t", progress.threshold.into()),
        ("n", progress.shares.into()),
        ("required", progress.required.into()),
    ]);
    if progress.started {
        fields.extend(object([
            ("nonce", progress.nonce.into()),
            ("progress", progress.progress.into()),
            ("verification_required", progress.verify.into()),
            ("verification_nonce", progress.verification_nonce.into()),
        ]));
    }
    fields
}

fn given(given: Given) -> Fields {
    let shares = match given {
        Given::More(more) => return progress(more),
        Given::Done(shares) => RekeyResult::from(shares),
    };
    let texts = |keys: &[Zeroizing<String>]| Value::from_iter(keys.iter().map(|key| key.as_str()));
    object([
        ("nonce", shares.nonce.as_str().into()),
        ("complete", true.into()),
        ("keys", texts(&shares.keys)),
        ("keys_base64", texts(&shares.keys_base64)),
        ("pgp_fingerprints", Value::Null),
        ("backup", false.into()),
        ("verification_required", shares.verification_required.into()),
        ("verification_nonce", shares.verification_nonce.as_str().into()),
    ])
}

fn proof(proof: Proof) -> Fields {
    object([
        ("nonce", proof.nonce.into()),
        ("started", proof.started.into()),
        ("t", proof.threshold.into()),
        ("n", proof.shares.into()),
        ("progress", proof.progress.into()),
    ])
}
