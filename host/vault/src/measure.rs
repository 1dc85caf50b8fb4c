//! How long things take: as spans of traces, and as metrics under the names that Vault has. Vault's times are in milliseconds.
//!
//! | name | kind | what it counts |
//! | --- | --- | --- |
//! | `vault_core_unsealed`, `vault_core_active` | gauge | 1 while unsealed, and while this server is the active one |
//! | `vault_core_in_flight_requests` | gauge | requests under way |
//! | `vault_core_handle_request`, `vault_core_check_token` | summary | whole requests, and finding out whose a token is |
//! | `vault_core_unseal`, `vault_core_post_unseal`, `vault_core_seal`, `vault_core_step_down` | summary | changes of state |
//! | `vault_core_leadership_lost` | summary | how long this server had led |
//! | `vault_barrier_get`, `…_put`, `…_delete`, `…_list` | summary | accesses through the barrier; of a batch each part, with the time of the whole |
//! | `vault_route_OPERATION_MOUNT` | summary | what a mount did, `vault_route_read_secret_` |
//! | `vault_token_create`, `…_lookup`, `…_revoke`, `…_store` | summary | tokens |
//! | `vault_token_creation` | counter, by `auth_method` and `token_type` | tokens made |
//! | `vault_expire_num_leases` | gauge | leases; all, once they are loaded |
//! | `vault_expire_revoke`, `…_renew_token`, `…_register_auth` | summary | leases |
//! | `vault_policy_get_policy`, `…_set_policy`, `…_delete_policy`, `…_list_policies` | summary | policies |
//! | `vault_audit_log_request`, `…_log_response` | summary, each with a counter `…_failure` | entries for the audit devices |
//! | `vault_cache_hit`, `…_miss`, `…_write`, `…_delete` | counter | the cache |
//! | `process_resident_memory_bytes` | gauge | memory of the whole process |
//!
//! The rule: no label and no attribute of a span holds a path below a mount, a token, or anything of a request's content. The path of a mount is the
//! operator's.

use std::sync::OnceLock;
use std::time::Instant;

use cofferdam_backend::SPANS;
use tracing::field::Empty;
use tracing::{Instrument, Span};

use crate::core::Core;
use crate::logical::{Error, Operation, Result};
use crate::mounts::Mount;

/// Measures something under a name of Vault's.
pub(crate) async fn time<T>(name: &'static str, work: impl Future<Output = T>) -> T {
    let begun = Instant::now();
    let done = work.await;
    since(name, begun);
    done
}

/// Notes how long something took.
pub(crate) fn since(name: impl Into<metrics::SharedString>, begun: Instant) {
    metrics::histogram!(name.into()).record(begun.elapsed().as_secs_f64() * 1000.0);
}

/// An access through the barrier.
#[derive(Clone, Copy)]
pub(crate) enum Access {
    Get,
    Put,
    Delete,
    List,
}

impl Access {
    fn name(self) -> &'static str {
        match self {
            Access::Get => "get",
            Access::Put => "put",
            Access::Delete => "delete",
            Access::List => "list",
        }
    }

    fn metric(self) -> &'static str {
        match self {
            Access::Get => "vault_barrier_get",
            Access::Put => "vault_barrier_put",
            Access::Delete => "vault_barrier_delete",
            Access::List => "vault_barrier_list",
        }
    }
}

/// The kinds of entries, by the first segment of their keys. The rest of a key may name a secret.
const AREAS: [&str; 5] = ["audit", "auth", "core", "logical", "sys"];

/// Measures an access through the barrier.
pub(crate) async fn barrier<T>(access: Access, key: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
    let begun = Instant::now();
    let done = traced(access.name(), key, work).await;
    since(access.metric(), begun);
    done
}

/// Measures several at once, of which the first is to this key: each counts, with the time of all.
pub(crate) async fn barrier_batch(parts: &[Access], key: &str, work: impl Future<Output = Result<()>>) -> Result<()> {
    let begun = Instant::now();
    let operation = if let [part] = parts { part.name() } else { "batch" };
    let done = traced(operation, key, work).await;
    parts.iter().for_each(|part| since(part.metric(), begun));
    done
}

/// The span of accesses through the barrier.
async fn traced<T>(operation: &'static str, key: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
    let segment = key.split('/').next();
    let area = AREAS.into_iter().find(|area| Some(*area) == segment).unwrap_or("other");
    let span = tracing::info_span!(
        target: SPANS, "barrier", operation, area, "error.type" = Empty, "otel.status_code" = Empty
    );
    let done = work.instrument(span.clone()).await;
    if let Err(error) = &done {
        span.record("error.type", case(error));
        span.record("otel.status_code", "error");
    }
    done
}

/// What is noted of one read that the cache has: for who measures what that costs.
pub async fn one_read() {
    let done = barrier(Access::Get, "logical/entry", async {
        let span = cache("get");
        let _entered = span.enter();
        hit(&span, true);
        Ok(())
    });
    drop(done.await);
}

