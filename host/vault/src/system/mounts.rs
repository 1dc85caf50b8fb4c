//! `sys/mounts`, `sys/auth`, `sys/remount`: what is mounted where.

use std::sync::{Arc, PoisonError};

use serde_json::Value;

use super::{Call, object, params};
use crate::auth::TokenType;
use crate::crypto;
use crate::kv::duration;
use crate::lockout;
use crate::logical::{Error, Fields, Operation, Request, Response, Result};
use crate::mounts::{Created, Entry, Mount, Tune, options_value, seconds};

/// Which of the two families of mounts a path is about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Secrets,
    Auth,
}

impl Family {
    fn table(self) -> &'static str {
        match self {
            Family::Secrets => "mounts",
            Family::Auth => "auth",
        }
    }

    fn has(self, mount: &Mount) -> bool {
        mount.entry.table == self.table()
    }

    fn api_path(self, path: &str) -> String {
        match self {
            Family::Secrets => path.to_owned(),
            Family::Auth => format!("auth/{path}"),
        }
    }
}

/// `sys/mounts…` and `sys/auth…`; `rest` is what follows, without slashes at its ends.
pub(super) async fn handle(call: &Call<'_>, family: Family, rest: &str, request: &Request) -> Result<Response> {
    if rest.is_empty() {
        return match request.operation {
            Operation::Read if !request.path.ends_with('/') => Ok(Response::flat(list(call, family))),
            Operation::List | Operation::Read => Err(Error::unsupported_path()),
            _ => Err(Error::UnsupportedOperation),
        };
    }
    if let Some(path) = rest.strip_suffix("/tune") {
        // Both families are tuned by this path.
        let (family, path) = match path.strip_prefix("auth/") {
            Some(path) if family == Family::Secrets => (Family::Auth, path),
            _ => (family, path),
        };
        let path = format!("{path}/");
        return match request.operation {
            Operation::Read => tune_read(call, family, &path),
            Operation::Update | Operation::Create => tune_write(call, family, &path, &request.data).await,
            _ => Err(Error::UnsupportedOperation),
        };
    }
    let path = format!("{rest}/");
    match request.operation {
        Operation::Read => read(call, family, &path),
        Operation::Update | Operation::Create => enable(call, family, &path, &request.data).await,
        Operation::Delete => disable(call, family, &path).await,
        _ => Err(Error::UnsupportedOperation),
    }
}

/// The mounts of a family by their paths.
pub(super) fn list(call: &Call<'_>, family: Family) -> Fields {
    let routes = call.active.mounts.routes();
    let mounts = routes.all().into_iter().filter(|mount| family.has(mount));
    mounts.map(|mount| (mount.entry.path.clone(), Value::from(call.info(&mount.entry)))).collect()
}

fn at(call: &Call<'_>, family: Family, path: &str) -> Option<Arc<Mount>> {
    call.active.mounts.at(&family.api_path(path))
}

fn read(call: &Call<'_>, family: Family, path: &str) -> Result<Response> {
    let mount = at(call, family, path).ok_or_else(|| {
        Error::bad_request(match family {
            Family::Secrets => format!("No secret engine mount at {path}"),
            Family::Auth => format!("No auth engine at {path}"),
        })
    })?;
    Ok(Response::flat(call.info(&mount.entry)))
}

async fn enable(call: &Call<'_>, family: Family, path: &str, data: &Fields) -> Result<Response> {
    let kind = params::text(data, "type")?.unwrap_or_default();
    if params::text(data, "plugin_version")?.is_some_and(|version| !version.is_empty()) {
        return Err(Error::bad_request("plugin_version cannot be given: the engines of this server are built in"));
    }
    let empty = Fields::new();
    let config = params::object(data, "config")?.unwrap_or(&empty);
    let mut created = Created {
        kind,
        description: params::text(data, "description")?.unwrap_or_default(),
        // As OpenBao stores it: an object even if none is given, null if that is.
        options: if data.contains_key("options") { params::texts(data, "options")? } else { Some(Default::default()) },
        local: params::boolean(data, "local")?.unwrap_or_default(),
        seal_wrap: params::boolean(data, "seal_wrap")?.unwrap_or_default(),
        external_entropy_access: params::boolean(data, "external_entropy_access")?.unwrap_or_default(),
        ..Created::default()
    };
    let settings = &mut created.config;
    settings.default_lease_ttl = params::ttl(config, "default_lease_ttl", "default")?.unwrap_or_default();
    settings.max_lease_ttl = params::ttl(config, "max_lease_ttl", "max")?.unwrap_or_default();
    if settings.max_lease_ttl > 0 && settings.default_lease_ttl > settings.max_lease_ttl {
        return Err(Error::bad_request("given default lease TTL greater than given max lease TTL"));
    }
    let most = call.core.options().max_lease_ttl.as_secs();
    if settings.max_lease_ttl == 0 && seconds(settings.default_lease_ttl) > most {
        return Err(Error::bad_request(format!("given default lease TTL greater than system max lease TTL of {most}")));
    }
    settings.force_no_cache = params::boolean(config, "force_no_cache")?.unwrap_or_default();
    settings.listing_visibility = visibility(config)?.unwrap_or_default();
    settings.audit_non_hmac_request_keys = params::list(config, "audit_non_hmac_request_keys")?;
    settings.audit_non_hmac_response_keys = params::list(config, "audit_non_hmac_response_keys")?;
    settings.passthrough_request_headers = params::list(config, "passthrough_request_headers")?;
    settings.allowed_response_headers = params::list(config, "allowed_response_headers")?;
    match family {
        Family::Secrets => call.active.mounts.enable(path, created).await?,
        Family::Auth => {
            let kind = token_type(config)?.unwrap_or(TokenType::DefaultService);
            created.config.set_token_type(kind);
            call.active.mounts.enable_auth(path, created).await?;
        }
    }
    Ok(Response::empty())
}

