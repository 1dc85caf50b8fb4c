//! Secret settings that stand elsewhere: `env://NAME` and `file:///path`, as Vault takes them in a seal's stanza.
//!
//! The rule: what a reference leads to is there and not empty, or that is an error which names the variable or the file and never a value.

use crate::config::Environment;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use zeroize::Zeroizing;

/// No key and no token is near this size.
const LARGEST: u64 = 64 << 10;

/// What a setting stands for: the variable's or the file's text without the blanks around it, or, if it is no reference, itself.
///
/// `variables` is false where the stanza disallows the environment.
pub(super) fn resolve(text: &str, variables: bool) -> Result<Zeroizing<String>, String> {
    let found = if let Some(name) = text.strip_prefix("env://") {
        variable(name, variables)?
    } else if let Some(path) = text.strip_prefix("file://") {
        file(Path::new(path))?
    } else {
        return Ok(Zeroizing::new(text.to_owned()));
    };
    match found.trim() {
        "" => Err(format!("{text}: it is empty: put the value there, or correct the reference")),
        value => Ok(Zeroizing::new(value.to_owned())),
    }
}

fn variable(name: &str, allowed: bool) -> Result<Zeroizing<String>, String> {
    if name.is_empty() {
        return Err("env://: expected the name of an environment variable after it".to_owned());
    }
    if !allowed {
        return Err(format!("env://{name}: disallow_env_vars is on in this stanza: remove one of the two"));
    }
    Environment::referenced(name).ok_or_else(|| format!("env://{name}: the environment variable is not set: set it, or correct the name"))
}

fn file(path: &Path) -> Result<Zeroizing<String>, String> {
    let wrong = |message: String| format!("file://{}: {message}", path.display());
    if !path.is_absolute() {
        return Err(wrong("expected a whole path, as in file:///run/secrets/key".to_owned()));
    }
    let mut text = Zeroizing::new(String::new());
    let read = File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_string(&mut text));
    match read {
        Ok(size) if u64::try_from(size).is_ok_and(|size| size <= LARGEST) => Ok(text),
        Ok(_) => Err(wrong(format!("it is larger than {LARGEST} bytes: is this the right file?"))),
        Err(error) => Err(wrong(format!("cannot be read: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::resolve;

    #[test]
    fn what_is_no_reference_is_itself() {
        for text in ["AKIA", " x ", "http://x", "env:/x"] {
            assert_eq!(*resolve(text, true).unwrap(), text);
        }
    }

    #[test]
    fn a_variable_is_read_without_the_blanks_around_it() {
        assert_eq!(*resolve("env://CARGO_PKG_NAME", true).unwrap(), std::env::var("CARGO_PKG_NAME").unwrap());
        for (text, allowed, message) in [
            ("env://", true, "env://: expected the name of an environment variable after it"),
            ("env://COFFER_NOT_SET", true, "env://COFFER_NOT_SET: the environment variable is not set: set it, or correct the name"),
            ("env://CARGO_PKG_NAME", false, "env://CARGO_PKG_NAME: disallow_env_vars is on in this stanza: remove one of the two"),
        ] {
            assert_eq!(resolve(text, allowed).unwrap_err(), message);
        }
    }

    #[test]
    fn a_file_is_read_whole_and_never_shown() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        let text = format!("file://{}", path.display());
        assert!(resolve(&text, true).unwrap_err().starts_with(&format!("{text}: cannot be read: ")));
        std::fs::write(&path, "SECRET\n").unwrap();
        assert_eq!(*resolve(&text, false).unwrap(), "SECRET");
        std::fs::write(&path, " \n").unwrap();
        assert_eq!(resolve(&text, true).unwrap_err(), format!("{text}: it is empty: put the value there, or correct the reference"));
        std::fs::write(&path, "SECRET".repeat(20_000)).unwrap();
        let error = resolve(&text, true).unwrap_err();
        assert!(error.contains("larger than 65536 bytes") && !error.contains("SECRET"), "{error}");
        assert_eq!(resolve("file://key", true).unwrap_err(), "file://key: expected a whole path, as in file:///run/secrets/key");
    }
}
