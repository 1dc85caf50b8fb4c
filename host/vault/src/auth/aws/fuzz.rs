//! The parsers of what clients and STS send, for [`crate::fuzz`].

use serde_json::{Map, Value};

use super::answer;
use super::arn::{self, Principal};
use super::client::Client;
use super::request::Signed;
use super::role::Role;
use super::sts::{self, Answer};

/// An answer's body, with the statuses and types that it may come with.
pub fn sts_answers(bytes: &[u8]) {
    for (status, content_type) in [(200, "text/xml"), (403, "text/xml"), (200, "application/json")] {
        let body = bytes.to_vec();
        let Ok(identity) = answer::identity(&Answer { status, content_type: Some(content_type.to_owned()), body }) else { continue };
        assert!(status == 200 && content_type == "text/xml", "an answer of another kind is believed");
        if let Ok(principal) = Principal::parse(&identity.arn) {
            let canonical = principal.canonical();
            assert!(arn::binds(&canonical, &[&canonical]) && Principal::parse(&canonical).is_ok(), "{canonical:?} is not its own");
        }
    }
}

/// The body of a login, or of a setting's write, as JSON; or a role as it is stored.
pub fn aws_logins(bytes: &[u8]) {
    if let Ok((role, _)) = Role::from_stored("r", bytes) {
        let members = role.members().unwrap_or_default();
        let again = Role::from_stored("r", Value::Object(members.clone()).to_string().as_bytes());
        assert!(
            again.is_ok_and(|(again, upgraded)| !upgraded && again.members().is_ok_and(|again| again == members)),
            "a role is read as another"
        );
    }
    let Ok(data) = serde_json::from_slice::<Map<String, Value>>(bytes) else { return };
    let Ok(signed) = Signed::parse(&data) else { return };
    let client = Client { iam_server_id_header_value: "a".to_owned(), ..Client::default() };
    let _ = signed.check(&client);
    if let Ok(call) = signed.call("") {
        let host = call.endpoint.strip_prefix("https://").unwrap_or_default();
        assert!(sts::is_aws(host), "{host:?} is not AWS's");
    }
    if let Ok(call) = signed.call("http://127.0.0.1:1") {
        assert!(call.endpoint == "http://127.0.0.1:1", "sent to {:?}", call.endpoint);
        let whole = call.headers.iter().flat_map(|(name, value)| [name, value]).chain([&call.host]);
        assert!(whole.into_iter().all(|text| !text.contains(['\r', '\n', '\0'])), "a header with a line break");
    }
}
