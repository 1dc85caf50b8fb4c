//! A request that the binding does not allow. The rule: the text names operation, member and resource, never a value of the guest's, and the metric's label is one of
//! a fixed set.

use std::fmt;

use cofferdam_runtime::AwsSendError;

/// The longest name of the guest's that is repeated.
const LONGEST: usize = 64;

/// Why a request is refused, for the metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// An operation that the binding does not know.
    Operation,
    /// An operation that is not for what the guest is doing.
    Purpose,
    /// A body that is not strict JSON.
    Body,
    /// A member that is not allowed, or is missing.
    Member,
    /// A member's value of the wrong form.
    Value,
    /// Another table.
    Table,
    /// A lock item where data is meant, or the reverse.
    Lock,
    /// A CreateTable or its kin that is not what the operator configured.
    Creation,
    /// A mutation that strict fencing does not let through.
    Fence,
    /// A mutation without the lease.
    Lease,
    /// Another key of KMS.
    Key,
    /// Something else to be encrypted or decrypted than what the host gave.
    Payload,
    /// A request after the one that was to be made.
    Again,
    /// A body over the limit.
    Size,
    /// More requests, or more bytes, than a call may send.
    Calls,
}

impl Reason {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Reason::Operation => "operation",
            Reason::Purpose => "purpose",
            Reason::Body => "body",
            Reason::Member => "member",
            Reason::Value => "value",
            Reason::Table => "table",
            Reason::Lock => "lock",
            Reason::Creation => "creation",
            Reason::Fence => "fence",
            Reason::Lease => "lease",
            Reason::Key => "key",
            Reason::Payload => "payload",
            Reason::Again => "again",
            Reason::Size => "size",
            Reason::Calls => "calls",
        }
    }
}

/// A refusal, with where in the request its cause is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) reason: Reason,
    /// The members that lead to the cause, outermost first.
    place: String,
    text: String,
}

impl Refusal {
    pub(crate) fn new(reason: Reason, text: impl Into<String>) -> Refusal {
        Refusal { reason, place: String::new(), text: text.into() }
    }

    /// The same, below this member or operation.
    pub(crate) fn below(mut self, name: &str) -> Refusal {
        let name = shown(name);
        self.place = if self.place.is_empty() { name.to_owned() } else { format!("{name}.{}", self.place) };
        self
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.place.is_empty() {
            write!(f, "{}: ", self.place)?;
        }
        f.write_str(&self.text)
    }
}

impl From<Refusal> for AwsSendError {
    fn from(refusal: Refusal) -> AwsSendError {
        AwsSendError::Refused(refusal.to_string())
    }
}

/// A guest's name for something, if it is fit to stand in a line.
pub(crate) fn shown(name: &str) -> &str {
    let fit = (1..=LONGEST).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'#' | b':'));
    if fit { name } else { "(unprintable)" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_where_and_repeats_no_text_that_could_forge_a_line() {
        let refusal = Refusal::new(Reason::Member, "not allowed").below("Evil\n\u{1b}[2J").below("Item").below("PutItem");
        assert_eq!(refusal.to_string(), "PutItem.Item.(unprintable): not allowed");
        assert_eq!(shown(&"x".repeat(65)), "(unprintable)");
        assert_eq!(shown(""), "(unprintable)");
    }
}
