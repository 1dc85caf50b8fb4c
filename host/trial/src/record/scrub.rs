//! What does not come onto a tape: keys, secrets that the host knows of, accounts, and the names of servers. Each has a placeholder, so that requests can be
//! compared and answers be completed again.
//!
//! The rule: the same request gives the same text on both sides. Numbers are given in the order of a check's requests, and begin anew with each check.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use http::{HeaderMap, Uri};
use zeroize::Zeroizing;

/// What shorter secrets are, nobody can tell from other text.
const SHORTEST: usize = 8;
const SECRET: &[u8] = b"{{secret}}";
/// What headers' names are made of whose values are nobody's business; and the names of a query's.
const PRIVATE: &[&str] =
    &["auth", "cookie", "token", "secret", "session", "credential", "signature", "api-key", "apikey", "api_key", "password", "passwd"];

/// Headers of one answer and of no other: they would be wrong, or say whose it was.
const PASSING: &[&str] = &["requestid", "request-id", "crc32", "digest", "content-md5", "content-length"];

/// A text and what stands for it.
struct Stand {
    text: Zeroizing<Vec<u8>>,
    by: Vec<u8>,
}

/// What is known that has to go.
#[derive(Default)]
pub(super) struct Scrub {
    secrets: Vec<Zeroizing<Vec<u8>>>,
    keys: Vec<[Stand; 5]>,
    /// The writings of all keys of all checks.
    all_keys: Vec<Zeroizing<Vec<u8>>>,
    accounts: Vec<Vec<u8>>,
    servers: Vec<String>,
}

impl Scrub {
    /// Has this taken out wherever it stands, also in base64. What is too short to be told from other text is left.
    pub(super) fn secret(&mut self, secret: &[u8]) {
        if secret.len() < SHORTEST {
            return;
        }
        let base64 = STANDARD.encode(secret).into_bytes();
        // The last characters hold bits of what may follow.
        let base64 = base64.get(..secret.len() * 4 / 3).unwrap_or_default().to_vec();
        for text in [secret.to_vec(), base64] {
            self.secrets.push(Zeroizing::new(text));
        }
    }

    /// Begins a check.
    pub(super) fn begin(&mut self) {
        self.keys.clear();
        self.accounts.clear();
        self.servers.clear();
    }

    /// Notes a key that a seal is given.
    pub(super) fn key(&mut self, dek: &[u8; 32]) {
        let number = self.keys.len();
        if self.keys.iter().any(|[raw, ..]| *raw.text == dek) {
            return;
        }
        let stand =
            |form: &str, text: Vec<u8>| Stand { text: Zeroizing::new(text), by: format!("{{{{key {number} {form}}}}}").into_bytes() };
        let hex: String = dek.iter().map(|byte| format!("{byte:02x}")).collect();
        self.keys.push([
            stand("raw", dek.to_vec()),
            stand("base64", STANDARD_NO_PAD.encode(dek).into_bytes()),
            stand("base64url", URL_SAFE_NO_PAD.encode(dek).into_bytes()),
            stand("HEX", hex.to_ascii_uppercase().into_bytes()),
            stand("hex", hex.into_bytes()),
        ]);
        // One byte over and over is what blobs of rubbish look like, too.
        let rubbish = dek.iter().all(|byte| Some(byte) == dek.first());
        if !rubbish && !self.all_keys.iter().any(|known| known.as_slice() == dek) {
            self.all_keys.extend(self.keys.last().into_iter().flatten().map(|stand| stand.text.clone()));
        }
    }

    /// The bytes with placeholders.
    pub(super) fn hide<'a>(&mut self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        self.learn(bytes);
        let mut hidden = Cow::Borrowed(bytes);
        for secret in &self.secrets {
            replace(&mut hidden, secret, SECRET);
        }
        for stand in self.keys.iter().flatten() {
            replace(&mut hidden, &stand.text, &stand.by);
        }
        for (number, account) in self.accounts.iter().enumerate() {
            replace(&mut hidden, account, placeholder(number).as_bytes());
        }
        hidden
    }

    /// The same for a text.
    pub(super) fn hide_text(&mut self, text: &str) -> String {
        String::from_utf8_lossy(&self.hide(text.as_bytes())).into_owned()
    }

    /// The bytes with the keys in their places again; none if they name a key that there has not been.
    pub(super) fn show(&self, bytes: Vec<u8>) -> Option<Zeroizing<Vec<u8>>> {
        let mut shown = Cow::Owned(bytes);
        for stand in self.keys.iter().flatten() {
            replace(&mut shown, &stand.by, &stand.text);
        }
        let known = !shown.windows(6).any(|window| window == b"{{key ");
        known.then(|| Zeroizing::new(shown.into_owned()))
    }

    /// Whether anything is left that has to go.
    pub(super) fn finds(&self, bytes: &[u8]) -> bool {
        self.secrets.iter().chain(&self.all_keys).any(|secret| find(bytes, secret).is_some())
    }

    /// The accounts that the names of resources in a text are of.
    fn learn(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some(at) = find(rest, b"arn:") {
            let (_, arn) = rest.split_at(at);
            let account = arn.split(|byte| *byte == b':').nth(4).unwrap_or_default();
            let counts = account.len() == 12 && account.iter().all(u8::is_ascii_digit) && !account.starts_with(b"000000000");
            if counts && !self.accounts.iter().any(|known| known == account) {
                self.accounts.push(account.to_vec());
            }
            rest = arn.get(4..).unwrap_or_default();
        }
    }

    /// A method and an address in a line: the server by its number, and of the query no value that its name calls private.
    pub(super) fn line(&mut self, method: &str, uri: &Uri) -> String {
        let authority = uri.authority().map_or("", http::uri::Authority::as_str);
        let number = self.servers.iter().position(|known| known == authority).unwrap_or_else(|| {
            self.servers.push(authority.to_owned());
            self.servers.len() - 1
        });
        let mut line = format!("{method} {}://server-{}{}", uri.scheme_str().unwrap_or("https"), number + 1, uri.path());
        let parts = uri.query().map(|query| query.split('&').map(shown).collect::<Vec<_>>().join("&"));
        if let Some(query) = parts {
            line = format!("{line}?{query}");
        }
        self.hide_text(&line)
    }

    /// The headers of an answer that the tape has.
    pub(super) fn headers<'h>(&mut self, headers: impl IntoIterator<Item = (&'h str, &'h [u8])>) -> Vec<(String, String)> {
        let kept = headers.into_iter().filter(|(name, _)| !is_private(name) && !PASSING.iter().any(|part| name.contains(part)));
        kept.filter_map(|(name, value)| Some((name.to_owned(), self.hide_text(std::str::from_utf8(value).ok()?)))).collect()
    }
}

