//! An entry as a line of JSON: Vault's members, in OpenBao's order, without those that are empty.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use super::hash::{Hasher, Salt};
use super::record::{Record, Stage, told};
use super::settings::Settings;
use super::shape::{Answered, Asked, Granting, Line, Namespace, Results, Who, Wrapped};
use crate::crypto;
use crate::keyring::rfc3339_nano;
use crate::logical::{Auth, Error, Fields, Operation, Response, Result};
use crate::mounts::Mount;
use crate::token;

/// The line of an entry, with its end.
pub(super) fn of(record: &Record, stage: Stage<'_>, settings: &Settings, salt: &Salt) -> Result<Zeroizing<Vec<u8>>> {
    let writing = Writing { record, settings, salt };
    let line = Line {
        time: rfc3339_nano(OffsetDateTime::now_utc()),
        kind: stage.kind(),
        auth: writing.who(stage),
        request: writing.asked(),
        response: match stage {
            Stage::Request(_) => None,
            Stage::Response(outcome) => Some(writing.answered(outcome)),
        },
        error: stage.error(),
    };
    let mut text = Zeroizing::new(Vec::with_capacity(2048));
    text.extend_from_slice(settings.prefix.as_bytes());
    serde_json::to_writer(&mut *text, &line).map_err(|error| Error::Internal(format!("writing an audit entry: {error}")))?;
    text.push(b'\n');
    Ok(text)
}

struct Writing<'a> {
    record: &'a Record,
    settings: &'a Settings,
    salt: &'a Salt,
}

impl<'a> Writing<'a> {
    fn secret(&self, text: &str) -> Option<String> {
        (!text.is_empty()).then(|| if self.settings.raw { text.to_owned() } else { self.salt.hash(text) })
    }

    fn accessor(&self, text: &str) -> Option<String> {
        if self.settings.hmac_accessor { self.secret(text) } else { Some(text.to_owned()).filter(|text| !text.is_empty()) }
    }

    fn data(&self, fields: &Fields, plain: Option<&[String]>, times: bool) -> Fields {
        if self.settings.raw {
            return fields.clone();
        }
        Hasher { salt: self.salt, plain: plain.unwrap_or_default(), times }.fields(fields)
    }

    fn token(&self) -> Option<String> {
        self.record.request.token.as_ref().and_then(|token| self.secret(token))
    }

    fn who(&self, stage: Stage<'a>) -> Who<'a> {
        let record = self.record;
        // Whoever logged in is, from then on, the one who asked.
        if record.request.caller.is_none()
            && let Stage::Response(Ok(Response { auth: Some(auth), .. })) = stage
        {
            return self.given(auth);
        }
        let results = record.verdict.as_ref().map(|(allowed, granting)| Results {
            allowed: *allowed,
            granting_policies: granting.iter().map(|name| Granting { name, namespace_id: "root", kind: "acl" }).collect(),
        });
        let Some(caller) = &record.request.caller else {
            return Who { policy_results: results, token_type: "default", ..Who::default() };
        };
        let entry: &token::Entry = &caller.entry;
        Who {
            client_token: self.token(),
            accessor: self.accessor(&entry.accessor),
            display_name: &entry.display_name,
            policies: &caller.policies,
            token_policies: &entry.policies,
            identity_policies: &caller.identity_policies,
            policy_results: results,
            metadata: entry.meta.as_ref().filter(|meta| !meta.is_empty()).map(|meta| json!(meta)),
            num_uses: 0,
            remaining_uses: entry.num_uses.max(0),
            entity_id: &entry.entity_id,
            token_type: match entry.kind {
                1 => "service",
                2 => "batch",
                _ => "default",
            },
            token_ttl: if record.last { 0 } else { entry.ttl.as_secs() },
            token_issue_time: Some(entry.creation_time).filter(|_| !record.last).and_then(moment),
        }
    }

    fn asked(&self) -> Asked<'a> {
        let record = self.record;
        let request = &record.request;
        let mount = record.mount.as_deref();
        let caller = request.caller.as_deref();
        let plain = mount.and_then(|mount| mount.entry.config.audit_non_hmac_request_keys.as_deref());
        Asked {
            id: &request.id,
            client_id: caller.filter(|_| !record.last).map(|caller| client_id(&caller.entry)),
            operation: request.operation.name(),
            mount_point: mount.map(|mount| mount.entry.api_path()),
            mount_type: mount.map(|mount| mount.entry.kind.as_str()),
            mount_accessor: self.mount_accessor(),
            mount_running_version: mount.map(|_| record.version.as_str()),
            mount_class: mount.map(class),
            client_token: self.token(),
            client_token_accessor: caller.and_then(|caller| self.accessor(&caller.entry.accessor)),
            namespace: Namespace { id: "root" },
            path: &request.path,
            data: self.data(&request.data, plain, false),
            remote_address: request.remote.map(|remote| remote.ip().to_canonical().to_string()),
            remote_port: request.remote.map(|remote| remote.port()),
            wrap_ttl: request.wrap_ttl.map(|ttl| ttl.as_secs()),
            headers: self.headers(),
        }
    }

    /// The request's headers that the operator wants in the log, in the clear or as hashes.
    fn headers(&self) -> BTreeMap<&'a str, Vec<Cow<'a, str>>> {
        let mut headers: BTreeMap<&str, Vec<Cow<'_, str>>> = BTreeMap::new();
        for (name, value) in &self.record.request.headers {
            let Some(hashed) = self.record.headers.get(name) else { continue };
            let shown = match *hashed && !self.settings.raw {
                true => self.salt.hash(value).into(),
                false => value.as_str().into(),
            };
            headers.entry(name).or_default().push(shown);
        }
        headers
    }

