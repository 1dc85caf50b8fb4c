//! `config`: the mount's settings.

use super::proto::Span;
use super::store::Store;
use crate::kv::duration;
use crate::kv::fields::{Input, Kind, Schema};
use crate::logical::{Fields, Request, Response, Result};

const SCHEMA: Schema = &[
    ("max_versions", Kind::Int),
    ("cas_required", Kind::Bool),
    ("delete_version_after", Kind::SignedSeconds),
    ("metadata_cas_required", Kind::Bool),
];

pub(super) async fn read(store: &Store, request: &Request) -> Result<Response> {
    let input = Input::new(request, SCHEMA, false)?;
    let config = store.config().await?;
    let config = &config.message;
    let after = config.delete_version_after.map_or(0, Span::nanoseconds);
    let mut data = Fields::new();
    data.insert("max_versions".into(), config.max_versions.into());
    data.insert("cas_required".into(), config.cas_required.into());
    data.insert("delete_version_after".into(), duration::format(after).into());
    data.insert("metadata_cas_required".into(), config.metadata_cas_required.into());
    Ok(input.warn(Response::data(data)))
}

pub(super) async fn write(store: &Store, request: &Request) -> Result<Response> {
    let input = Input::new(request, SCHEMA, false)?;
    if SCHEMA.iter().any(|(name, _)| input.has(name)) {
        let change = |config: &mut super::proto::Configuration| {
            if let Some(max_versions) = input.int("max_versions") {
                config.max_versions = super::metadata::wrapped(max_versions);
            }
            if let Some(cas_required) = input.bool("cas_required") {
                config.cas_required = cas_required;
            }
            if let Some(seconds) = input.seconds("delete_version_after") {
                // Any negative time turns it off, and is kept as minus one second.
                config.delete_version_after = Some(Span::of_seconds(seconds.max(-1)));
            }
            if let Some(cas_required) = input.bool("metadata_cas_required") {
                config.metadata_cas_required = cas_required;
            }
        };
        store.change_config(change).await?;
    }
    Ok(Response::empty())
}
