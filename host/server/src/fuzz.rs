//! What clients send, as functions of bytes, for fuzz targets. The rule: none may panic, whatever the bytes.

use bytes::Bytes;
use cofferdam_vault::core::{DecodeTokenRequest, GenerateRootRequest, InitRequest, RekeyRequest, ShareRequest, UnsealRequest};
use http::{HeaderMap, HeaderValue, Method, Uri};
use serde::de::DeserializeOwned;

use crate::{api, body, query, sys, wrapping};

/// A request's body, for every path.
pub fn request_body(bytes: &[u8]) {
    let taken = body::fields(bytes).is_ok();
    let bytes = Bytes::copy_from_slice(bytes);
    let read = [
        parse::<InitRequest>(&bytes),
        parse::<UnsealRequest>(&bytes),
        parse::<RekeyRequest>(&bytes),
        parse::<ShareRequest>(&bytes),
        parse::<GenerateRootRequest>(&bytes),
        parse::<DecodeTokenRequest>(&bytes),
    ];
    assert!(taken || !read.contains(&true), "a body that is no object was taken as one");
}

fn parse<T: DeserializeOwned + Default>(bytes: &Bytes) -> bool {
    sys::parse::<T>(bytes).is_ok()
}

/// A path and, behind a question mark, its query; with the method before a space, if there is one.
pub fn address(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (method, target) = text.split_once(' ').unwrap_or(("GET", &text));
    // What hyper would not take does not get here; what it takes is looked at as it is in the URI.
    let uri = target.parse::<Uri>().ok();
    let (path, query) = match &uri {
        Some(uri) => (uri.path(), uri.query()),
        None => target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query))),
    };
    let pairs = query::pairs(query);
    if let Ok(method) = Method::from_bytes(method.as_bytes()) {
        let _ = api::operation(&method, &pairs);
    }
    let fields = query::fields(pairs);
    assert!(serde_json::to_string(&fields).is_ok(), "the fields of a query are no JSON");
    if let Some(path) = query::path(path) {
        let _ = (sys::Endpoint::of(&path).is_some(), crate::shares::ByShares::of(&path));
    }
    if let Some(clean) = api::cleaned(path) {
        assert!(clean.starts_with("/v1/") && !clean.starts_with("/v1//"), "a client is sent to {clean:?}");
        let again = clean.strip_prefix("/v1/").and_then(api::cleaned);
        assert!(again.is_none(), "a client is sent from {clean:?} to {again:?}");
        let _ = api::redirect(&clean, query);
    }
}

/// The value of the headers that are looked at.
pub fn headers(bytes: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(bytes) else { return };
    for name in ["x-vault-token", "authorization", "x-vault-namespace", "content-type", "x-vault-wrap-ttl", "x-vault-wrap-format"] {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.clone());
        let _ = (api::token(&headers), api::check_namespace(&headers), api::check_patch_type(&headers), wrapping::ttl(&headers));
    }
}
