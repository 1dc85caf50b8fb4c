//! A seal backend whose key service is an HTTP server: it sends what it is to wrap to `/wrap` and what it is to unwrap to `/unwrap` of
//! `http://keys.test`, and returns the answer. What it handles is in its addresses as well, and in the text of its errors: nothing of that may be kept.

use cofferdam::backend::types::{Error, Setting};
use exports::cofferdam::backend::seal::{Descriptor, Guest, Wrapped};
use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{ErrorCode, Fields, Method, OutgoingBody, OutgoingRequest, Scheme};
use wasip2::io::streams::StreamError;

wit_bindgen::generate!({ path: "../../../wit", world: "seal-backend" });

struct SealingHttp;

export!(SealingHttp);

fn ask(path: &str, content: &[u8]) -> Result<Vec<u8>, Error> {
    exchange(path, content).map_err(|code| Error::Unavailable(format!("{code:?} for {content:?}")))
}

fn exchange(path: &str, content: &[u8]) -> Result<Vec<u8>, ErrorCode> {
    let request = OutgoingRequest::new(Fields::new());
    request.set_method(&Method::Post).unwrap();
    request.set_scheme(Some(&Scheme::Http)).unwrap();
    request.set_authority(Some("keys.test")).unwrap();
    let written: String = content.iter().map(|byte| format!("{byte:02x}")).collect();
    request.set_path_with_query(Some(&format!("{path}?{written}"))).unwrap();
    let body = request.body().unwrap();
    let answer = handle(request, None)?;
    let stream = body.write().unwrap();
    let _ = stream.blocking_write_and_flush(content);
    drop(stream);
    OutgoingBody::finish(body, None)?;
    answer.subscribe().block();
    let answer = answer.get().unwrap().unwrap()?;
    let body = answer.consume().unwrap();
    let stream = body.stream().unwrap();
    let mut bytes = Vec::new();
    loop {
        match stream.blocking_read(4096) {
            Ok(more) => bytes.extend(more),
            Err(StreamError::Closed) => return Ok(bytes),
            Err(StreamError::LastOperationFailed(error)) => return Err(ErrorCode::InternalError(Some(error.to_debug_string()))),
        }
    }
}

impl Guest for SealingHttp {
    fn open(_: Vec<Setting>) -> Result<Descriptor, Error> {
        Ok(Descriptor { name: "sealing-http".to_owned(), version: "0.1.0".to_owned(), key_id: "key-1".to_owned() })
    }

    fn attach(_: Vec<Setting>, _: Descriptor) -> Result<(), Error> {
        Ok(())
    }

    fn wrap(dek: Vec<u8>) -> Result<Wrapped, Error> {
        Ok(Wrapped { blob: ask("/wrap", &dek)?, key_id: "key-1".to_owned() })
    }

    fn unwrap(wrapped: Wrapped) -> Result<Vec<u8>, Error> {
        ask("/unwrap", &wrapped.blob)
    }

    fn key_id() -> Result<String, Error> {
        Ok("key-1".to_owned())
    }

    fn health() -> Result<(), Error> {
        ask("/health", b"").map(drop)
    }
}
