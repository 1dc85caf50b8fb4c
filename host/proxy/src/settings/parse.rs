//! Texts as what they are meant to be. The rule: an error says what was expected and what was found, and not of what: who asks knows that.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::{Listen, LogFormat, LogLevel, Mode};

/// A duration as Go writes it, which has a unit: `90` and `2d` are none.
pub(super) fn go_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("expected a duration with its unit, such as \"10s\", \"15m\" or \"1h2m3s\", found {text:?}");
    let unitless = text != "0" && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if text.is_empty() || unitless || text.ends_with('d') {
        return Err(wrong());
    }
    cofferdam_hcl::parse_duration(text.strip_prefix('+').unwrap_or(text)).map_err(|_| wrong())
}

/// A duration as Vault's clients take it: seconds, or with a unit.
pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    cofferdam_hcl::parse_duration(text)
}

/// A switch in Go's spellings.
pub(super) fn switch(text: &str) -> Result<bool, String> {
    cofferdam_hcl::parse_boolean(text).ok_or_else(|| format!("expected true or false, found {text:?}"))
}

/// A whole number.
pub(super) fn number(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("expected a whole number that is not negative, found {text:?}"))
}

/// `RATE` or `RATE:BURST`.
pub(super) fn rate(text: &str) -> Result<(f64, u32), String> {
    let wrong = || format!("expected requests a second, more than 0, such as \"10\", or with a burst \"10:20\", found {text:?}");
    let (rate, burst) = text.split_once(':').map_or((text, None), |(rate, burst)| (rate, Some(burst)));
    let rate: f64 = rate.parse().ok().filter(|rate: &f64| rate.is_finite() && *rate >= SLOWEST).ok_or_else(wrong)?;
    let burst = match burst {
        Some(burst) => burst.parse().map_err(|_| wrong())?,
        // As in Vault's clients: what one second allows.
        None => format!("{:.0}", rate.floor()).parse().unwrap_or(u32::MAX),
    };
    Ok((rate, burst.max(1)))
}

/// One request in some ten days: what is slower stands still.
const SLOWEST: f64 = 1e-6;

/// A size in bytes.
pub(super) fn size(text: &str) -> Result<u64, String> {
    cofferdam_hcl::parse_size(text)
}

/// What is done.
pub(super) fn mode(text: &str) -> Result<Mode, String> {
    match text.to_ascii_lowercase().as_str() {
        "default" => Ok(Mode::Default),
        "file" => Ok(Mode::File),
        "proxy" => Ok(Mode::Proxy),
        _ => Err(format!("expected default, file or proxy, found {text:?}")),
    }
}

/// How much is logged.
pub(super) fn level(text: &str) -> Result<LogLevel, String> {
    match text.to_ascii_lowercase().as_str() {
        "trace" => Ok(LogLevel::Trace),
        "debug" => Ok(LogLevel::Debug),
        "info" => Ok(LogLevel::Info),
        "warn" | "warning" => Ok(LogLevel::Warn),
        "error" | "err" => Ok(LogLevel::Error),
        "off" => Ok(LogLevel::Off),
        _ => Err(format!("expected trace, debug, info, warn, error or off, found {text:?}")),
    }
}

/// The form of the log.
pub(super) fn format(text: &str) -> Result<LogFormat, String> {
    match text.to_ascii_lowercase().as_str() {
        "standard" => Ok(LogFormat::Standard),
        "json" => Ok(LogFormat::Json),
        _ => Err(format!("expected standard or json, found {text:?}")),
    }
}

/// An octal file mode that lets its owner read.
pub(super) fn file_mode(text: &str) -> Result<u32, String> {
    let mode = u32::from_str_radix(text.trim_start_matches("0o"), 8).ok().filter(|mode| *mode <= 0o777 && mode & 0o400 != 0);
    mode.ok_or_else(|| format!("expected an octal file mode that lets the owner read, such as 0600 or 0640, found {text:?}"))
}

/// Whether files are kept fresh: `true` says by their leases, a duration says at least so often.
pub(super) fn watch(text: &str) -> Result<Option<Duration>, String> {
    let interval = || go_duration(text).ok().filter(|interval| *interval >= SHORTEST_WATCH);
    match cofferdam_hcl::parse_boolean(text) {
        Some(on) => Ok(on.then_some(Duration::ZERO)),
        None => {
            interval().map(Some).ok_or_else(|| format!("expected true, false or a duration of 1s or more, such as \"5m\", found {text:?}"))
        }
    }
}

/// More often no secret is worth the server's time.
const SHORTEST_WATCH: Duration = Duration::from_secs(1);

/// `HOST:PORT`, of which the host is an address, or `unix:PATH`.
pub(super) fn listen(text: &str) -> Result<Listen, String> {
    let wrong = || format!("expected an address and a port, such as 127.0.0.1:8200, or unix:/path/to/socket, found {text:?}");
    match text.strip_prefix("unix:") {
        Some(path) => {
            let path = PathBuf::from(path.strip_prefix("//").unwrap_or(path));
            if path.is_absolute() { Ok(Listen::Unix(path)) } else { Err(wrong()) }
        }
        None => {
            let text = text.strip_prefix("localhost:").map_or_else(|| text.to_owned(), |port| format!("127.0.0.1:{port}"));
            text.parse::<SocketAddr>().map(Listen::Tcp).map_err(|_| wrong())
        }
    }
}

/// The path of an auth method: without `auth/` and without slashes at its ends.
pub(super) fn mount(text: &str) -> Result<String, String> {
    let path = text.trim_matches('/');
    let path = path.strip_prefix("auth/").unwrap_or(path);
    if path.is_empty() { Err(format!("expected the path of an auth method, such as aws, found {text:?}")) } else { Ok(path.to_owned()) }
}
