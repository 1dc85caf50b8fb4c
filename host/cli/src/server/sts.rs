//! The way to AWS's STS for logins: what clients signed is sent by the host's own egress to AWS.

use async_trait::async_trait;
use cofferdam_aws::{ForwardError, Forwarded, Forwarder, Proxies};
use cofferdam_vault::auth::aws::sts::{Answer, Call, CallError, LARGEST, Sts};

/// Sends by the environment's proxies, if there are any.
#[derive(Debug)]
pub(super) struct Aws(Forwarder);

impl Aws {
    /// Nothing is sent yet.
    pub(super) fn new() -> Self {
        Self(Forwarder::new(Proxies::system(), LARGEST))
    }
}

#[async_trait]
impl Sts for Aws {
    async fn post(&self, call: &Call) -> Result<Answer, CallError> {
        let request = Forwarded { endpoint: &call.endpoint, host: &call.host, headers: &call.headers, body: &call.body };
        match self.0.post(request).await {
            Ok(answer) => Ok(Answer { status: answer.status, content_type: answer.content_type, body: answer.body.to_vec() }),
            Err(ForwardError::TooLarge) => Err(CallError::TooLarge),
            Err(ForwardError::Unfit(reason)) => Err(CallError::Unfit(reason)),
            Err(ForwardError::Unanswered(reason)) => Err(CallError::Unanswered(reason)),
        }
    }
}
