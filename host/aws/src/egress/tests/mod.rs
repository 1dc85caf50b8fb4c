//! Egress against a service that does as it is told.

use std::sync::Arc;
use std::time::Duration;

use cofferdam_backend::{BootInstant, Fence, Fencing, Key, Lease};
use cofferdam_runtime::{Aws, AwsCall, AwsResponse, AwsSendError, Purpose};

use super::{Egress, EgressOptions};
use crate::{Credentials, DynamoDb, Identity, Sources, TableSpec};

mod caps;
mod exchange;
mod leases;
mod metrics;
mod remedies;
pub(crate) mod server;
mod way;

pub(super) const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
pub(super) const SESSION: &str = "IQoJb3JpZ2luX2VjEXAMPLETOKEN";
pub(super) const GET: &str = r#"{"TableName":"vault","Key":{"Path":{"S":"a"},"Key":{"S":"b"}},"ConsistentRead":true}"#;
pub(super) const PUT: &str = r#"{"TableName":"vault","Item":{"Path":{"S":"a"},"Key":{"S":"b"},"Value":{"B":"AAEC"}}}"#;
pub(super) const RENEW: &str = r##"{"TableName":"vault","Key":{"Path":{"S":"core"},"Key":{"S":"_lock"}},"UpdateExpression":"SET #e = :e","ExpressionAttributeNames":{"#e":"Expires"},"ExpressionAttributeValues":{":e":{"N":"1"}}}"##;

pub(crate) fn table() -> TableSpec {
    TableSpec::new("vault")
}

pub(crate) fn options(endpoint: &str) -> EgressOptions {
    EgressOptions { endpoint: Some(endpoint.to_owned()), region: "eu-west-1".to_owned(), ..EgressOptions::default() }
}

/// Long-term keys, with a session token.
pub(crate) async fn credentials() -> Arc<Credentials> {
    let secret = |text: &str| Some(text.to_owned().into());
    let identity = Identity {
        access_key: Some("AKIDEXAMPLE".to_owned().into()),
        secret_key: secret(SECRET),
        session_token: secret(SESSION),
        ..Identity::default()
    };
    Credentials::open(identity, "eu-west-1", &Sources::of([("NONE", "")])).await.unwrap()
}

pub(crate) async fn bound(options: EgressOptions, lease: Option<Arc<Lease>>) -> Arc<DynamoDb> {
    DynamoDb::new(table(), Egress::new("test", options, credentials().await).unwrap(), lease)
}

/// A lease that is held for a while.
pub(crate) fn held(fencing: Fencing, time: Duration) -> Arc<Lease> {
    let lease = Lease::new(fencing);
    begin(&lease, time);
    lease
}

pub(super) fn begin(lease: &Lease, time: Duration) {
    lease.begin(Fence { key: Key::new("core/lock").unwrap(), identity: "me".to_owned() }, BootInstant::now().after(time));
}

pub(crate) fn call(purpose: Purpose) -> AwsCall {
    AwsCall::new(purpose, Duration::from_secs(20))
}

/// One request in a call of its own.
pub(super) async fn send(aws: &DynamoDb, purpose: Purpose, operation: &str, body: &str) -> Result<AwsResponse, AwsSendError> {
    aws.send(&mut call(purpose), operation, body.into()).await
}

pub(super) async fn get(aws: &DynamoDb) -> Result<AwsResponse, AwsSendError> {
    send(aws, Purpose::Read, "GetItem", GET).await
}

pub(super) async fn put(aws: &DynamoDb) -> Result<AwsResponse, AwsSendError> {
    send(aws, Purpose::Mutation, "PutItem", PUT).await
}

pub(super) async fn renew(aws: &DynamoDb) -> Result<AwsResponse, AwsSendError> {
    send(aws, Purpose::Lock, "UpdateItem", RENEW).await
}
