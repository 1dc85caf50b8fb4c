//! The operations, and what the transport must know of KMS. None of them changes anything, so each may be repeated.

use cofferdam_guest_aws::{Service, operations};

/// The service.
#[derive(Debug)]
pub(crate) struct Kms;

impl Service for Kms {
    const NAME: &'static str = "KMS";

    const THROTTLES: &'static [&'static str] = &[
        "ThrottlingException",
        "Throttling",
        "ThrottledException",
        "LimitExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "TooManyRequestsException",
    ];

    const PASSING: &'static [&'static str] =
        &["KMSInternalException", "DependencyTimeoutException", "KeyUnavailableException", "InternalFailure", "ServiceUnavailable"];
}

operations! {
    Kms, aws_sdk_kms:
    decrypt: Decrypt, DecryptInput, DecryptOutput, DecryptError;
    describe_key: DescribeKey, DescribeKeyInput, DescribeKeyOutput, DescribeKeyError;
    encrypt: Encrypt, EncryptInput, EncryptOutput, EncryptError;
}