/// What an auth mount is to hand out.
fn token_type(data: &Fields) -> Result<Option<TokenType>> {
    match params::text(data, "token_type")?.as_deref() {
        None | Some("") => Ok(None),
        Some("default") => Ok(Some(TokenType::DefaultService)),
        Some(name) => TokenType::of_name(name).map(Some).ok_or_else(|| Error::bad_request("invalid value for 'token_type'")),
    }
}

fn visibility(data: &Fields) -> Result<Option<String>> {
    let visibility = params::text(data, "listing_visibility")?;
    match visibility.as_deref() {
        None | Some("" | "hidden" | "unauth") => Ok(visibility),
        Some(other) => Err(Error::bad_request(format!("invalid listing_visibility {other}"))),
    }
}

/// When clients of the mount are to be locked out. None if nothing is said of it.
fn lockout(data: &Fields) -> Result<Option<lockout::Change>> {
    let Some(given) = params::object(data, "user_lockout_config")?.filter(|given| !given.is_empty()) else { return Ok(None) };
    let time = |name: &str| match given.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(value) => match duration::parse(value).map_err(Error::BadRequest)? {
            Some(time) if time < 0 => Err(Error::BadRequest(format!("user_lockout_config.{name} cannot be negative"))),
            time => Ok(time),
        },
    };
    let threshold = params::text(given, "lockout_threshold")?.filter(|text| !text.is_empty());
    let threshold = threshold.map(|text| {
        let number = text.parse::<u64>().ok().and_then(|number| i64::try_from(number).ok());
        number.ok_or_else(|| {
            Error::BadRequest(format!("unable to parse user lockout threshold: strconv.ParseUint: parsing {text:?}: invalid syntax"))
        })
    });
    let disable = params::boolean(given, "lockout_disable");
    Ok(Some(lockout::Change {
        threshold: threshold.transpose()?,
        duration: time("lockout_duration")?,
        counter_reset: time("lockout_counter_reset_duration")?,
        disable: disable.map_err(|_| Error::bad_request("unable to convert given user lockout config information"))?,
    }))
}

async fn disable(call: &Call<'_>, family: Family, path: &str) -> Result<Response> {
    call.active.mounts.disable(family.table(), path).await?;
    Ok(Response::empty())
}

fn tune_read(call: &Call<'_>, family: Family, path: &str) -> Result<Response> {
    let api_path = family.api_path(path);
    let mount = at(call, family, path).ok_or_else(|| Error::bad_request(format!("cannot fetch sysview for path {api_path:?}")))?;
    let Entry { config, description, options, .. } = &mount.entry;
    let server = call.core.options();
    let (default_lease_ttl, max_lease_ttl) = config.lease_ttls(server.default_lease_ttl, server.max_lease_ttl);
    let mut data = object([
        ("default_lease_ttl", default_lease_ttl.as_secs().into()),
        ("description", description.as_str().into()),
        ("force_no_cache", config.force_no_cache.into()),
        ("max_lease_ttl", max_lease_ttl.as_secs().into()),
    ]);
    config.lists(&mut data);
    if family == Family::Auth {
        data.insert("token_type".to_owned(), config.token_type().name().into());
    }
    if let Some(lockout) = &config.user_lockout_config {
        lockout.show(&mut data);
    }
    if options.as_ref().is_some_and(|options| !options.is_empty()) {
        data.insert("options".to_owned(), options_value(options.as_ref()));
    }
    Ok(Response::flat(data))
}

