//! The imports `aws` and `fencing`.

use wasmtime::component::{HasSelf, Linker};

use super::bindings::cofferdam::backend::{aws, fencing};
use crate::aws::{AwsResponse, AwsSendError, Purpose};
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
    async fn send(&mut self, operation: String, body: Vec<u8>) -> Result<aws::Response, aws::SendError> {
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
    fn current(&mut self) -> Option<fencing::Fence> {
        if self.call.purpose != Purpose::Mutation {
            return None;
        }
        let fence = self.lease.as_ref()?.fence()?;
        Some(fencing::Fence { key: fence.key.as_str().to_owned(), identity: fence.identity })
    }
}