/// What of an error a trace shows.
fn case(error: &Error) -> &'static str {
    match error {
        Error::Storage(error) | Error::Seal { source: error, .. } => error.case(),
        Error::Sealed => "sealed",
        Error::Standby | Error::LeadershipLost => "standby",
        Error::Damaged(_) => "damaged",
        Error::BadRequest(_) | Error::WrongCredentials(_) => "bad-request",
        Error::PermissionDenied | Error::Forbidden(_) => "permission-denied",
        Error::NotFound => "not-found",
        Error::NoRoute(_) => "no-route",
        Error::UnsupportedOperation | Error::WrongMethod => "unsupported-operation",
        Error::Refused(_) => "refused",
        Error::NotInitialized => "not-initialized",
        Error::TooLarge(_) => "too-large",
        Error::Internal(_) => "internal",
    }
}

/// The span of what the cache does; `hit` is for [`hit`].
pub(crate) fn cache(operation: &'static str) -> Span {
    tracing::info_span!(target: SPANS, "cache", operation, hit = Empty)
}

/// Whether the cache had it.
pub(crate) fn hit(span: &Span, hit: bool) {
    span.record("hit", hit);
}

/// Tells the request's span which mount it is for.
pub(crate) fn entered(mount: &Mount, operation: Operation) {
    let span = Span::current();
    if !span.is_disabled() {
        span.record("coffer.mount", mount.entry.api_path());
        span.record("coffer.operation", operation.name());
    }
}

/// The handles of a mount's metrics, each looked up once, when it is first used.
#[derive(Default)]
pub(crate) struct Meters([Meter; Operation::ALL.len()]);

/// Those of one operation.
#[derive(Default)]
struct Meter {
    /// By the mount's path, as Vault names it.
    route: OnceLock<metrics::Histogram>,
    /// By the engine's type, of what was done and what was not.
    seconds: [OnceLock<metrics::Histogram>; 2],
}

/// What a mount did.
pub(crate) fn route(mount: &Mount, operation: Operation, begun: Instant, ok: bool) {
    let Some(meter) = mount.meters.0.get(operation as usize) else { return };
    let took = begun.elapsed();
    let route = meter.route.get_or_init(|| {
        let path: String = mount.entry.api_path().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        metrics::histogram!(format!("vault_route_{}_{path}", operation.name()))
    });
    route.record(took.as_secs_f64() * 1000.0);
    let [done, failed] = &meter.seconds;
    let (seconds, outcome) = if ok { (done, "ok") } else { (failed, "error") };
    let seconds = seconds.get_or_init(
        || metrics::histogram!("vault_route_seconds", "mount" => mount.label, "operation" => operation.name(), "outcome" => outcome),
    );
    seconds.record(took);
}

/// A request under way.
pub(crate) struct UnderWay(metrics::Gauge);

impl UnderWay {
    pub(crate) fn begin() -> UnderWay {
        let gauge = metrics::gauge!("vault_core_in_flight_requests");
        gauge.increment(1);
        UnderWay(gauge)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.decrement(1);
    }
}

impl Core {
    /// Brings the gauges up to date that nothing else keeps so: to be called before the metrics are read.
    pub fn gauges(&self) {
        let active = self.active().ok();
        let leases = active.as_ref().map_or(0, |active| active.tokens.lease_count());
        metrics::gauge!("vault_core_unsealed").set(f64::from(u8::from(!self.sealed())));
        metrics::gauge!("vault_core_active").set(f64::from(u8::from(active.is_some())));
        metrics::gauge!("vault_expire_num_leases").set(u32::try_from(leases).unwrap_or(u32::MAX));
        if let Some(bytes) = resident() {
            metrics::gauge!("process_resident_memory_bytes").set(bytes);
        }
    }
}

/// The memory of this process, in bytes.
fn resident() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().strip_suffix("kB")?;
    Some(kilobytes.trim().parse::<f64>().ok()? * 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::recorder::Recorder;

    #[tokio::test]
    async fn accesses_are_counted_under_the_names_of_vault() {
        let recorder = Recorder::default();
        let _guard = metrics::set_default_local_recorder(&recorder);
        barrier(Access::Get, "logical/x", async { Ok(()) }).await.unwrap();
        barrier(Access::Get, "logical/x", async { Err::<(), _>(Error::Sealed) }).await.unwrap_err();
        time("vault_token_create", async {}).await;
        assert_eq!((recorder.samples("vault_barrier_get"), recorder.samples("vault_token_create")), (2, 1));
        barrier_batch(&[Access::Put, Access::Put, Access::Delete], "logical/x", async { Ok(()) }).await.unwrap();
        assert_eq!((recorder.samples("vault_barrier_put"), recorder.samples("vault_barrier_delete")), (2, 1));
        let under_way = UnderWay::begin();
        assert_eq!(recorder.count("vault_core_in_flight_requests"), 1);
        drop(under_way);
        assert_eq!(recorder.count("vault_core_in_flight_requests"), 0);
        assert!(recorder.labels().is_empty());
        assert!(resident().is_some_and(|bytes| bytes > 1e6));
    }
}
