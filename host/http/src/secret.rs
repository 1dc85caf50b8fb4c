//! Values that the host adds to requests. The rule: a value is looked up for every request and never outlives what it came from; its bytes are
//! wiped when nothing refers to them any more; no error holds any of them.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::HeaderValue;
use zeroize::Zeroizing;

use crate::rule::Secret;

/// Larger files hold something else.
const LARGEST: u64 = 64 << 10;
/// A file that changed so recently may change again without its times telling.
const SETTLED: Duration = Duration::from_secs(1);

/// What tells one content of a file from the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp([i128; 5]);

impl Stamp {
    fn of(meta: &Metadata) -> Stamp {
        let nanos = |seconds: i64, nanos: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
        let (changed, modified) = (nanos(meta.ctime(), meta.ctime_nsec()), nanos(meta.mtime(), meta.mtime_nsec()));
        Stamp([meta.dev().into(), meta.ino().into(), meta.size().into(), changed, modified])
    }

    /// Whether the next content will have another. Not if the file changed just now: it is to be read again.
    pub(crate) fn is_settled(&self) -> bool {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let [_, _, _, changed, _] = self.0;
        let limit = i128::try_from(now.saturating_sub(SETTLED).as_nanos()).unwrap_or_default();
        changed < limit
    }

    /// Those of several files as they are now, settled or not; none for one that is missing.
    pub(crate) fn seen<'a>(paths: impl IntoIterator<Item = &'a PathBuf>) -> Vec<Option<Stamp>> {
        paths.into_iter().map(|path| Some(Stamp::of(&path.metadata().ok()?))).collect()
    }
}

/// Why a value cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretError {
    #[error("cannot read {}: {cause}", .path.display())]
    File { path: PathBuf, cause: io::Error },
    #[error("the variable {0} is not set, or not UTF-8")]
    Env(String),
    #[error("{0} is empty")]
    Empty(String),
    #[error("what {0} holds cannot stand in a header: a single line is expected")]
    Form(String),
}

/// How a header's value is made of a secret.
#[derive(Clone, Debug)]
pub(crate) enum Form {
    /// Behind a text.
    After(String),
    /// As the password of this user.
    Basic(String),
}

/// A header's value, kept for as long as its source stays as it is.
pub(crate) struct Value {
    source: Secret,
    form: Form,
    kept: Mutex<Option<(Stamp, HeaderValue)>>,
}

impl Value {
    pub(crate) fn new(source: Secret, form: Form) -> Value {
        Value { source, form, kept: Mutex::default() }
    }

    /// The value as it is now.
    pub(crate) fn now(&self) -> Result<HeaderValue, SecretError> {
        match &self.source {
            Secret::Env(name) => {
                let text = std::env::var(name).map_err(|_| SecretError::Env(name.clone()))?;
                self.made(&Zeroizing::new(text.into_bytes()), || name.clone())
            }
            Secret::File(path) => self.of_file(path),
        }
    }

    fn of_file(&self, path: &Path) -> Result<HeaderValue, SecretError> {
        let error = |cause| SecretError::File { path: path.to_owned(), cause };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let earlier = kept.take();
        // Before it is opened: to open a pipe would wait.
        let meta = path.metadata().map_err(error)?;
        let stamp = Stamp::of(&meta);
        if let Some((_, value)) = earlier.filter(|(earlier, _)| *earlier == stamp) {
            *kept = Some((stamp, value.clone()));
            return Ok(value);
        }
        let bytes = read(path, &meta).map_err(error)?;
        let value = self.made(&bytes, || path.display().to_string())?;
        if stamp.is_settled() {
            *kept = Some((stamp, value.clone()));
        }
        Ok(value)
    }

