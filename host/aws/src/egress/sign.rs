//! Signature Version 4 of the one shape of request that is sent: `POST /` with a JSON body. The rule: what is signed is what is sent; the
//! official signer is the oracle of the tests.
//!
//! The derived key of a day is kept, which that signer derives anew for each request.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_lc_rs::{digest, hmac};
use aws_sigv4::sign::v4::generate_signing_key;
use bytes::Bytes;
use http::HeaderValue;
use time::OffsetDateTime;

/// The length of a hash in hexadecimal.
const HASH: usize = 64;

/// What a signature adds to the headers.
pub(super) struct Signed {
    pub(super) date: HeaderValue,
    pub(super) authorization: HeaderValue,
    pub(super) token: Option<HeaderValue>,
}

/// Signs for one endpoint.
pub(super) struct Signer {
    region: String,
    service: &'static str,
    /// The first lines of the canonical request, up to the value of `host`.
    head: String,
    derived: Mutex<Option<Arc<Derived>>>,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("region", &self.region).field("service", &self.service).finish_non_exhaustive()
    }
}

/// What stays the same for a day and a set of credentials.
struct Derived {
    credentials: Credentials,
    date: String,
    key: hmac::Key,
    /// The end of the string to sign's third line.
    scope: String,
    /// The value of `authorization` up to the signature.
    authorization: String,
    token: Option<HeaderValue>,
}

impl Derived {
    fn is_of(&self, credentials: &Credentials, date: &str) -> bool {
        let same = |get: fn(&Credentials) -> &str| get(&self.credentials) == get(credentials);
        self.date == date
            && same(Credentials::access_key_id)
            && same(Credentials::secret_access_key)
            && self.credentials.session_token() == credentials.session_token()
    }
}

impl Signer {
    pub(super) fn new(service: &'static str, region: &str, content_type: &str, authority: &HeaderValue) -> Signer {
        let host = authority.to_str().unwrap_or_default();
        let head = format!("POST\n/\n\ncontent-type:{content_type}\nhost:{host}\n");
        Signer { region: region.to_owned(), service, head, derived: Mutex::new(None) }
    }

    /// Signs a request. The error is for whoever looks after the credentials.
    pub(super) fn sign(&self, credentials: &Credentials, target: &str, body: &[u8], time: SystemTime) -> Result<Signed, &'static str> {
        let stamp = stamp(time).ok_or("the time of day is out of range")?;
        let derived = self.derived(credentials, stamp.get(..8).unwrap_or_default(), time)?;
        let mut canonical = String::with_capacity(1024 + credentials.session_token().map_or(0, str::len));
        canonical.push_str(&self.head);
        canonical.push_str("x-amz-date:");
        canonical.push_str(&stamp);
        let signed = match credentials.session_token() {
            Some(token) => {
                canonical.push_str("\nx-amz-security-token:");
                canonical.push_str(token);
                SIGNED_WITH_TOKEN
            }
            None => SIGNED,
        };
        canonical.push_str("\nx-amz-target:");
        canonical.push_str(target);
        canonical.push_str("\n\n");
        canonical.push_str(signed);
        canonical.push('\n');
        hash(body, &mut canonical);

        let mut text = String::with_capacity(256);
        text.push_str("AWS4-HMAC-SHA256\n");
        text.push_str(&stamp);
        text.push('\n');
        text.push_str(&derived.scope);
        text.push('\n');
        hash(canonical.as_bytes(), &mut text);
        zeroize::Zeroize::zeroize(&mut canonical);

        let mut authorization = String::with_capacity(derived.authorization.len() + HASH);
        authorization.push_str(&derived.authorization);
        hex(hmac::sign(&derived.key, text.as_bytes()).as_ref(), &mut authorization);
        let authorization = sensitive(Bytes::from(authorization)).ok_or("the access key id holds characters that no header may hold")?;
        let date = HeaderValue::from_maybe_shared(Bytes::from(stamp)).map_err(|_| "the time of day is out of range")?;
        Ok(Signed { date, authorization, token: derived.token.clone() })
    }

    fn derived(&self, credentials: &Credentials, date: &str, time: SystemTime) -> Result<Arc<Derived>, &'static str> {
        let kept = self.derived.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(derived) = kept.filter(|derived| derived.is_of(credentials, date)) {
            return Ok(derived);
        }
        let key = generate_signing_key(credentials.secret_access_key(), time, &self.region, self.service);
        let scope = format!("{date}/{}/{}/aws4_request", self.region, self.service);
        let signed = if credentials.session_token().is_some() { SIGNED_WITH_TOKEN } else { SIGNED };
        let id = credentials.access_key_id();
        let token = match credentials.session_token().map(|token| sensitive(Bytes::copy_from_slice(token.as_bytes()))) {
            Some(None) => return Err("the session token holds characters that no header may hold"),
            Some(token) => token,
            None => None,
        };
        let derived = Arc::new(Derived {
            credentials: credentials.clone(),
            date: date.to_owned(),
            key: hmac::Key::new(hmac::HMAC_SHA256, key.as_ref()),
            authorization: format!("AWS4-HMAC-SHA256 Credential={id}/{scope}, SignedHeaders={signed}, Signature="),
            scope,
            token,
        });
        *self.derived.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&derived));
        Ok(derived)
    }
}

