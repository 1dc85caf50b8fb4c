//! Scripts of requests. A line is `METHOD URI [option …]`; the answers are returned one after the other, each as `status`, its headers as `name: value`, an
//! empty line, and the body. Options:
//!
//! - `header=name:value`; `fields=N` for N bytes of further fields;
//! - `body=text`, `size=N` for a body of N bytes; `length=N` names N as its length;
//! - `trailers` ends the body with one;
//! - `drop` drops the body without an end, `leave` keeps it open and returns, `trap` traps in its middle, `spin` computes for ever;
//! - `detached` does not wait for the answer; `times=N` sends N times before it waits for the first answer; `unread` keeps the answers unread;
//! - `patience=N` wants the first byte within N milliseconds;
//! - `lenient` makes an error a part of the answers.

use std::cell::RefCell;

use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{
    ErrorCode, Fields, FutureIncomingResponse, IncomingResponse, Method, OutgoingBody, OutgoingRequest, RequestOptions, Scheme,
};
use wasip2::io::streams::{OutputStream, StreamError};

use crate::Error;

/// A request that was begun: its body and stream, if they are kept, and the answer to come.
type Unfinished = (Option<OutgoingBody>, Option<OutputStream>, FutureIncomingResponse);

thread_local! {
    /// What stays behind when a call ends.
    static LEFT: RefCell<Vec<Unfinished>> = const { RefCell::new(Vec::new()) };
    static UNREAD: RefCell<Vec<IncomingResponse>> = const { RefCell::new(Vec::new()) };
}

pub(crate) fn run(script: &str) -> Result<Vec<u8>, Error> {
    let mut told = Vec::new();
    for line in script.lines() {
        let options: Vec<&str> = line.split(' ').collect();
        let lenient = options.contains(&"lenient");
        match send(&options) {
            Ok(answer) => told.extend(answer),
            Err(code) if lenient => told.extend(format!("{code:?}\n").into_bytes()),
            Err(code @ ErrorCode::HttpRequestDenied) => return Err(Error::Denied(format!("{code:?}"))),
            Err(code) => return Err(Error::Unavailable(format!("{code:?}"))),
        }
    }
    Ok(told)
}

fn value<'a>(options: &[&'a str], name: &str) -> Option<&'a str> {
    options.iter().find_map(|option| option.strip_prefix(name)?.strip_prefix('='))
}

fn number(options: &[&str], name: &str) -> Option<usize> {
    value(options, name).map(|value| value.parse().unwrap())
}

fn send(options: &[&str]) -> Result<Vec<u8>, ErrorCode> {
    let mut waiting = Vec::new();
    for _ in 0..number(options, "times").unwrap_or(1) {
        waiting.push(begin(options)?);
    }
    if options.contains(&"detached") || options.contains(&"leave") {
        LEFT.with_borrow_mut(|left| left.extend(waiting));
        return Ok(b"left\n".to_vec());
    }
    let mut told = Vec::new();
    for (body, stream, answer) in waiting {
        drop((stream, body));
        answer.subscribe().block();
        let answer = answer.get().unwrap().unwrap()?;
        if options.contains(&"unread") {
            told.extend(format!("{}\n", answer.status()).into_bytes());
            UNREAD.with_borrow_mut(|unread| unread.push(answer));
        } else {
            told.extend(read(&answer)?);
        }
    }
    Ok(told)
}

/// A request under way, with its body and the stream into it where these are open.
fn begin(options: &[&str]) -> Result<Unfinished, ErrorCode> {
    let fields = Fields::new();
    for header in options.iter().filter_map(|option| option.strip_prefix("header=")) {
        let (name, value) = header.split_once(':').unwrap();
        fields.append(name, value.as_bytes()).map_err(|error| ErrorCode::InternalError(Some(format!("{name}: {error:?}"))))?;
    }
    if let Some(length) = value(options, "length") {
        fields.append("content-length", length.as_bytes()).unwrap();
    }
    for at in 0..number(options, "fields").unwrap_or(0) / 100 {
        fields.append(&format!("x-{at}"), &[b'x'; 100]).unwrap();
    }
    let request = OutgoingRequest::new(fields);
    let (scheme, rest) = options[1].split_once("://").unwrap();
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let unfit = |what: &str| ErrorCode::InternalError(Some(format!("{what} cannot be set")));
    request.set_method(&Method::Other(options[0].to_owned())).map_err(|()| unfit("method"))?;
    let scheme = match scheme {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        other => Scheme::Other(other.to_owned()),
    };
    request.set_scheme(Some(&scheme)).map_err(|()| unfit("scheme"))?;
    request.set_authority(Some(authority)).map_err(|()| unfit("authority"))?;
    request.set_path_with_query(Some(path)).map_err(|()| unfit("path"))?;
    let patience = number(options, "patience").map(|milliseconds| {
        let wanted = RequestOptions::new();
        wanted.set_first_byte_timeout(Some(milliseconds as u64 * 1_000_000)).unwrap();
        wanted
    });
    let content = match number(options, "size") {
        Some(size) => vec![b'b'; size],
        None => value(options, "body").unwrap_or_default().as_bytes().to_vec(),
    };
    let body = request.body().unwrap();
    let answer = handle(request, patience)?;
    let stream = body.write().unwrap();
    for piece in content.chunks(4096) {
        match stream.blocking_write_and_flush(piece) {
            Ok(()) => {}
            // The host has given up on the request; the answer says why.
            Err(StreamError::Closed) => break,
            Err(StreamError::LastOperationFailed(_)) => break,
        }
    }
    if options.contains(&"trap") {
        std::process::abort();
    }
    while options.contains(&"spin") {
        std::hint::black_box(0);
    }
    if options.contains(&"leave") {
        return Ok((Some(body), Some(stream), answer));
    }
    drop(stream);
    if options.contains(&"drop") {
        drop(body);
        return Ok((None, None, answer));
    }
    let trailers = options.contains(&"trailers").then(|| Fields::from_list(&[("x-end".to_owned(), b"1".to_vec())]).unwrap());
    OutgoingBody::finish(body, trailers)?;
    Ok((None, None, answer))
}

fn read(answer: &IncomingResponse) -> Result<Vec<u8>, ErrorCode> {
    let mut told = format!("{}\n", answer.status()).into_bytes();
    for (name, value) in answer.headers().entries() {
        told.extend([name.as_bytes(), b": ", &value, b"\n"].concat());
    }
    told.push(b'\n');
    let body = answer.consume().unwrap();
    let stream = body.stream().unwrap();
    loop {
        match stream.blocking_read(64 << 10) {
            Ok(bytes) => told.extend(bytes),
            Err(StreamError::Closed) => return Ok(told),
            Err(StreamError::LastOperationFailed(error)) => {
                return Err(ErrorCode::InternalError(Some(error.to_debug_string())));
            }
        }
    }
}
