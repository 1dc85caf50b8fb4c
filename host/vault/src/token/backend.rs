//! The engine of `auth/token/`.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use zeroize::Zeroizing;

use super::Caller;
use super::fields::Body;
use super::id::is_batch;
use super::leases::text_or_null;
use super::roles::is_name;
use super::store::{Live, Store};
use crate::engine::Engine;
use crate::logical::{Auth, Error, Fields, Operation, Request, Response, Result, one_error};

/// Answers the requests below `auth/token/`.
pub struct Backend {
    store: Arc<Store>,
}

const TIDY: &str = "Tidy operation successfully started. Any information from the operation will be printed to the server's logs.";

/// 202: begun, and done later.
const ACCEPTED: u16 = 202;

#[async_trait]
impl Engine for Backend {
    async fn handle(&self, request: &Request) -> Result<Response> {
        let caller = request.caller.as_ref().ok_or(Error::PermissionDenied)?;
        let write = matches!(request.operation, Operation::Create | Operation::Update);
        // Policies name these paths without a slash at their end.
        if request.operation != Operation::List && request.path.ends_with('/') {
            return Err(Error::unsupported_path());
        }
        // Boxed, as the making of tokens is: what they may come to is large, and would be a part of every request's task.
        if let Some(answer) = Box::pin(self.by_role(request, caller)).await {
            return answer;
        }
        let known = match request.path.trim_end_matches('/') {
            "create" if write => return Box::pin(self.store.create_requested(request, caller, false, None)).await,
            "create-orphan" if write => return Box::pin(self.store.create_requested(request, caller, true, None)).await,
            "lookup" if write || request.operation == Operation::Read => return self.lookup(request, caller).await,
            "lookup-self" if write || request.operation == Operation::Read => return self.lookup_self(caller).await,
            "lookup-accessor" if write => return self.lookup_accessor(request).await,
            "renew" if write => return self.renew(request, caller).await,
            "renew-self" if write => return self.renew_self(request, caller).await,
            "renew-accessor" if write => return self.renew_accessor(request).await,
            "revoke" if write => return self.revoke(request).await,
            "revoke-self" if write => return self.revoke_inner(&caller.entry.id).await,
            "revoke-accessor" if write => return self.revoke_accessor(request).await,
            "revoke-orphan" if write => return self.revoke_orphan(request, caller).await,
            "accessors" if request.operation == Operation::List => return Response::list(self.store.accessors().await?),
            "tidy" if write => return Ok(self.tidy()),
            "create" | "create-orphan" | "lookup" | "lookup-self" | "lookup-accessor" | "renew" | "renew-self" | "renew-accessor"
            | "revoke" | "revoke-self" | "revoke-accessor" | "revoke-orphan" | "accessors" | "tidy" => true,
            _ => false,
        };
        Err(if known { Error::UnsupportedOperation } else { Error::unsupported_path() })
    }

    async fn exists(&self, request: &Request) -> Result<Option<bool>> {
        match request.path.strip_prefix("roles/").filter(|name| is_name(name)) {
            Some(name) => Ok(Some(self.store.role(name).await?.is_some())),
            None => Ok(None),
        }
    }
}

impl Backend {
    /// The engine over the store.
    pub fn new(store: Arc<Store>) -> Backend {
        Backend { store }
    }

    /// Answers what is about a token role, or by one.
    async fn by_role(&self, request: &Request, caller: &Caller) -> Option<Result<Response>> {
        let path = request.path.trim_end_matches('/');
        if path == "roles" {
            return Some(match request.operation {
                Operation::List => self.store.view.list("roles/").await.and_then(Response::list),
                _ => Err(Error::UnsupportedOperation),
            });
        }
        if request.path.ends_with('/') {
            return None;
        }
        if let Some(name) = path.strip_prefix("roles/").filter(|name| is_name(name)) {
            return Some(self.store.answer_role(request, name).await);
        }
        let name = path.strip_prefix("create/").filter(|name| is_name(name))?;
        if !matches!(request.operation, Operation::Create | Operation::Update) {
            return Some(Err(Error::UnsupportedOperation));
        }
        Some(match self.store.role(name).await {
            Ok(Some(role)) => self.store.create_requested(request, caller, false, Some(&role)).await,
            Ok(None) => Err(Error::BadRequest(format!("unknown role {name}"))),
            Err(error) => Err(error),
        })
    }

