//! Wrapping tokens in the form of a JWT, which Vault makes for clients that ask with `X-Vault-Wrap-Format: jwt`.
//!
//! The JWT names the token that unwraps (`jti`), and is signed (ES512) with a key of the cluster, `core/wrapping/jwtkey`, in Vault's form, so that those
//! which another server gave out unwrap here, and the other way round. The rule: the paths that unwrap take one, and no other path does.

use aws_lc_rs::encoding::{AsBigEndian, EcPrivateKeyBin};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P521_SHA512_FIXED, ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use num_bigint::BigUint;
use serde_json::Value;
use tokio::sync::OnceCell;
use zeroize::Zeroizing;

use crate::auth::stored;
use crate::keyring::json::position;
use crate::logical::{Error, Fields, Result, WrapInfo};
use crate::view::View;

/// Below `core/`.
const KEY: &str = "wrapping/jwtkey";
/// Bytes of a number of the curve.
const NUMBER: usize = 66;
/// What a point in full begins with.
const FULL: u8 = 4;
/// `{"alg":"ES512","typ":"JWT"}`
const HEADER: &str = "eyJhbGciOiJFUzUxMiIsInR5cCI6IkpXVCJ9";
/// How long before it was made one counts, for clocks that are behind.
const LEEWAY: i64 = 5;
const TYPE: &str = "wrapping";

/// The cluster's key, once it was wanted.
pub(crate) struct WrappingKey {
    /// `core/`
    view: View,
    key: OnceCell<EcdsaKeyPair>,
}

/// Whether a token is a JWT: two dots, and not a plain token with a namespace, whose first dot follows its kind.
fn is_jwt(token: &str) -> bool {
    let bytes = token.as_bytes();
    let dot = |at: usize| bytes.get(at) == Some(&b'.');
    bytes.len() > 3 && bytes.iter().filter(|byte| **byte == b'.').count() == 2 && !dot(1) && !dot(3)
}

fn refused(text: &str) -> Error {
    Error::Forbidden(format!("error validating wrapping token: {text}"))
}

impl WrappingKey {
    pub(crate) fn new(view: View) -> WrappingKey {
        WrappingKey { view, key: OnceCell::new() }
    }

    /// Reads the key, or makes it.
    async fn key(&self) -> Result<&EcdsaKeyPair> {
        self.key
            .get_or_try_init(|| async {
                if let Some(bytes) = self.view.get(KEY).await? {
                    let damaged = |text: String| Error::Damaged(format!("core/{KEY}: {text}"));
                    let members: Fields = serde_json::from_slice(&bytes).map_err(|error| damaged(position(&error)))?;
                    return read(&members).ok_or_else(|| damaged("not a key of the curve P-521".to_owned()));
                }
                let failed = |_| Error::Internal("a key for wrapping tokens could not be made".to_owned());
                let made = EcdsaKeyPair::generate(&ECDSA_P521_SHA512_FIXED_SIGNING).map_err(failed)?;
                let secret: EcPrivateKeyBin<'_> = made.private_key().as_be_bytes().map_err(failed)?;
                let members = written(secret.as_ref(), made.public_key().as_ref());
                stored::put(&self.view, KEY, &members.ok_or_else(|| Error::Internal("a number of a key".to_owned()))?).await?;
                Ok(made)
            })
            .await
    }

    /// The JWT of a token that unwraps. `address` is where clients reach the server.
    pub(super) async fn sign(&self, inner: &str, info: &WrapInfo, address: &str, now: i64) -> Result<Zeroizing<String>> {
        let expiry = now.saturating_add(i64::try_from(info.ttl.as_secs()).unwrap_or(i64::MAX));
        let claims = Fields::from_iter([
            ("accessor".to_owned(), info.wrapped_accessor.as_str().into()),
            ("addr".to_owned(), address.into()),
            ("exp".to_owned(), expiry.into()),
            ("iat".to_owned(), now.into()),
            ("jti".to_owned(), inner.into()),
            ("nbf".to_owned(), now.saturating_sub(LEEWAY).into()),
            ("type".to_owned(), TYPE.into()),
        ]);
        let claims = Zeroizing::new(serde_json::to_vec(&claims).map_err(|error| Error::Internal(error.to_string()))?);
        let message = Zeroizing::new(format!("{HEADER}.{}", URL_SAFE_NO_PAD.encode(&*claims)));
        let signature = self.key().await?.sign(&SystemRandom::new(), message.as_bytes());
        let signature = signature.map_err(|_| Error::Internal("a wrapping token could not be signed".to_owned()))?;
        Ok(Zeroizing::new(format!("{}.{}", *message, URL_SAFE_NO_PAD.encode(signature.as_ref()))))
    }