    fn made(&self, secret: &[u8], source: impl Fn() -> String) -> Result<HeaderValue, SecretError> {
        let secret = secret.strip_suffix(b"\n").unwrap_or(secret);
        let secret = secret.strip_suffix(b"\r").unwrap_or(secret);
        if secret.is_empty() {
            return Err(SecretError::Empty(source()));
        }
        let mut whole = Zeroizing::new(Vec::with_capacity(secret.len() * 2 + 128));
        match &self.form {
            Form::After(text) => {
                whole.extend_from_slice(text.as_bytes());
                whole.extend_from_slice(secret);
            }
            Form::Basic(user) => {
                let mut pair = Zeroizing::new(Vec::with_capacity(user.len() + 1 + secret.len()));
                pair.extend_from_slice(user.as_bytes());
                pair.push(b':');
                pair.extend_from_slice(secret);
                let code = Zeroizing::new(STANDARD.encode(&*pair));
                whole.extend_from_slice(b"Basic ");
                whole.extend_from_slice(code.as_bytes());
            }
        }
        // The header refers to these bytes: the last reference wipes them.
        let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(whole)).map_err(|_| SecretError::Form(source()))?;
        value.set_sensitive(true);
        Ok(value)
    }
}

fn read(path: &Path, meta: &Metadata) -> io::Result<Zeroizing<Vec<u8>>> {
    if !meta.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a plain file is expected"));
    }
    if meta.len() > LARGEST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "a secret of at most 64 KiB is expected"));
    }
    // Room for all at once: a buffer that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(LARGEST).unwrap_or_default() + 1));
    File::open(path)?.take(LARGEST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(source: Secret, form: Form) -> Value {
        Value::new(source, form)
    }

    #[test]
    fn a_file_is_read_again_when_it_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let value = value(Secret::File(path.clone()), Form::After("Bearer ".to_owned()));
        assert!(matches!(value.now(), Err(SecretError::File { .. })));
        for content in ["one\n", "two\r\n", "six", "ten"] {
            std::fs::write(&path, content).unwrap();
            let found = value.now().unwrap();
            assert_eq!(found.as_bytes(), format!("Bearer {}", content.trim_end()).as_bytes());
            assert!(found.is_sensitive() && !format!("{found:?}").contains(content.trim_end()));
        }
        // As secrets are replaced in containers: by another file under the name.
        std::fs::write(folder.path().join("next"), "new").unwrap();
        std::fs::rename(folder.path().join("next"), &path).unwrap();
        assert_eq!(value.now().unwrap().as_bytes(), b"Bearer new");
        // Taken away, it is gone.
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(value.now(), Err(SecretError::File { .. })));
    }

    #[test]
    fn a_settled_file_is_kept_until_its_stamp_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "one").unwrap();
        let value = value(Secret::File(path.clone()), Form::After(String::new()));
        while !Stamp::of(&path.metadata().unwrap()).is_settled() {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(value.now().unwrap().as_bytes(), b"one");
        assert!(value.kept.lock().unwrap().is_some());
        std::fs::write(&path, "two").unwrap();
        assert_eq!(value.now().unwrap().as_bytes(), b"two");
        let settled = Stamp::of(&path.metadata().unwrap()).is_settled();
        assert!(settled || value.kept.lock().unwrap().is_none(), "what is fresh is read again");
    }

    #[test]
    fn a_password_is_encoded_with_its_user() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        std::fs::write(&path, "open sesame\n").unwrap();
        let value = value(Secret::File(path), Form::Basic("Aladdin".to_owned()));
        assert_eq!(value.now().unwrap().as_bytes(), b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    }

    #[test]
    fn what_is_no_value_is_an_error_that_names_the_source_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let value = value(Secret::File(path.clone()), Form::After(String::new()));
        for (content, expected) in [("", "empty"), ("\n", "empty"), ("geheim\nzwei", "single line"), (&"x".repeat(70_000), "64 KiB")] {
            std::fs::write(&path, content).unwrap();
            let error = value.now().unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains("token") && !error.contains("geheim"), "{error}");
        }
        let missing = super::Value::new(Secret::Env("COFFER_NO_SUCH_VARIABLE".to_owned()), Form::After(String::new()));
        assert!(missing.now().unwrap_err().to_string().contains("COFFER_NO_SUCH_VARIABLE"));
        let there = super::Value::new(Secret::Env("CARGO_PKG_NAME".to_owned()), Form::After("x ".to_owned()));
        assert_eq!(there.now().unwrap().as_bytes(), b"x cofferdam-http");
    }
}