    async fn lookup_self(&self, caller: &Caller) -> Result<Response> {
        let live = match self.store.live(&caller.entry.id).await? {
            Some(live) => live,
            // The use for this request was the last one.
            None if caller.entry.num_uses == 1 => self.store.spent(&caller.entry).await?,
            None => return Err(bad_token()),
        };
        self.described(&live, &caller.external_id).await
    }

    async fn lookup(&self, request: &Request, caller: &Caller) -> Result<Response> {
        let external = Zeroizing::new(Body(&request.data).text("token")?);
        if external.is_empty() {
            return self.lookup_self(caller).await;
        }
        let inner = self.store.ids.inner(&external).map_err(|_| bad_token())?;
        let live = self.store.live(&inner).await?.ok_or_else(bad_token)?;
        self.described(&live, &external).await
    }

    async fn lookup_accessor(&self, request: &Request) -> Result<Response> {
        let live = self.accessor(request).await?.ok_or_else(invalid_accessor)?;
        self.described(&live, "").await
    }

    /// The live token of the accessor in the body.
    async fn accessor(&self, request: &Request) -> Result<Option<Live>> {
        let accessor = Body(&request.data).text("accessor")?;
        if accessor.is_empty() {
            return Err(Error::BadRequest(one_error("missing accessor")));
        }
        self.store.by_accessor(&accessor).await
    }

    async fn described(&self, live: &Live, id: &str) -> Result<Response> {
        let Live { entry, times } = live;
        let identity_policies = self.store.identity_policies(entry).await?;
        let mut data = Fields::new();
        let mut set = |name: &str, value: Value| data.insert(name.to_owned(), value);
        set("id", id.into());
        set("accessor", entry.accessor.clone().into());
        set("policies", entry.policies.clone().into());
        set("path", entry.path.clone().into());
        set(
            "meta",
            entry.meta.clone().map_or(Value::Null, |meta| meta.into_iter().map(|(key, value)| (key, Value::from(value))).collect()),
        );
        set("display_name", entry.display_name.clone().into());
        set("num_uses", entry.num_uses.into());
        set("orphan", entry.parent.is_empty().into());
        set("creation_time", entry.creation_time.into());
        set("creation_ttl", entry.ttl.as_secs().into());
        set("explicit_max_ttl", entry.explicit_max_ttl.as_secs().into());
        set("entity_id", entry.entity_id.clone().into());
        set("type", entry.type_name().into());
        set("expire_time", times.map_or(Value::Null, |times| text_or_null(times.expire)));
        set("ttl", times.map_or(0, |times| self.store.ttl_left(&times)).into());
        if let Some(times) = times {
            set("issue_time", times.issue.text().into());
            set("renewable", times.renewable.into());
            if let Some(renewal) = times.last_renewal.get() {
                set("last_renewal", times.last_renewal.text().into());
                set("last_renewal_time", renewal.unix_timestamp().into());
            }
        }
        if !entry.period.is_zero() {
            set("period", entry.period.as_secs().into());
        }
        if !entry.role.is_empty() {
            set("role", entry.role.clone().into());
        }
        if let Some(networks) = entry.bound_cidrs.clone().filter(|networks| !networks.is_empty()) {
            set("bound_cidrs", networks.into());
        }
        if !identity_policies.is_empty() {
            set("identity_policies", identity_policies.into());
            // Of other namespaces none are known.
            set("external_namespace_policies", Value::Object(Fields::new()));
        }
        Ok(Response::data(data))
    }

