//! A key service whose calls are counted, under the names that Vault has, and which tells when it last answered.
//!
//! | name | kind | what it counts |
//! | --- | --- | --- |
//! | `vault_seal_encrypt`, `vault_seal_decrypt` | counter | wraps and unwraps asked for |
//! | `…_error` | counter | those that failed |
//! | `…_time` | histogram | how long they took, in milliseconds |
//! | `vault_seal_<type>_encrypt` and so on | the same | the same, by the seal's type, as `vault_seal_awskms_encrypt` |
//! | `vault_seal_unreachable_time` | gauge | milliseconds since health checks fail; 0 while they succeed |
//!
//! All have the label `seal_wrapper_name`, the name of the seal's stanza. The rule: no label holds anything that a guest or a service says.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use cofferdam_backend::{Result, Seal, Wrapped};
use metrics::{Counter, Histogram, counter, histogram};
use zeroize::Zeroizing;

use super::health::Pulse;
use super::options::AutoSeal;

/// The gauge of health checks.
pub(super) const UNREACHABLE: &str = "vault_seal_unreachable_time";
/// The label that names the seal.
pub(super) const LABEL: &str = "seal_wrapper_name";

/// The key service behind it, counted.
struct Metered {
    inner: Arc<dyn Seal>,
    pulse: Arc<Pulse>,
    encrypt: Meter,
    decrypt: Meter,
}

impl AutoSeal {
    /// The same seal, counted. Gives also what knows when it last answered.
    pub(crate) fn metered(self) -> (AutoSeal, Arc<Pulse>) {
        let pulse = Arc::new(Pulse::new(&self.name));
        let meter = |operation: &str| Meter::new(&self.kind, &self.name, operation);
        let metered = Metered { inner: self.backend, pulse: pulse.clone(), encrypt: meter("encrypt"), decrypt: meter("decrypt") };
        (AutoSeal { backend: Arc::new(metered), ..self }, pulse)
    }
}

/// The handles of one operation: of all seals together, and of those of this type.
struct Meter([Handles; 2]);

struct Handles {
    calls: Counter,
    errors: Counter,
    time: Histogram,
}

impl Meter {
    fn new(kind: &str, name: &str, operation: &str) -> Meter {
        let handles = |of: String| Handles {
            calls: counter!(of.clone(), LABEL => name.to_owned()),
            errors: counter!(format!("{of}_error"), LABEL => name.to_owned()),
            time: histogram!(format!("{of}_time"), LABEL => name.to_owned()),
        };
        Meter([handles(format!("vault_seal_{operation}")), handles(format!("vault_seal_{kind}_{operation}"))])
    }

    async fn of<T>(&self, pulse: &Pulse, call: impl Future<Output = Result<T>>) -> Result<T> {
        let begun = Instant::now();
        let done = call.await;
        for handles in &self.0 {
            handles.calls.increment(1);
            handles.time.record(begun.elapsed().as_secs_f64() * 1000.0);
            if done.is_err() {
                handles.errors.increment(1);
            }
        }
        if done.is_ok() {
            pulse.answered();
        }
        done
    }
}

#[async_trait]
impl Seal for Metered {
    async fn wrap(&self, dek: &[u8; 32]) -> Result<Wrapped> {
        self.encrypt.of(&self.pulse, self.inner.wrap(dek)).await
    }

    async fn unwrap(&self, wrapped: &Wrapped, dek: &mut [u8; 32]) -> Result<()> {
        self.decrypt.of(&self.pulse, self.inner.unwrap(wrapped, dek)).await
    }

    async fn unwrap_direct(&self, wrapped: &Wrapped) -> Result<Zeroizing<Vec<u8>>> {
        self.decrypt.of(&self.pulse, self.inner.unwrap_direct(wrapped)).await
    }

    async fn key_id(&self) -> Result<String> {
        // Which may be known without asking the service, so that it is no sign of life.
        self.inner.key_id().await
    }

    async fn health(&self) -> Result<()> {
        self.inner.health().await?;
        self.pulse.answered();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::recorder::Recorder;
    use crate::testing::service::Service;

    #[tokio::test]
    async fn calls_failures_and_times_are_counted_under_the_names_of_vault() {
        let recorder = Recorder::default();
        let _guard = metrics::set_default_local_recorder(&recorder);
        let service = Service::new("k");
        let (seal, _) = service.seal("east").metered();
        let wrapped = seal.backend.wrap(&[7; 32]).await.unwrap();
        let mut dek = [0; 32];
        seal.backend.unwrap(&wrapped, &mut dek).await.unwrap();
        assert_eq!(dek, [7; 32]);
        assert_eq!(seal.backend.unwrap_direct(&wrapped).await.unwrap().as_slice(), [7; 32]);
        service.fail(Some(cofferdam_backend::Error::Unavailable("Evil\"text".to_owned())));
        seal.backend.wrap(&[7; 32]).await.unwrap_err();
        seal.backend.health().await.unwrap_err();
        for of in ["vault_seal", "vault_seal_awskms"] {
            for (name, count) in [("encrypt", 2), ("encrypt_error", 1), ("decrypt", 2), ("decrypt_error", 0)] {
                assert_eq!(recorder.count(&format!("{of}_{name}")), count, "{of}_{name}");
            }
            assert_eq!(recorder.samples(&format!("{of}_encrypt_time")), 2);
            assert_eq!(recorder.samples(&format!("{of}_decrypt_time")), 2);
        }
        assert_eq!(recorder.labels(), [(LABEL.to_owned(), "east".to_owned())].into());
    }
}
