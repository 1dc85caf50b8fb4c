//! The operator's stanza:
//!
//! | setting | meaning | default |
//! |---|---|---|
//! | `endpoint` | where etcd listens for clients: one URL, or several of one cluster with commas between | must be set |
//! | `prefix` | what all keys of this store begin with | `cofferdam/` |
//! | `timeout` | how many seconds an answer of one endpoint is waited for | 5 |
//!
//! User, password, token and certificate do not belong here: they are the grant's.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use cofferdam_guest::{Error, Result, Setting, Settings};

/// The longest prefix: with a key it must fit into a request.
const PREFIX_LIMIT: usize = 256;

thread_local! {
    static OPTIONS: RefCell<Options> = RefCell::default();
    static ANSWERED: Cell<usize> = const { Cell::new(0) };
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Options {
    endpoints: Vec<String>,
    prefix: String,
    timeout: Duration,
}

/// Reads the settings and keeps them for this instance.
pub(crate) fn read(settings: Vec<Setting>) -> Result<()> {
    let options = Options::of(settings)?;
    OPTIONS.set(options);
    Ok(())
}

impl Options {
    fn of(settings: Vec<Setting>) -> Result<Options> {
        let mut settings = Settings::new(settings);
        let endpoints: Vec<String> = settings.required("endpoint")?.split(',').map(endpoint).collect::<Result<_>>()?;
        let mut prefix = settings.text("prefix").unwrap_or_else(|| "cofferdam/".to_owned());
        let timeout = Duration::from_secs(settings.number("timeout", 5)?);
        settings.finish()?;
        if prefix.len() > PREFIX_LIMIT || prefix.chars().any(char::is_control) {
            return Err(Error::Configuration(format!("\"prefix\": at most {PREFIX_LIMIT} bytes without control characters are expected")));
        }
        if !prefix.is_empty() && !prefix.ends_with('/') {
            prefix.push('/');
        }
        if timeout.is_zero() {
            return Err(Error::Configuration("\"timeout\": at least one second is expected".to_owned()));
        }
        Ok(Options { endpoints, prefix, timeout })
    }
}

fn endpoint(text: &str) -> Result<String> {
    let text = text.trim().trim_end_matches('/');
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    match rest {
        Some(rest) if !rest.is_empty() && !rest.contains(['/', '@', '?', '#', ' ']) => Ok(text.to_owned()),
        _ => {
            Err(Error::Configuration(format!("\"endpoint\": {text:?}: http://host:port or https://host:port is expected, and no password")))
        }
    }
}

/// What all keys begin with.
pub(crate) fn prefix() -> String {
    OPTIONS.with_borrow(|options| options.prefix.clone())
}

/// How long an answer is waited for.
pub(crate) fn timeout() -> Duration {
    OPTIONS.with_borrow(|options| options.timeout)
}

/// The endpoints with their numbers, that which answered last first.
pub(crate) fn endpoints() -> Vec<(usize, String)> {
    let mut all: Vec<(usize, String)> = OPTIONS.with_borrow(|options| options.endpoints.iter().cloned().enumerate().collect());
    let first = ANSWERED.get().checked_rem(all.len()).unwrap_or_default();
    all.rotate_left(first);
    all
}

/// Has the endpoint of this number asked first from now on.
pub(crate) fn prefer(number: usize) {
    ANSWERED.set(number);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(settings: &[(&str, &str)]) -> Result<Options> {
        let setting = |(name, value): &(&str, &str)| Setting { name: (*name).to_owned(), value: (*value).to_owned() };
        Options::of(settings.iter().map(setting).collect())
    }

    #[test]
    fn a_stanza_is_read() {
        let options = of(&[("endpoint", "http://127.0.0.1:2379")]).unwrap();
        assert_eq!((options.prefix.as_str(), options.timeout), ("cofferdam/", Duration::from_secs(5)));
        let options = of(&[("endpoint", "https://a:2379/, https://b:2379"), ("prefix", "p"), ("timeout", "9")]).unwrap();
        assert_eq!(options.endpoints, ["https://a:2379", "https://b:2379"]);
        assert_eq!((options.prefix.as_str(), options.timeout), ("p/", Duration::from_secs(9)));
        assert_eq!(of(&[("endpoint", "http://a"), ("prefix", "")]).unwrap().prefix, "");
    }

    #[test]
    fn what_cannot_be_meant_is_named() {
        for (settings, name) in [
            (vec![], "endpoint"),
            (vec![("endpoint", "a:2379")], "endpoint"),
            (vec![("endpoint", "https://user:word@a")], "endpoint"),
            (vec![("endpoint", "https://a/v3")], "endpoint"),
            (vec![("endpoint", "https://a,")], "endpoint"),
            (vec![("endpoint", "https://a"), ("prefix", "\n")], "prefix"),
            (vec![("endpoint", "https://a"), ("timeout", "0")], "timeout"),
            (vec![("endpoint", "https://a"), ("password", "x")], "password"),
        ] {
            let Err(Error::Configuration(text)) = of(&settings) else { panic!("{settings:?}") };
            assert!(text.contains(name), "{text}");
        }
    }

    #[test]
    fn the_endpoint_that_answered_is_asked_first() {
        read(vec![Setting { name: "endpoint".to_owned(), value: "http://a,http://b,http://c".to_owned() }]).unwrap();
        prefer(2);
        let names: Vec<String> = endpoints().into_iter().map(|(_, name)| name).collect();
        assert_eq!(names, ["http://c", "http://a", "http://b"]);
    }
}
