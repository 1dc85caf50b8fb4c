//! The settings of a device, with Vault's names.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::kv::duration;

/// The types of devices, each with the settings that it may have.
pub(super) const KINDS: [(&str, &[&str]); 2] = [
    (FILE, &["file_path", "path", "mode", "format", "log_raw", "hmac_accessor", "elide_list_responses", "prefix", "skip_test"]),
    (
        SOCKET,
        &["address", "socket_type", "write_timeout", "format", "log_raw", "hmac_accessor", "elide_list_responses", "prefix", "skip_test"],
    ),
];

pub(super) const FILE: &str = "file";
pub(super) const SOCKET: &str = "socket";

/// How long a socket device has for a line if nothing is set; Vault's.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);

/// The kind of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Net {
    Tcp,
    Udp,
    Unix,
}

/// Where a device writes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    File(PathBuf),
    Stdout,
    /// Nowhere.
    Discard,
    Socket {
        net: Net,
        address: String,
        timeout: Duration,
    },
}

/// How a device writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) target: Target,
    /// The file's mode; none leaves a file that is there as it is.
    pub(super) mode: Option<u32>,
    /// Nothing is hashed.
    pub(super) raw: bool,
    /// Accessors are hashed.
    pub(super) hmac_accessor: bool,
    /// Of a list only the number of names is written.
    pub(super) elide: bool,
    /// What every line begins with.
    pub(super) prefix: String,
    /// The device is taken into service without a trial.
    pub(super) untried: bool,
}

/// A setting that is missing or cannot be understood. Its text is that of OpenBao.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Wrong {
    #[error("file_path is required")]
    Missing,
    #[error("unknown format type {0:?}")]
    Format(String),
    #[error("strconv.ParseBool: parsing {1:?}: invalid syntax")]
    Boolean(&'static str, String),
    #[error("strconv.ParseUint: parsing {0:?}: invalid syntax")]
    Mode(String),
    #[error("address is required")]
    NoAddress,
    #[error("unknown socket type {0:?}")]
    Net(String),
    #[error("{1}")]
    Timeout(String, String),
}

impl Wrong {
    /// The same for whoever writes a configuration: the key, what was expected, what to do.
    pub(super) fn advice(&self) -> String {
        match self {
            Wrong::Missing => "file_path: missing; set it to a file, \"stdout\" or \"discard\"".to_owned(),
            Wrong::Format(found) => format!("format: expected \"json\", found {found:?}"),
            Wrong::Boolean(key, found) => format!("{key}: expected \"true\" or \"false\", found {found:?}"),
            Wrong::NoAddress => "address: missing; set it to HOST:PORT, or to the path of a unix socket".to_owned(),
            Wrong::Net(found) => format!("socket_type: expected \"tcp\", \"udp\" or \"unix\", found {found:?}"),
            Wrong::Timeout(found, why) => format!("write_timeout: expected a time such as \"2s\", found {found:?}: {why}"),
            Wrong::Mode(found) => format!("mode: expected an octal mode such as \"0600\", or \"0\" to leave the file's, found {found:?}"),
        }
    }
}

impl Settings {
    /// Reads them; what is not known is ignored, as stored devices of other servers may have more.
    pub(super) fn parse(kind: &str, options: &BTreeMap<String, String>) -> Result<Settings, Wrong> {
        let target = if kind == SOCKET { socket(options)? } else { file(options)? };
        let boolean = |key: &'static str, default: bool| match options.get(key) {
            None => Ok(default),
            Some(text) => cofferdam_hcl::parse_boolean(text).ok_or_else(|| Wrong::Boolean(key, text.clone())),
        };
        if let Some(format) = options.get("format").filter(|format| *format != "json") {
            return Err(Wrong::Format(format.clone()));
        }
        let mode = match options.get("mode") {
            None => Some(0o600),
            Some(text) => match u32::from_str_radix(text, 8) {
                Ok(0) => None,
                Ok(mode) if mode <= 0o7777 && !text.starts_with('+') => Some(mode),
                _ => return Err(Wrong::Mode(text.clone())),
            },
        };
        Ok(Settings {
            target,
            mode,
            raw: boolean("log_raw", false)?,
            hmac_accessor: boolean("hmac_accessor", true)?,
            elide: boolean("elide_list_responses", false)?,
            prefix: options.get("prefix").cloned().unwrap_or_default(),
            untried: options.get("skip_test").is_some_and(|skip| skip == "true"),
        })
    }
}

