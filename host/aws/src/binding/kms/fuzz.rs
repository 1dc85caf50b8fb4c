//! The same for KMS.

use std::time::Duration;

use bytes::Bytes;
use cofferdam_backend::Wrapped;
use cofferdam_runtime::{AwsCall, AwsResponse, KeyAsked, KeyCall, Purpose};
use zeroize::Zeroizing;

use super::key::{KeyArn, KeyName};
use super::request::{self, Operation};
use super::{DEK, KeySpec, answer as answers, trouble};

const OWN: &str = "arn:aws:kms:eu-west-1:123456789012:key/11111111-aaaa-bbbb-cccc-000000000001";

/// A body, as that of every operation, in a call that wraps, in one that unwraps, and in one that does neither.
pub fn request(body: &[u8]) {
    let spec = KeySpec { key_id: OWN.to_owned(), previous_key_ids: None };
    let described = OWN.parse::<KeyArn>().ok();
    let wrapped = |key_id: &str| Wrapped { blob: Bytes::from_static(b"a wrapped key"), key_id: key_id.to_owned() };
    // The name of a key that a guest has stored is the guest's.
    let text = String::from_utf8_lossy(body);
    let stored = text.split('"').find(|text| text.parse::<KeyName>().is_ok()).unwrap_or(&text);
    for operation in Operation::ALL {
        for described in [described.as_ref(), None] {
            let calls = [
                (Purpose::Open, None),
                (Purpose::Wrap, Some(KeyAsked::Wrap(Zeroizing::new([7; DEK])))),
                (Purpose::Unwrap, Some(KeyAsked::Unwrap { wrapped: wrapped(OWN), direct: false })),
                (Purpose::Unwrap, Some(KeyAsked::Unwrap { wrapped: wrapped(stored), direct: true })),
            ];
            for (purpose, asked) in calls {
                let mut call = AwsCall::new(purpose, Duration::from_secs(1));
                call.key = asked.map(KeyCall::new);
                if let Ok(request) = request::check(&spec, described, &call, operation.name(), body) {
                    assert!(request.operation == operation, "{} passes as {}", operation.name(), request.operation.name());
                    assert!(text.contains(&request.key_id), "{} passes with a key that it does not name", operation.name());
                }
            }
        }
    }
}

/// An answer, as that to every operation.
pub fn answer(body: &[u8]) {
    for operation in Operation::ALL {
        let _ = answers::read(operation, body);
        for status in [200, 400, 503] {
            let answer = Ok(AwsResponse { status, headers: Vec::new(), body: Bytes::copy_from_slice(body) });
            if let Some(words) = trouble::words(operation, OWN, "here", &answer) {
                assert!(
                    words.chars().count() < 4000 && !words.contains('\n'),
                    "the service's words make a message of {} bytes",
                    words.len()
                );
            }
        }
    }
}
