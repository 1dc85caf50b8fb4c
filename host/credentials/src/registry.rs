//! One provider per identity.
//!
//! The rule: backends whose settings are equal share a provider, and so its refreshes and its failures; backends whose settings differ share
//! nothing. A provider ends with its last user.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use tokio::sync::Mutex;

use crate::{Credentials, CredentialsError, Identity, Sources};

/// The providers in use.
#[derive(Debug)]
pub struct Providers {
    sources: Sources,
    open: Mutex<HashMap<(Identity, String), Weak<Credentials>>>,
}

impl Providers {
    /// None yet.
    pub fn new(sources: Sources) -> Providers {
        Providers { sources, open: Mutex::default() }
    }

    /// The surroundings of its providers.
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// The provider of this identity, which asks STS of `region` if it asks STS.
    pub async fn get(&self, identity: Identity, region: &str) -> Result<Arc<Credentials>, CredentialsError> {
        let mut open = self.open.lock().await;
        open.retain(|_, provider| provider.strong_count() > 0);
        let key = (identity, region.to_owned());
        if let Some(provider) = open.get(&key).and_then(Weak::upgrade) {
            return Ok(provider);
        }
        let provider = Credentials::open(key.0.clone(), region, &self.sources).await?;
        open.insert(key, Arc::downgrade(&provider));
        Ok(provider)
    }
}
