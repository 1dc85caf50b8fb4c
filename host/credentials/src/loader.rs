//! Gets credentials from the source that was chosen.
//!
//! The rule: one attempt asks that source alone, from its beginning, and has an end.

use std::time::Duration;

use aws_credential_types::Credentials;

use crate::Sources;
use crate::choice::{Base, Choice};
use crate::imds;
use crate::sts::Sts;

/// The longest attempt: a credential process may have to ask somebody far away.
const LIMIT: Duration = Duration::from_secs(30);

/// Asks one source.
#[derive(Debug)]
pub(crate) struct Loader {
    choice: Choice,
    region: String,
    sources: Sources,
    /// Made when a role needs it: it reads the system's certificate authorities.
    sts: Option<Sts>,
}

impl Loader {
    pub(crate) fn new(choice: Choice, region: &str, sources: &Sources) -> Loader {
        let needs_sts = choice.role.is_some() || matches!(choice.base, Base::WebIdentity(_));
        let sts = needs_sts.then(|| Sts::new(region, sources));
        Loader { choice, region: region.to_owned(), sources: sources.clone(), sts }
    }

    /// One attempt.
    pub(crate) async fn load(&self) -> Result<Credentials, String> {
        let late = |_| format!("no answer within {} s", LIMIT.as_secs());
        tokio::time::timeout(LIMIT, self.ask()).await.map_err(late)?
    }

    async fn ask(&self) -> Result<Credentials, String> {
        let base = match (&self.choice.base, &self.sts) {
            (Base::Stanza(keys) | Base::Environment(keys), _) => keys.clone(),
            (Base::Profile(profile), _) => profile.credentials(&self.region, &self.sources).await?,
            (Base::WebIdentity(identity), Some(sts)) => sts.exchange(identity).await?,
            (Base::WebIdentity(_), None) => return Err("there is no STS to exchange the token at".to_owned()),
            (Base::Container(container), _) => container.credentials().await?,
            (Base::Instance, _) => imds::credentials(&self.sources).await?,
        };
        match (&self.choice.role, &self.sts) {
            (Some(role), Some(sts)) => sts.assume(base, role).await,
            _ => Ok(base),
        }
    }
}
