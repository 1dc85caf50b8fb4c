//! Wrapped answers: each in the cubbyhole of a token of its own, which can be used once, in the form of Vault and OpenBao.
//!
//! `response` holds the answer's body, `wrapinfo` what `sys/wrapping/lookup` tells. The rule: a token gives its answer out once, or never; whoever takes
//! it uses the token up first, and what became of it after is not asked.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use zeroize::Zeroizing;

use super::entry::{Entry, REVOKING};
use super::store::Store;
use crate::keyring::rfc3339_nano;
use crate::kv::duration;
use crate::logical::{Error, Fields, Result, WrapInfo};
use crate::policy::RESPONSE_WRAPPING;
use crate::view::View;

/// The answer's body.
const RESPONSE: &str = "response";
/// How it was wrapped.
const WRAPINFO: &str = "wrapinfo";

/// The warning of who reads [`RESPONSE`] by itself; Vault's.
pub(super) const DEPRECATED: &str = "Reading from 'cubbyhole/response' is deprecated. Please use sys/wrapping/unwrap to unwrap responses, as it \
                                     provides additional security checks and other benefits.";

/// Whether this is what an answer is wrapped in.
fn wraps(entry: &Entry) -> bool {
    entry.policies.len() == 1 && entry.policies.iter().all(|policy| policy == RESPONSE_WRAPPING)
}

/// Whether a path of a token's cubbyhole is that of a wrapped answer.
pub(super) fn is_response(entry: &Entry, path: &str) -> bool {
    path == RESPONSE && wraps(entry)
}

/// The error of a token that wraps nothing, or no more.
pub(crate) fn invalid() -> Error {
    Error::bad_request("wrapping token is not valid or does not exist")
}

impl Store {
    /// Wraps a body. `path` is what the request was for, `meant.creation_path` what the first that was wrapped was for.
    /// With an `address`, where clients reach the server, its token is a JWT.
    pub(crate) async fn wrap(&self, path: &str, body: &str, meant: WrapInfo, address: Option<&str>) -> Result<WrapInfo> {
        let now = self.leases.clock().now();
        let mut entry = Entry::new(path.to_owned(), "token".to_owned(), now.unix_timestamp());
        entry.policies = vec![RESPONSE_WRAPPING.to_owned()];
        entry.ttl = meant.ttl;
        entry.explicit_max_ttl = meant.ttl;
        entry.num_uses = 1;
        let entry = self.create(entry, false).await?;
        let creation_time = rfc3339_nano(now);
        let info = Fields::from_iter([
            ("creation_path".to_owned(), meant.creation_path.as_str().into()),
            ("creation_time".to_owned(), creation_time.as_str().into()),
            ("creation_ttl".to_owned(), i64::try_from(meant.ttl.as_nanos()).unwrap_or(i64::MAX).into()),
        ]);
        let own = self.cubbyhole_of(&entry);
        let stored = async {
            let response = Fields::from_iter([(RESPONSE.to_owned(), body.into())]);
            own.batch(vec![own.change(RESPONSE, Some(&encode(&response)?))?, own.change(WRAPINFO, Some(&encode(&info)?))?]).await?;
            match address {
                Some(address) => self.wrapping_key.sign(&entry.id, &meant, address, now.unix_timestamp()).await,
                None => Ok(self.external(&entry)),
            }
        };
        match stored.await {
            Ok(token) => Ok(WrapInfo { token, accessor: entry.accessor, creation_time, ..meant }),
            Err(error) => {
                // Nobody has it yet; should this fail too, it ends with its lease.
                drop(self.revoke(&entry.id).await);
                Err(error)
            }
        }
    }

    fn cubbyhole_of(&self, entry: &Entry) -> View {
        self.cubbyhole.of(entry, &self.salted(&entry.id))
    }

    /// The token of a wrapped answer, in the form that a client sent; [`invalid`] for any other.
    pub(crate) async fn wrapping_token(&self, external: &str) -> Result<Arc<Entry>> {
        let inner = self.ids.inner(external).map_err(|_| invalid())?;
        let live = self.live(&inner).await?.ok_or_else(invalid)?;
        if wraps(&live.entry) { Ok(live.entry) } else { Err(invalid()) }
    }

    /// How an answer was wrapped: the TTL, the time, the path; what is not known is left out.
    pub(crate) async fn wrapped_info(&self, entry: &Entry) -> Result<(Option<Duration>, Option<String>, Option<String>)> {
        let Some(info) = self.cubbyhole_entry(entry, WRAPINFO).await? else { return Ok((None, None, None)) };
        let ttl = info.get("creation_ttl").and_then(nanoseconds).map(Duration::from_nanos);
        let text = |name: &str| info.get(name).and_then(Value::as_str).map(str::to_owned);
        Ok((ttl, text("creation_time"), text("creation_path")))
    }

    /// The wrapped body. The token is used up, by the request that it came with, or here.
    pub(crate) async fn wrapped(&self, entry: &Entry) -> Result<Zeroizing<String>> {
        let missing = || Error::bad_request("no information found; wrapping token may be from a previous Vault version");
        let mut fields = self.cubbyhole_entry(entry, RESPONSE).await?.ok_or_else(missing)?;
        match fields.get_mut(RESPONSE).map(Value::take) {
            Some(Value::String(body)) => Ok(Zeroizing::new(body)),
            _ => Err(Error::bad_request("no response found inside the cubbyhole")),
        }
    }

    /// Uses a token up that did not come with the request, so that nobody else gets its answer; it is to be revoked then.
    pub(crate) async fn claim(&self, entry: &Entry) -> Result<()> {
        let salted = self.salted(&entry.id);
        let _changing = self.lock(&salted).await?;
        let mut stored = self.entry(&salted).await?.filter(|entry| entry.num_uses >= 0).ok_or_else(invalid)?;
        stored.num_uses = REVOKING;
        self.put_entry(&salted, &stored).await
    }

    async fn cubbyhole_entry(&self, entry: &Entry, name: &str) -> Result<Option<Fields>> {
        let own = self.cubbyhole_of(entry);
        let Some(bytes) = own.get(name).await? else { return Ok(None) };
        serde_json::from_slice(&bytes).map(Some).map_err(|_| Error::Damaged(format!("{}{name}: not a JSON object", own.prefix())))
    }
}

/// A number of nanoseconds, or, as old servers have it, a text of Go's.
fn nanoseconds(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64(),
        text => duration::parse(text).ok().flatten().and_then(|nanoseconds| u64::try_from(nanoseconds).ok()),
    }
}

fn encode(fields: &Fields) -> Result<Zeroizing<Vec<u8>>> {
    serde_json::to_vec(fields).map(Zeroizing::new).map_err(|error| Error::Internal(error.to_string()))
}