const SIGNED: &str = "content-type;host;x-amz-date;x-amz-target";
const SIGNED_WITH_TOKEN: &str = "content-type;host;x-amz-date;x-amz-security-token;x-amz-target";

fn sensitive(value: Bytes) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_maybe_shared(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn hash(data: &[u8], into: &mut String) {
    hex(digest::digest(&digest::SHA256, data).as_ref(), into);
}

fn hex(bytes: &[u8], into: &mut String) {
    let digit = |nibble: u8| char::from(if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 });
    for byte in bytes {
        into.push(digit(byte >> 4));
        into.push(digit(byte & 15));
    }
}

/// `20261122T033000Z`.
fn stamp(time: SystemTime) -> Option<String> {
    let time = OffsetDateTime::from(time);
    let year = u16::try_from(time.year()).ok().filter(|year| *year < 10_000)?;
    let (month, day, hour, minute, second) = (u8::from(time.month()), time.day(), time.hour(), time.minute(), time.second());
    Some(format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use aws_sigv4::http_request::{PayloadChecksumKind, SignableBody, SignableRequest, SigningSettings, sign};
    use aws_sigv4::sign::v4::SigningParams;
    use proptest::prelude::*;

    use super::*;

    fn credentials(id: &str, secret: &str, token: Option<&str>) -> Credentials {
        Credentials::new(id, secret, token.map(str::to_owned), None, "test")
    }

    /// The value of `authorization` by the official signer.
    fn oracle(credentials: &Credentials, host: &str, target: &str, body: &[u8], time: SystemTime) -> String {
        let identity = credentials.clone().into();
        let mut settings = SigningSettings::default();
        settings.payload_checksum_kind = PayloadChecksumKind::NoHeader;
        let params = SigningParams::builder()
            .identity(&identity)
            .region("eu-west-1")
            .name("dynamodb")
            .time(time)
            .settings(settings)
            .build()
            .unwrap();
        let headers = [("content-type", "application/x-amz-json-1.0"), ("host", host), ("x-amz-target", target)];
        let url = format!("https://{host}/");
        let request = SignableRequest::new("POST", &url, headers.into_iter(), SignableBody::Bytes(body)).unwrap();
        let (instructions, _) = sign(request, &params.into()).unwrap().into_parts();
        instructions.headers().find(|(name, _)| *name == "authorization").unwrap().1.to_owned()
    }

    fn signer(host: &'static str) -> Signer {
        Signer::new("dynamodb", "eu-west-1", "application/x-amz-json-1.0", &HeaderValue::from_static(host))
    }

    proptest! {
        #[test]
        fn the_official_signer_agrees(
            body in prop::collection::vec(any::<u8>(), 0..300),
            id in "[A-Z0-9]{16,24}",
            secret in "[A-Za-z0-9/+]{40}",
            token in prop::option::of("[A-Za-z0-9/+=]{1,400}"),
            seconds in 0..4_000_000_000u64,
            target in "DynamoDB_20120810\\.[A-Za-z]{4,20}",
        ) {
            let host = "dynamodb.eu-west-1.amazonaws.com:8443";
            let signer = signer(host);
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            let credentials = credentials(&id, &secret, token.as_deref());
            // Derived, and from the kept key.
            for _ in 0..2 {
                let signed = signer.sign(&credentials, &target, &body, time).unwrap();
                prop_assert_eq!(signed.authorization.to_str().unwrap(), oracle(&credentials, host, &target, &body, time));
                prop_assert_eq!(signed.token.map(|token| token.to_str().unwrap().to_owned()), token.clone());
            }
        }
    }

    #[test]
    fn the_kept_key_follows_day_secret_and_token() {
        let signer = signer("h");
        let day = |day: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(day * 86_400 + 5);
        let target = "DynamoDB_20120810.GetItem";
        let all = [
            (credentials("AKID", "one", None), day(20_000)),
            (credentials("AKID", "two", None), day(20_000)),
            (credentials("AKID", "two", Some("t1")), day(20_000)),
            (credentials("AKID", "two", Some("t2")), day(20_000)),
            (credentials("AKID", "two", Some("t2")), day(20_001)),
            (credentials("OTHER", "two", Some("t2")), day(20_001)),
            (credentials("AKID", "one", None), day(20_000)),
        ];
        for (credentials, time) in all {
            let signed = signer.sign(&credentials, target, b"{}", time).unwrap();
            assert_eq!(signed.authorization.to_str().unwrap(), oracle(&credentials, "h", target, b"{}", time));
        }
    }

    #[test]
    fn nothing_secret_is_shown() {
        let signer = signer("h");
        let signed = signer.sign(&credentials("AKID", "hidden-secret", Some("hidden-token")), "t", b"{}", SystemTime::now()).unwrap();
        let shown = format!("{signer:?} {:?} {:?}", signed.authorization, signed.token);
        assert!(!shown.contains("hidden") && !shown.contains("Signature="), "{shown}");
        assert!(signer.sign(&credentials("AKID", "s", Some("a\nb")), "t", b"{}", SystemTime::now()).is_err());
    }
}