fn file(options: &BTreeMap<String, String>) -> Result<Target, Wrong> {
    let path = options.get("file_path").or_else(|| options.get("path")).filter(|path| !path.is_empty()).ok_or(Wrong::Missing)?;
    Ok(match path.to_ascii_lowercase().as_str() {
        "stdout" => Target::Stdout,
        "discard" => Target::Discard,
        _ => Target::File(PathBuf::from(path)),
    })
}

fn socket(options: &BTreeMap<String, String>) -> Result<Target, Wrong> {
    let address = options.get("address").filter(|address| !address.is_empty()).ok_or(Wrong::NoAddress)?.clone();
    let net = match options.get("socket_type").map(String::as_str) {
        None | Some("" | "tcp") => Net::Tcp,
        Some("udp") => Net::Udp,
        Some("unix") => Net::Unix,
        Some(other) => return Err(Wrong::Net(other.to_owned())),
    };
    let timeout = match options.get("write_timeout").filter(|text| !text.is_empty()) {
        None => WRITE_TIMEOUT,
        Some(text) => {
            let wrong = |why: String| Wrong::Timeout(text.clone(), why);
            let nanoseconds = duration::parse(&Value::from(text.as_str())).map_err(wrong)?.unwrap_or_default();
            let nanoseconds = u64::try_from(nanoseconds).ok().filter(|nanoseconds| *nanoseconds > 0);
            Duration::from_nanos(nanoseconds.ok_or_else(|| wrong("it is not more than nothing".to_owned()))?)
        }
    };
    Ok(Target::Socket { net, address, timeout })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(options: &[(&str, &str)]) -> Result<Settings, Wrong> {
        parse_as(FILE, options)
    }

    fn parse_as(kind: &str, options: &[(&str, &str)]) -> Result<Settings, Wrong> {
        Settings::parse(kind, &options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn what_is_not_set_is_as_in_vault() {
        let settings = parse(&[("file_path", "/var/log/a.log")]).unwrap();
        assert_eq!(settings.target, Target::File("/var/log/a.log".into()));
        assert_eq!((settings.mode, settings.raw, settings.hmac_accessor, settings.elide), (Some(0o600), false, true, false));
        assert_eq!(parse(&[("path", "STDOUT"), ("mode", "0")]).unwrap().target, Target::Stdout);
        assert_eq!(parse(&[("path", "discard"), ("mode", "0000")]).unwrap().mode, None);
        assert_eq!(parse(&[("path", "x"), ("mode", "0640"), ("bogus", "1")]).unwrap().mode, Some(0o640));
        assert!(parse(&[("path", "x"), ("log_raw", "True")]).unwrap().raw);
    }

    #[test]
    fn what_cannot_be_understood_is_an_error_with_openbaos_text() {
        for (options, text) in [
            (vec![], "file_path is required"),
            (vec![("path", "x"), ("format", "csv")], "unknown format type \"csv\""),
            (vec![("path", "x"), ("format", "jsonx")], "unknown format type \"jsonx\""),
            (vec![("path", "x"), ("log_raw", "maybe")], "strconv.ParseBool: parsing \"maybe\": invalid syntax"),
            (vec![("path", "x"), ("mode", "9")], "strconv.ParseUint: parsing \"9\": invalid syntax"),
            (vec![("path", "x"), ("mode", "777777")], "strconv.ParseUint: parsing \"777777\": invalid syntax"),
        ] {
            assert_eq!(parse(&options).unwrap_err().to_string(), text);
        }
    }

    #[test]
    fn a_socket_has_vaults_settings() {
        let target = |options: &[(&str, &str)]| parse_as(SOCKET, options).map(|settings| settings.target);
        let tcp = |timeout| Target::Socket { net: Net::Tcp, address: "log:9000".to_owned(), timeout: Duration::from_millis(timeout) };
        assert_eq!(target(&[("address", "log:9000")]), Ok(tcp(2_000)));
        assert_eq!(target(&[("address", "log:9000"), ("socket_type", "tcp"), ("write_timeout", "500ms")]), Ok(tcp(500)));
        assert!(matches!(target(&[("address", "/a"), ("socket_type", "unix")]), Ok(Target::Socket { net: Net::Unix, .. })));
        for (options, text) in [
            (vec![], "address is required"),
            (vec![("address", "a"), ("socket_type", "sctp")], "unknown socket type \"sctp\""),
            (vec![("address", "a"), ("write_timeout", "x")], "time: invalid duration \"x\""),
            (vec![("address", "a"), ("write_timeout", "0")], "it is not more than nothing"),
        ] {
            assert_eq!(target(&options).unwrap_err().to_string(), text);
        }
    }
}