    async fn renew_self(&self, request: &Request, caller: &Caller) -> Result<Response> {
        self.renew_inner(&caller.entry.id, &caller.external_id, request).await
    }

    async fn renew(&self, request: &Request, _caller: &Caller) -> Result<Response> {
        let external = Zeroizing::new(Body(&request.data).text("token")?);
        if external.is_empty() {
            return Err(Error::bad_request("missing token ID"));
        }
        let inner = self.store.ids.inner(&external).map_err(|_| bad_token())?;
        self.renew_inner(&inner, &external, request).await
    }

    /// Whether it is a batch token that counts; such can be neither renewed nor revoked.
    async fn refuse_batch(&self, inner: &str, what: &str) -> Result<()> {
        if is_batch(inner) && self.store.live(inner).await?.is_some() {
            return Err(Error::BadRequest(format!("batch tokens cannot be {what}")));
        }
        Ok(())
    }

    async fn renew_accessor(&self, request: &Request) -> Result<Response> {
        let live = self.accessor(request).await?.ok_or_else(invalid_accessor)?;
        self.renew_inner(&live.entry.id, "", request).await
    }

    async fn renew_inner(&self, inner: &str, external: &str, request: &Request) -> Result<Response> {
        let increment = Body(&request.data).increment()?;
        self.refuse_batch(inner, "renewed").await?;
        let renewed = crate::measure::time("vault_expire_renew_token", self.store.renew(inner, increment)).await?;
        let (entry, lease, warnings) = renewed.ok_or_else(|| Error::bad_request("token not found"))?;
        let auth = self.store.auth(&entry, lease.ttl, lease.renewable, Zeroizing::new(external.to_owned())).await?;
        let auth = Auth { issue_time: Some(entry.creation_time), ..auth };
        Ok(Response { auth: Some(Box::new(auth)), warnings, ..Response::default() })
    }

    async fn revoke_inner(&self, inner: &str) -> Result<Response> {
        self.refuse_batch(inner, "revoked").await?;
        self.store.revoke(inner).await?;
        Ok(Response::empty())
    }

    /// The inner form of the token in the body.
    fn named(&self, request: &Request) -> Result<Zeroizing<String>> {
        let external = Zeroizing::new(Body(&request.data).text("token")?);
        if external.is_empty() {
            return Err(Error::bad_request("missing token ID"));
        }
        self.store.ids.inner(&external).map_err(|_| bad_token())
    }

    async fn revoke(&self, request: &Request) -> Result<Response> {
        self.revoke_inner(&self.named(request)?).await
    }

    async fn revoke_accessor(&self, request: &Request) -> Result<Response> {
        match self.accessor(request).await? {
            Some(live) => self.revoke_inner(&live.entry.id).await,
            None => Ok(Response::empty().warn("No token found with this accessor")),
        }
    }

    async fn revoke_orphan(&self, request: &Request, caller: &Caller) -> Result<Response> {
        let inner = self.named(request)?;
        if !caller.acl.sudo("auth/token/revoke-orphan") {
            return Err(Error::bad_request("root or sudo privileges required to revoke and orphan"));
        }
        if self.store.live(&inner).await?.is_none() {
            return Err(Error::bad_request("token to revoke not found"));
        }
        self.refuse_batch(&inner, "revoked").await?;
        self.store.revoke_orphan(&inner).await?;
        Ok(Response::empty())
    }

    fn tidy(&self) -> Response {
        if !self.store.start_tidy() {
            return Response::empty().warn("Tidy operation already in progress.");
        }
        Response { status: Some(ACCEPTED), ..Response::empty().warn(TIDY) }
    }
}

fn bad_token() -> Error {
    Error::Forbidden("bad token".to_owned())
}

fn invalid_accessor() -> Error {
    Error::BadRequest(one_error("invalid accessor"))
}
