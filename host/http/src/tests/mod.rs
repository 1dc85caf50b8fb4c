//! The grant against servers on loopback that do as they are told, with a resolver that says what it is told.

mod caps;
mod metrics;
mod secrets;
mod server;
mod tls;
mod way;

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cofferdam_runtime::{Http, HttpCall, HttpError, Purpose, Room};
use http::{Request, Response};

use self::server::{Reply, Server};
use crate::dial::Resolve;
use crate::{AddedHeader, Basic, GrantError, HttpGrant, Options, Rule, Scheme, Secret};

/// Long enough for a machine that is busy with other things.
const LONG: Duration = Duration::from_secs(60);

fn options() -> Options {
    Options { connect: LONG, time: LONG, ..Options::default() }
}

fn call() -> HttpCall {
    HttpCall::new(Purpose::Read, LONG)
}

/// The rule of a server on loopback.
fn rule(server: &Server) -> Rule {
    Rule::new(Scheme::Http, "127.0.0.1", server.address.port())
}

fn grant(rule: Rule) -> Arc<HttpGrant> {
    HttpGrant::new("tested", vec![rule], options()).unwrap()
}

fn get(uri: &str) -> Request<Bytes> {
    Request::get(uri).body(Bytes::new()).unwrap()
}

async fn send(grant: &HttpGrant, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    grant.send(&call(), request).await
}

fn refused(result: Result<Response<Bytes>, HttpError>) -> String {
    match result {
        Err(HttpError::Refused(text)) => text,
        other => panic!("a refusal was expected, not {other:?}"),
    }
}

/// A resolver with the answers of a test, which may differ from one question to the next: the last stands.
#[derive(Default)]
struct Names {
    known: Mutex<HashMap<String, Vec<Vec<IpAddr>>>>,
    asked: AtomicUsize,
}

impl Names {
    fn with(self, name: &str, answers: &[&[&str]]) -> Names {
        let of = |texts: &&[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        self.known.lock().unwrap().insert(name.to_owned(), answers.iter().map(of).collect());
        self
    }

    fn grant(self: &Arc<Self>, rule: Rule) -> Arc<HttpGrant> {
        HttpGrant::with_resolver("tested", &[rule], options(), &(Arc::clone(self) as Arc<dyn Resolve>)).unwrap()
    }
}

#[async_trait]
impl Resolve for Names {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mut known = self.known.lock().unwrap();
        let answers = known.get_mut(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(if answers.len() > 1 { answers.remove(0) } else { answers.first().cloned().unwrap_or_default() })
    }
}
