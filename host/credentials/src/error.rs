//! Why there are no credentials.
//!
//! The rule: an error names the source that was chosen and what it said, and nothing of a credential. It can be cloned: one attempt's
//! failure answers all who waited for it.

use std::error::Error;

/// Why there are no credentials, or no region.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialsError {
    /// What the operator set does not fit together. Waiting does not help.
    #[error("{0}")]
    Configuration(String),
    /// The chosen source gave none.
    #[error("no AWS credentials from {from}: {cause}")]
    Failed {
        /// The source, in words.
        from: String,
        /// What it said.
        cause: String,
    },
    /// Those there were have expired, and the chosen source gives no others.
    #[error("the AWS credentials from {from} have expired, and there are no new ones: {cause}")]
    Expired {
        /// The source, in words.
        from: String,
        /// What it said.
        cause: String,
    },
    /// The instance metadata were to say in which region this is, and did not.
    #[error("no AWS region: none is set, and {0}; set `region`")]
    Region(String),
}

/// The longest cause that is passed on.
const CAUSE_MAX: usize = 600;

/// An error and what is beneath it in one line. The SDK's `Debug` would show requests and responses, so only `Display` is used.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let words = cause.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        next = cause.source();
    }
    one_line(&text)
}

/// What a service wrote, fit for a log: without control characters, and not longer than a few lines.
pub(crate) fn one_line(text: &str) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let mut line: String = text.trim().chars().take(CAUSE_MAX).map(clean).collect();
    if text.trim().chars().nth(CAUSE_MAX).is_some() {
        line.push_str(" …");
    }
    line
}
