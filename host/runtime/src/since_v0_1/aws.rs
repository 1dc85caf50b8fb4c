//! The imports `aws` and `fencing`.

use wasmtime::component::{HasSelf, Linker};

use super::bindings::cofferdam::backend::{aws, fencing};
use crate::aws::{AwsResponse, AwsSendError, Purpose};
use crate::probe::{Course, Fault};
use crate::state::State;

/// Links `aws`. To be done only for a backend that is granted it.
pub(crate) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    aws::add_to_linker::<State, HasSelf<State>>(linker, |state| state)
}

/// Links `fencing`, which every backend may have.
pub(crate) fn link_fencing(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    fencing::add_to_linker::<State, HasSelf<State>>(linker, |state| state)
}

impl aws::Host for State {
    async fn send(&mut self, operation: String, body: Vec<u8>) -> wasmtime::Result<Result<aws::Response, aws::SendError>> {
        let Some(probed) = self.probed.clone() else { return Ok(self.sent(operation, body).await) };
        match probed.before("cofferdam:backend/aws.send", &operation).await? {
            Course::Fail(fault) => Ok(failing(fault)),
            course => {
                let sent = self.sent(operation, body).await;
                if let Err(aws::SendError::Refused(text)) = &sent {
                    probed.refused(&format!("aws {text}"));
                }
                if let (Course::Lose, Ok(_)) = (course, &sent) {
                    if let Some(key) = &mut self.call.key {
                        // The guest has seen no answer.
                        key.answered = None;
                    }
                    return Ok(Err(aws::SendError::Interrupted("the probe lost the answer".to_owned())));
                }
                Ok(sent)
            }
        }
    }
}

/// How a service fails so.
fn failing(fault: Fault) -> Result<aws::Response, aws::SendError> {
    let error = match fault {
        Fault::Unavailable => return Err(aws::SendError::Unreachable("the probe has the service away".to_owned())),
        Fault::Denied => "AccessDeniedException",
        Fault::Throttled => "ThrottlingException",
        Fault::Full => "LimitExceededException",
    };
    let headers = vec![("x-amzn-errortype".to_owned(), error.to_owned())];
    Ok(aws::Response { status: 400, headers, body: format!(r#"{{"__type":"{error}","message":"by the probe"}}"#).into_bytes() })
}

impl State {
    async fn sent(&mut self, operation: String, body: Vec<u8>) -> Result<aws::Response, aws::SendError> {
        let Some(granted) = self.aws.clone() else {
            return Err(aws::SendError::Refused("this backend is not granted aws".to_owned()));
        };
        if self.call.purpose == Purpose::Attach {
            return Err(aws::SendError::Refused("nothing may be sent during attach".to_owned()));
        }
        match granted.send(&mut self.call, &operation, body).await {
            Ok(AwsResponse { status, headers, body }) => Ok(aws::Response { status, headers, body: body.into() }),
            Err(error) => Err(match error {
                AwsSendError::Refused(text) => aws::SendError::Refused(text),
                AwsSendError::Unreachable(text) => aws::SendError::Unreachable(text),
                AwsSendError::Interrupted(text) => aws::SendError::Interrupted(text),
                AwsSendError::TooLarge(size) => aws::SendError::TooLarge(size),
                AwsSendError::Credentials(text) => aws::SendError::Credentials(text),
            }),
        }
    }
}

impl fencing::Host for State {
    fn current(&mut self) -> wasmtime::Result<Option<fencing::Fence>> {
        self.pass("cofferdam:backend/fencing.current")?;
        if self.call.purpose != Purpose::Mutation {
            return Ok(None);
        }
        let fence = self.lease.as_ref().and_then(|lease| lease.fence());
        Ok(fence.map(|fence| fencing::Fence { key: fence.key.as_str().to_owned(), identity: fence.identity }))
    }
}