async fn tune_write(call: &Call<'_>, family: Family, path: &str, data: &Fields) -> Result<Response> {
    if params::text(data, "token_type")?.is_some_and(|kind| !kind.is_empty()) {
        match family {
            Family::Secrets => return Err(Error::bad_request("'token_type' can only be modified on auth mounts")),
            Family::Auth if path == "token/" => {
                return Err(Error::bad_request("'token_type' cannot be set for 'token' or 'ns_token' auth mounts"));
            }
            Family::Auth => {}
        }
    }
    if params::text(data, "plugin_version")?.is_some_and(|version| !version.is_empty()) {
        return Err(Error::bad_request("plugin_version cannot be given: the engines of this server are built in"));
    }
    let user_lockout = lockout(data)?;
    if user_lockout.is_some()
        && let Some(mount) = at(call, family, path).filter(|mount| !lockout::applies(&mount.entry.kind))
    {
        return Err(Error::BadRequest(format!("tuning of user lockout configuration for auth type {:?} not allowed", mount.entry.kind)));
    }
    let tune = Tune {
        description: params::text(data, "description")?,
        default_lease_ttl: params::ttl(data, "default_lease_ttl", "default")?,
        max_lease_ttl: params::ttl(data, "max_lease_ttl", "max")?,
        listing_visibility: visibility(data)?,
        audit_non_hmac_request_keys: params::list(data, "audit_non_hmac_request_keys")?,
        audit_non_hmac_response_keys: params::list(data, "audit_non_hmac_response_keys")?,
        passthrough_request_headers: params::list(data, "passthrough_request_headers")?,
        allowed_response_headers: params::list(data, "allowed_response_headers")?,
        options: params::texts(data, "options")?,
        token_type: token_type(data)?,
        user_lockout,
    };
    let later = family == Family::Auth && path == "token/" && (tune.default_lease_ttl.is_some() || tune.max_lease_ttl.is_some());
    match call.active.mounts.tune(&family.api_path(path), tune).await? {
        None if later => Ok(Response::empty().warn("the times to live of tokens are in force from the next unseal on")),
        None => Ok(Response::empty()),
        Some(warning) => Ok(Response::empty().warn(warning)),
    }
}

/// Refuses what no path of a request can reach.
fn check_destination(to: &str) -> Result<()> {
    if to.is_empty() {
        return Err(Error::bad_request("invalid destination mount path \"/\""));
    }
    if to.chars().any(char::is_control) {
        return Err(Error::bad_request("invalid destination mount: path cannot contain non-printable characters"));
    }
    let mut clean: Vec<&str> = Vec::new();
    for segment in to.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(clean.pop()),
            name => clean.push(name),
        }
    }
    let clean = format!("{}/", clean.join("/"));
    if clean != to {
        return Err(Error::BadRequest(format!("invalid destination mount: path '{to}' does not match cleaned path '{clean}'")));
    }
    Ok(())
}

/// `sys/remount` and `sys/remount/status/<id>`.
pub(super) async fn remount(call: &Call<'_>, rest: &str, request: &Request) -> Result<Response> {
    if let Some(id) = rest.strip_prefix("status/") {
        if request.operation != Operation::Read {
            return Err(Error::UnsupportedOperation);
        }
        let moves = call.active.remounts.lock().unwrap_or_else(PoisonError::into_inner);
        let (from, to) = moves.get(id).ok_or(Error::NotFound)?;
        let info = object([("source_mount", from.as_str().into()), ("target_mount", to.as_str().into()), ("status", "success".into())]);
        return Ok(Response::data(object([("migration_id", id.into()), ("migration_info", info.into())])));
    }
    if !rest.is_empty() {
        return Err(Error::unsupported_path());
    }
    if !matches!(request.operation, Operation::Update | Operation::Create) {
        return Err(Error::UnsupportedOperation);
    }
    let path = |name: &str| -> Result<String> {
        let missing = "both 'from' and 'to' path must be specified as a string";
        let text = params::required(&request.data, name, missing)?;
        if text.trim() != text {
            return Err(Error::bad_request(format!("'{name}' path cannot contain trailing whitespace")));
        }
        let text = text.strip_prefix('/').unwrap_or(&text);
        Ok(if text.is_empty() || text.ends_with('/') { text.to_owned() } else { format!("{text}/") })
    };
    let (from, to) = (path("from")?, path("to")?);
    check_destination(&to)?;
    call.active.mounts.remount(&from, &to).await?;
    let id = crypto::uuid();
    let mut moves = call.active.remounts.lock().unwrap_or_else(PoisonError::into_inner);
    // Statuses are for the client that asked a moment ago: they are few, and lost at a seal.
    if moves.len() >= 1_000 {
        moves.clear();
    }
    moves.insert(id.clone(), (from, to));
    Ok(Response::flat(object([("migration_id", id.into())]))
        .warn("Mount move has been queued. Progress will be reported in OpenBao's server log, tagged with the returned migration_id"))
}