/// Each header with its value.
pub(super) fn pairs(headers: &HeaderMap) -> impl Iterator<Item = (&str, &[u8])> {
    headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()))
}

fn is_private(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    PRIVATE.iter().any(|part| name.contains(part))
}

/// A part of a query.
fn shown(part: &str) -> Cow<'_, str> {
    match part.split_once('=') {
        Some((name, _)) if is_private(name) => Cow::Owned(format!("{name}={{hidden}}")),
        _ => Cow::Borrowed(part),
    }
}

/// What stands for an account.
fn placeholder(number: usize) -> String {
    format!("{:012}", number + 1)
}

fn find(bytes: &[u8], text: &[u8]) -> Option<usize> {
    let first = text.first()?;
    bytes.windows(text.len()).position(|window| window.first() == Some(first) && window == text)
}

fn replace(bytes: &mut Cow<'_, [u8]>, text: &[u8], by: &[u8]) {
    let Some(mut at) = find(bytes, text) else { return };
    let mut replaced = Vec::with_capacity(bytes.len());
    let mut rest = &**bytes;
    loop {
        let (before, after) = rest.split_at(at);
        replaced.extend_from_slice(before);
        replaced.extend_from_slice(by);
        rest = after.get(text.len()..).unwrap_or_default();
        match find(rest, text) {
            Some(next) => at = next,
            None => break,
        }
    }
    replaced.extend_from_slice(rest);
    *bytes = Cow::Owned(replaced);
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEK: [u8; 32] = *b"klmnopqrstuvwxyzklmnopqrstuvwxyz";

    #[test]
    fn a_key_goes_in_every_writing_and_comes_back() {
        let mut scrub = Scrub::default();
        scrub.key(&[0; 32]);
        scrub.key(&DEK);
        let hex: String = DEK.iter().map(|byte| format!("{byte:02x}")).collect();
        let text = [DEK.as_slice(), STANDARD.encode(DEK).as_bytes(), b"-", hex.as_bytes(), hex.to_uppercase().as_bytes()].concat();
        let hidden = scrub.hide(&text).into_owned();
        assert_eq!(String::from_utf8_lossy(&hidden), "{{key 1 raw}}{{key 1 base64}}=-{{key 1 hex}}{{key 1 HEX}}");
        assert_eq!(*scrub.show(hidden.clone()).unwrap(), text);
        // Another check has other keys.
        scrub.begin();
        assert!(scrub.show(hidden).is_none());
        assert_eq!(&*scrub.hide(&text), &text[..]);
    }

    #[test]
    fn secrets_and_accounts_go() {
        let mut scrub = Scrub::default();
        scrub.secret(b"hunter2-hunter2");
        scrub.secret(b"short");
        let text = r#"{"AWSAccountId":"111122223333","Arn":"arn:aws:kms:eu-west-1:111122223333:key/1","a":"short hunter2-hunter2"}"#;
        let hidden = scrub.hide_text(text);
        assert_eq!(hidden, r#"{"AWSAccountId":"000000000001","Arn":"arn:aws:kms:eu-west-1:000000000001:key/1","a":"short {{secret}}"}"#);
        // What is hidden stays as it is.
        assert_eq!(scrub.hide_text(&hidden), hidden);
        assert!(scrub.finds(text.as_bytes()) && !scrub.finds(hidden.as_bytes()));
        let inside = STANDARD.encode("hunter2-hunter2");
        assert!(scrub.finds(inside.as_bytes()) && !scrub.hide_text(&inside).contains("aHVudGVy"));
    }

    #[test]
    fn servers_are_numbers_and_a_token_of_a_query_is_none() {
        let mut scrub = Scrub::default();
        let mut line = |uri: &str| scrub.line("GET", &uri.parse().unwrap());
        assert_eq!(line("https://etcd.internal:2379/v3?a=b&X-Token=abc"), "GET https://server-1/v3?a=b&X-Token={hidden}");
        assert_eq!(line("http://127.0.0.1:1/"), "GET http://server-2/");
        assert_eq!(line("https://etcd.internal:2379/"), "GET https://server-1/");
        let headers = [("Set-Cookie", b"a".as_slice()), ("x-vault-token", b"b"), ("x-amzn-requestid", b"d"), ("etag", b"c")];
        assert_eq!(scrub.headers(headers), [("etag".to_owned(), "c".to_owned())]);
    }
}
