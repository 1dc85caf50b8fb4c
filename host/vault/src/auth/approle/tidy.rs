//! Tidying: deleting secret ids that have ended, and what is left of others.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::AppRole;
use super::role::PLACES;
use super::secret::Accessor;
use crate::auth::stored;
use crate::logical::{Error, Response, Result};

const STARTED: &str = "Tidy operation successfully started. Any information from the operation will be printed to the server's logs.";

/// 202: begun, and done later.
const ACCEPTED: u16 = 202;

/// How long after a tidying the next one is due by itself.
const EVERY: Duration = Duration::from_secs(60 * 60);

/// When it was done last, and whether it is under way.
pub(super) struct Tidying(Mutex<(Instant, Option<JoinHandle<()>>)>);

impl Default for Tidying {
    fn default() -> Tidying {
        Tidying(Mutex::new((Instant::now(), None)))
    }
}

impl AppRole {
    /// `tidy/secret-id`.
    pub(super) fn start_tidy(&self) -> Response {
        if self.tidy_in_background(Duration::ZERO) {
            Response { status: Some(ACCEPTED), ..Response::empty().warn(STARTED) }
        } else {
            Response::empty().warn("Tidy operation already in progress.")
        }
    }

    /// Tidies if that is due. To be called where something is made that will have to be tidied.
    pub(super) fn tidy_now_and_then(&self) {
        self.tidy_in_background(EVERY);
    }

    /// False if that is under way already, or was within this time.
    fn tidy_in_background(&self, every: Duration) -> bool {
        let mut tidying = self.tidying.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, task) = &mut *tidying;
        if task.as_ref().is_some_and(|task| !task.is_finished()) || last.elapsed() < every {
            return false;
        }
        *last = Instant::now();
        let method = self.clone();
        *task = Some(tokio::spawn(async move {
            match method.tidy().await {
                Ok(()) => tracing::info!("tidying the secret ids of an approle mount is done"),
                // The next unseal makes another mount of it.
                Err(Error::Sealed) => {}
                Err(error) => tracing::error!("tidying the secret ids of an approle mount ended early: {error}"),
            }
        }));
        true
    }

    /// Deletes secret ids that have ended or whose accessor is not known, and accessors whose secret id is gone.
    pub(super) async fn tidy(&self) -> Result<()> {
        for (secrets, accessors) in PLACES {
            let mut good = HashSet::new();
            for folder in self.view.list(secrets).await? {
                for hmac in self.view.list(&format!("{secrets}{folder}")).await? {
                    good.extend(self.tidy_secret(&format!("{secrets}{folder}{hmac}"), &hmac, accessors).await?);
                }
            }
            for name in self.view.list(accessors).await? {
                if !good.contains(&name) {
                    self.tidy_accessor(&format!("{accessors}{name}"), secrets).await?;
                }
            }
        }
        Ok(())
    }

    /// The name of the accessor's index, if the secret id stays.
    async fn tidy_secret(&self, key: &str, hmac: &str, accessors: &str) -> Result<Option<String>> {
        let _alone = self.secrets.write(hmac).await;
        let Some(secret) = self.secret_at(key).await? else { return Ok(None) };
        let name = self.salted(&secret.secret_id_accessor);
        let accessor = format!("{accessors}{name}");
        if secret.ended(self.clock.now()) {
            self.view.delete(&accessor).await?;
        } else if self.view.get(&accessor).await?.is_some() {
            return Ok(Some(name));
        }
        self.view.delete(key).await?;
        Ok(None)
    }

    /// An accessor that no secret id was found for.
    async fn tidy_accessor(&self, key: &str, secrets: &str) -> Result<()> {
        let Some(accessor) = stored::get::<Accessor>(&self.view, key).await? else { return Ok(()) };
        let hmac = accessor.secret_id_hmac;
        // Whoever makes a secret id holds this from the accessor's write to its own.
        let _alone = self.secrets.write(&hmac).await;
        // Which role's it is, an accessor does not say; it may be one that was made since.
        for folder in self.view.list(secrets).await? {
            if self.view.get(&format!("{secrets}{folder}{hmac}")).await?.is_some() {
                return Ok(());
            }
        }
        self.view.delete(key).await
    }
}