    /// The token that a JWT of this vault names; none if the text is no JWT. [`Error::Forbidden`] for one of another.
    pub(crate) async fn named(&self, token: &str) -> Result<Option<Zeroizing<String>>> {
        if !is_jwt(token) {
            return Ok(None);
        }
        let unparsed = || refused("wrapping token could not be parsed");
        let (message, signature) = token.rsplit_once('.').ok_or_else(unparsed)?;
        let (header, claims) = message.split_once('.').ok_or_else(unparsed)?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map(Zeroizing::new).map_err(|_| unparsed());
        let (header, claims, signature) = (decode(header)?, decode(claims)?, decode(signature)?);
        let parse = |bytes: &[u8]| serde_json::from_slice::<Fields>(bytes).map_err(|_| unparsed());
        if parse(&header)?.get("alg").and_then(Value::as_str) != Some("ES512") {
            return Err(unparsed());
        }
        let public = self.key().await?.public_key().as_ref().to_vec();
        UnparsedPublicKey::new(&ECDSA_P521_SHA512_FIXED, public)
            .verify(message.as_bytes(), &signature)
            .map_err(|_| refused("wrapping token signature could not be validated"))?;
        let claims = parse(&claims)?;
        match claims.get("type") {
            None => return Err(refused("could not validate type claim")),
            Some(Value::String(kind)) if kind == TYPE => {}
            Some(Value::String(_)) => return Err(refused("unexpected type claim")),
            Some(_) => return Err(refused("could not parse type claim")),
        }
        let inner = claims.get("jti").and_then(Value::as_str).filter(|inner| !inner.is_empty()).ok_or_else(|| refused("token is empty"))?;
        Ok(Some(Zeroizing::new(inner.to_owned())))
    }
}

/// The key of what is stored: numbers in decimal, as Go writes big ones.
fn read(members: &Fields) -> Option<EcdsaKeyPair> {
    if members.get("type")?.as_str()? != "p521" {
        return None;
    }
    let number = |name: &str| {
        let text = Zeroizing::new(members.get(name)?.as_number()?.to_string());
        let bytes = Zeroizing::new(BigUint::parse_bytes(text.as_bytes(), 10)?.to_bytes_be());
        let mut padded = Zeroizing::new(vec![0; NUMBER.checked_sub(bytes.len())?]);
        padded.extend_from_slice(&bytes);
        Some(padded)
    };
    let point = [&[FULL], number("x")?.as_slice(), number("y")?.as_slice()].concat();
    EcdsaKeyPair::from_private_key_and_public_key(&ECDSA_P521_SHA512_FIXED_SIGNING, &number("d")?, &point).ok()
}

/// What is stored of a key.
fn written(secret: &[u8], point: &[u8]) -> Option<Fields> {
    let (x, y) = point.strip_prefix(&[FULL])?.split_at_checked(NUMBER)?;
    let number = |bytes: &[u8]| BigUint::from_bytes_be(bytes).to_string().parse::<serde_json::Number>().ok().map(Value::Number);
    let members = [("type", "p521".into()), ("x", number(x)?), ("y", number(y)?), ("d", number(secret)?)];
    Some(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::core::tests::Vault;

    /// Of a bao 2.7.2, with a JWT that it signed.
    const STORED: &str = include_str!("testdata/jwtkey.json");
    const SIGNED: &str = include_str!("testdata/wrapping.jwt");

    async fn key() -> (Vault, WrappingKey) {
        let vault = Vault::new().await;
        let view = View::new(vault.core.barrier.clone(), "core/");
        (vault, WrappingKey::new(view))
    }

    #[tokio::test]
    async fn a_jwt_of_a_real_bao_is_understood() {
        let (_vault, key) = key().await;
        key.view.put(KEY, STORED.as_bytes()).await.unwrap();
        let named = key.named(SIGNED.trim()).await.unwrap().unwrap();
        assert!(named.starts_with("s.") && named.len() == 26, "{}", *named);
    }

    #[tokio::test]
    async fn the_key_is_made_once_and_read_again() {
        let (_vault, key) = key().await;
        let info = WrapInfo { ttl: Duration::from_secs(60), wrapped_accessor: "acc".to_owned(), ..WrapInfo::default() };
        let jwt = key.sign("hvs.inner", &info, "http://a", 1_000).await.unwrap();
        let claims = URL_SAFE_NO_PAD.decode(jwt.split('.').nth(1).unwrap()).unwrap();
        let wanted = r#"{"accessor":"acc","addr":"http://a","exp":1060,"iat":1000,"jti":"hvs.inner","nbf":995,"type":"wrapping"}"#;
        assert_eq!(String::from_utf8(claims).unwrap(), wanted);
        let again = WrappingKey::new(key.view.clone());
        assert_eq!(again.named(&jwt).await.unwrap().unwrap().as_str(), "hvs.inner");
    }

    #[tokio::test]
    async fn whatever_this_vault_did_not_sign_is_refused() {
        let (_vault, key) = key().await;
        let jwt = key.sign("hvs.inner", &WrapInfo::default(), "", 1_000).await.unwrap();
        let (message, signature) = jwt.rsplit_once('.').unwrap();
        let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
        let claims = message.split_once('.').unwrap().1;
        for (wrong, why) in [
            (SIGNED.trim().to_owned(), "signature"),
            (format!("{message}.{}", signature.chars().rev().collect::<String>()), ""),
            (format!("{}!", *jwt), "parsed"),
            (format!("{none}.{claims}.{signature}"), "parsed"),
            ("aa.bb.cc".to_owned(), "parsed"),
        ] {
            let refused = key.named(&wrong).await.unwrap_err().to_string();
            assert!(refused.starts_with("error validating wrapping token: ") && refused.contains(why), "{refused}");
        }
        for plain in ["s.x.ns", "hvs.x.ns", "hvs.abc", "b.a.b", "", "a..", "a.b.c.d"] {
            assert_eq!(key.named(plain).await.unwrap(), None, "{plain}");
        }
    }
}
