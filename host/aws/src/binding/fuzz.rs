//! What a guest wants to have sent to AWS, and what AWS answers, as functions of bytes, for fuzz targets. The rule: none may panic, whatever the bytes;
//! and what passes is what was asked for: one JSON object, that another reader takes for the same.

use std::time::Duration;

use cofferdam_backend::{Fence, Key};
use cofferdam_runtime::{AwsCall, AwsResponse, Purpose};

use super::operations::{self, Operation};
use super::{TableSpec, allowed};
use crate::egress::failure;
use crate::scan;

pub use super::kms::fuzz::{answer as kms_answer, request as kms_request};

const PURPOSES: [Purpose; 7] =
    [Purpose::Attach, Purpose::Open, Purpose::Read, Purpose::Mutation, Purpose::Lock, Purpose::Wrap, Purpose::Unwrap];

/// A body, as that of every operation of DynamoDB.
pub fn dynamodb_request(body: &[u8]) {
    let scanned = scan::read(body);
    let other = serde_json::from_slice::<serde_json::Value>(body);
    // Numbers without bounds and half pairs are where readers differ.
    assert!(scanned.is_err() || other.is_ok() || body.contains(&b'e') || body.contains(&b'E'), "a body passes that is no JSON");
    if scanned.is_err() {
        return;
    }
    let named = other.map_or(true, |value| value.to_string().contains("\"vault\""));
    let mut table = TableSpec::new("vault");
    table.point_in_time_recovery = true;
    let fence = Key::new("core/lock").ok().map(|key| Fence { key, identity: "me".to_owned() });
    for name in operations::names() {
        for purpose in PURPOSES {
            let mut call = AwsCall::new(purpose, Duration::from_secs(1));
            (call.missing, call.created) = (true, true);
            let plain = allowed(&table, None, None, &call, name, body);
            let fenced = allowed(&table, None, fence.as_ref(), &call, name, body);
            assert!(fenced.is_err() || plain.is_ok(), "{name}: with a fence more is allowed");
            if let Ok(Operation { name: passed, purposes, .. }) = plain {
                assert!(*passed == name && purposes.contains(&purpose), "{name} passes for {purpose:?}");
                assert!(named, "{name} passes without the table's name");
            }
        }
    }
}

/// An answer of DynamoDB's, as far as the host reads it.
pub fn aws_answer(body: &[u8]) {
    for status in [200, 400, 500] {
        let header = ("x-amzn-errortype".to_owned(), String::from_utf8_lossy(body).into_owned());
        for headers in [Vec::new(), vec![header]] {
            let answer = AwsResponse { status, headers, body: bytes::Bytes::copy_from_slice(body) };
            if let Some(kind) = failure::kind(&answer) {
                let _ = (kind.is_of_identity(), kind.is_throttling(), kind.text());
            }
        }
    }
}