    fn mount_accessor(&self) -> Option<&'a str> {
        let written = matches!(self.record.request.operation, Operation::Create | Operation::Update) && self.record.verdict.is_some();
        self.record.mount.as_deref().filter(|_| written || self.record.reached).map(|mount| mount.entry.accessor.as_str())
    }

    fn answered(&self, outcome: &'a Result<Response>) -> Answered<'a> {
        let record = self.record;
        let mount = record.mount.as_deref();
        let response = outcome.as_ref().ok();
        let data = match outcome {
            Ok(response) => self.answer_data(response, mount),
            Err(error) => {
                let told = told(error).map(|text| ("error".to_owned(), text.into()));
                self.data(&told.into_iter().collect(), None, false)
            }
        };
        Answered {
            auth: response.and_then(|response| response.auth.as_deref()).map(|auth| self.given(auth)),
            mount_point: mount.map(|mount| mount.entry.api_path()),
            mount_type: mount.map(|mount| mount.entry.kind.as_str()),
            mount_accessor: self.mount_accessor(),
            mount_running_plugin_version: mount.map(|_| record.version.as_str()),
            mount_class: mount.map(class),
            secret: response.filter(|response| !response.lease_duration.is_zero()).map(|_| Fields::new()),
            data,
            warnings: response.map(|response| response.warnings.as_slice()).unwrap_or_default(),
            wrap_info: response.and_then(|response| response.wrap_info.as_deref()).map(|wrapped| Wrapped {
                ttl: wrapped.ttl.as_secs(),
                token: self.secret(&wrapped.token),
                accessor: self.accessor(&wrapped.accessor),
                creation_time: &wrapped.creation_time,
                creation_path: &wrapped.creation_path,
                wrapped_accessor: self.accessor(&wrapped.wrapped_accessor),
            }),
        }
    }

    fn answer_data(&self, response: &Response, mount: Option<&Mount>) -> Fields {
        let plain = mount.and_then(|mount| mount.entry.config.audit_non_hmac_response_keys.as_deref());
        let Some(data) = &response.data else { return Fields::new() };
        if let Some(status) = response.status {
            // Vault hands out an answer of another status as its text.
            let body = json!({
                "request_id": self.record.request.id, "lease_id": "", "renewable": false, "lease_duration": 0, "data": data,
                "wrap_info": null, "warnings": null, "auth": null,
            });
            let mut raw = Fields::new();
            raw.insert("http_content_type".to_owned(), "application/json".into());
            raw.insert("http_raw_body".to_owned(), body.to_string().into());
            raw.insert("http_status_code".to_owned(), status.into());
            return self.data(&raw, plain, false);
        }
        let elided = self.settings.elide && self.record.request.operation == Operation::List;
        let counted = |name: &str, value: &Value| match (name, value) {
            ("keys", Value::Array(names)) => Some(names.len()),
            ("key_info", Value::Object(infos)) => Some(infos.len()),
            _ => None,
        };
        let mut kept = Cow::Borrowed(data);
        if elided {
            for (name, value) in kept.to_mut() {
                if let Some(count) = counted(name, value) {
                    *value = count.into();
                }
            }
        }
        // What is unwrapped may be anybody's.
        let times = mount.is_some_and(own_times) && self.record.request.path != "sys/wrapping/unwrap";
        self.data(&kept, plain, times)
    }

    fn given(&self, auth: &'a Auth) -> Who<'a> {
        Who {
            client_token: self.secret(&auth.client_token),
            accessor: self.accessor(&auth.accessor),
            display_name: &auth.display_name,
            policies: &auth.policies,
            token_policies: &auth.token_policies,
            identity_policies: &auth.identity_policies,
            policy_results: None,
            metadata: auth.metadata.as_ref().filter(|metadata| !metadata.is_empty()).map(|metadata| json!(metadata)),
            num_uses: auth.num_uses.max(0),
            remaining_uses: 0,
            entity_id: &auth.entity_id,
            token_type: &auth.token_type,
            token_ttl: auth.lease_duration.as_secs(),
            token_issue_time: auth.issue_time.and_then(moment),
        }
    }
}

/// Whether the answers of a mount hold times that the engine made, rather than a client.
fn own_times(mount: &Mount) -> bool {
    matches!(mount.entry.kind.as_str(), "token" | "system") || mount.entry.kv_version() == Some("2")
}

fn class(mount: &Mount) -> &'static str {
    if mount.entry.table == "auth" { "auth" } else { "secret" }
}

/// What Vault counts clients by: the entity, or else the policies of the token.
fn client_id(entry: &token::Entry) -> String {
    if !entry.entity_id.is_empty() {
        return entry.entity_id.clone();
    }
    let policies = entry.policies.join("\u{7f}");
    STANDARD.encode(crypto::sha256(&[policies.as_bytes(), b"\0root"]))
}

fn moment(seconds: i64) -> Option<String> {
    OffsetDateTime::from_unix_timestamp(seconds).ok().map(rfc3339_nano)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_counted_as_openbao_counts_it() {
        // Of an OpenBao 2.7.2's entries.
        for (policy, id) in
            [("root", "0DHqvq2D77kL2/JTPSZkTMJbkFVmUu0TzMi0jiXcFy8="), ("default", "g0A6QFkmfBoCzvwgAWlrwXxqmnxezsz9P+RmbKWtbTM=")]
        {
            assert_eq!(client_id(&token::Entry { policies: vec![policy.to_owned()], ..token::Entry::default() }), id);
        }
    }
}
