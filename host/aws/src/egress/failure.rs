//! What an answer says went wrong, as far as the host acts on it. The rule: the host reads the kind of error and, for clocks, its text; both
//! are the service's, and neither is logged as it is.

use cofferdam_runtime::AwsResponse;
use serde_json::Value;

/// Larger answers are not error messages.
const LARGEST: usize = 64 << 10;

/// The service's name for what went wrong.
pub(crate) struct Kind {
    name: String,
    text: String,
}

/// What can be done about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// The signature's time was wrong.
    Time,
    /// The service knows or takes the credentials no longer.
    Credentials,
    /// Nothing here; it is the guest's to see.
    None,
}

impl Kind {
    /// Whether it is the error of this name.
    pub(crate) fn is(&self, name: &str) -> bool {
        self.name == name
    }

    /// The service's name of it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The service's message.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Whether it speaks of who asks, not of what is asked.
    pub(crate) fn is_of_identity(&self) -> bool {
        self.remedy() != Remedy::None
            || matches!(
                self.name.as_str(),
                "InvalidSignatureException"
                    | "SignatureDoesNotMatch"
                    | "IncompleteSignature"
                    | "IncompleteSignatureException"
                    | "MissingAuthenticationToken"
                    | "MissingAuthenticationTokenException"
                    | "OptInRequired"
            )
    }

    pub(crate) fn is_throttling(&self) -> bool {
        matches!(
            self.name.as_str(),
            "ThrottlingException"
                | "ProvisionedThroughputExceededException"
                | "RequestLimitExceeded"
                | "Throttling"
                | "TooManyRequestsException"
        )
    }

    pub(super) fn remedy(&self) -> Remedy {
        match self.name.as_str() {
            "RequestTimeTooSkewed" | "RequestExpired" | "RequestInTheFuture" => Remedy::Time,
            "InvalidSignatureException" | "SignatureDoesNotMatch"
                if self.text.contains("expired") || self.text.contains("not yet current") =>
            {
                Remedy::Time
            }
            "ExpiredTokenException" | "ExpiredToken" | "UnrecognizedClientException" | "InvalidClientTokenId" => Remedy::Credentials,
            _ => Remedy::None,
        }
    }
}

/// The kind of error that an answer tells, if it is one.
pub(crate) fn kind(answer: &AwsResponse) -> Option<Kind> {
    if answer.status < 400 || answer.body.len() > LARGEST {
        return None;
    }
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    let header = answer.headers.iter().find(|(name, _)| name == "x-amzn-errortype").map(|(_, value)| value.as_str());
    // `namespace#Name:address`, of which the middle is meant.
    let name = text("__type").or(header)?;
    let name = name.rsplit('#').next().unwrap_or(name);
    let name = name.split(':').next().unwrap_or(name).to_owned();
    Some(Kind { name, text: text("message").or_else(|| text("Message")).unwrap_or_default().to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, header: Option<&str>, body: &'static str) -> AwsResponse {
        let headers = header.map(|value| ("x-amzn-errortype".to_owned(), value.to_owned())).into_iter().collect();
        AwsResponse { status, headers, body: body.into() }
    }

    #[test]
    fn the_kind_is_found_in_body_or_header() {
        let of = |status, header, body| kind(&answer(status, header, body)).map(|kind| kind.name);
        assert_eq!(
            of(400, None, r#"{"__type":"com.amazonaws.dynamodb.v20120810#ResourceNotFoundException"}"#).as_deref(),
            Some("ResourceNotFoundException")
        );
        assert_eq!(of(400, Some("ThrottlingException:http://x/"), "").as_deref(), Some("ThrottlingException"));
        assert_eq!(of(200, Some("X"), r#"{"__type":"X"}"#), None);
        assert_eq!(of(500, None, "<html>"), None);
        assert_eq!(of(500, None, "[1]"), None);
    }

    #[test]
    fn a_remedy_is_known_for_clocks_and_credentials() {
        let remedy = |body| kind(&answer(400, None, body)).unwrap().remedy();
        assert_eq!(
            remedy(r#"{"__type":"a#InvalidSignatureException","message":"Signature expired: 2026 is now earlier than"}"#),
            Remedy::Time
        );
        assert_eq!(remedy(r#"{"__type":"a#InvalidSignatureException","Message":"Signature not yet current"}"#), Remedy::Time);
        assert_eq!(
            remedy(r#"{"__type":"a#InvalidSignatureException","message":"The request signature we calculated does not match"}"#),
            Remedy::None
        );
        assert_eq!(remedy(r#"{"__type":"RequestTimeTooSkewed"}"#), Remedy::Time);
        assert_eq!(remedy(r#"{"__type":"c#ExpiredTokenException"}"#), Remedy::Credentials);
        assert_eq!(remedy(r#"{"__type":"c#UnrecognizedClientException"}"#), Remedy::Credentials);
        assert_eq!(remedy(r#"{"__type":"c#AccessDeniedException"}"#), Remedy::None);
        assert!(kind(&answer(400, None, r#"{"__type":"x#ThrottlingException"}"#)).unwrap().is_throttling());
    }
}
