//! Health checks of the key services while the server runs.
//!
//! The rule: they are few, each is bounded, and none holds up anything else. A service that is back gets what it has missed.

use std::sync::Arc;

use super::Core;

impl Core {
    /// Begins to check the key services, if the operator wants that. The work ends with the core.
    pub(super) fn watch_services(self: &Arc<Core>) {
        let times = self.options.seal.health;
        if !times.enabled {
            return;
        }
        for (seal, pulse) in self.unsealer.services() {
            let weak = Arc::downgrade(self);
            self.tasks.spawn(async move {
                let (mut lacks, mut in_vain) = (false, 0);
                loop {
                    // A service that answers and still cannot be given what it lacks is tried less and less often.
                    let pause = pulse.pause(&times, lacks).saturating_mul(1_u32.checked_shl(in_vain).unwrap_or(u32::MAX));
                    tokio::time::sleep(pause.min(times.interval.max(times.unhealthy))).await;
                    pulse.check(&seal, &times).await;
                    let Some(core) = weak.upgrade() else { return };
                    lacks = core.unsealer.lacks(&seal.name);
                    if lacks && pulse.failing().is_none() && core.active().is_ok() {
                        if let Err(error) = core.unsealer.mend().await {
                            tracing::warn!(seal = seal.name, %error, "what this seal lacks could not be given to it; this is tried again");
                        }
                        lacks = core.unsealer.lacks(&seal.name);
                        in_vain = if lacks { u32::min(in_vain + 1, 16) } else { 0 };
                    }
                }
            });
        }
    }
}
