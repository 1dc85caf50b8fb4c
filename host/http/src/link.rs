//! Keep-alive connections of one rule. The rule: connections are shared by nobody else, and by no other identity: when a certificate, a key or an authority
//! is replaced, none that was made before is used for a new request.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::authority::{Authority, Scheme};
use crate::dial::{Dialer, Resolve};
use crate::error::GrantError;
use crate::metrics::Meter;
use crate::options::Options;
use crate::rule::Rule;
use crate::secret::Stamp;
use cofferdam_connect::net;
use cofferdam_connect::net::Cidr;

/// The most connections that wait.
const IDLE: usize = 64;
/// How often files are read that cannot be used, or bear no time by which a change would be seen.
const PAUSE: Duration = Duration::from_secs(1);
/// The most bytes of an answer's head.
const HEAD: usize = 64 << 10;

pub(crate) type Sender = Client<Dialer, Full<Bytes>>;

/// The way to one server, with the connections that were made on it.
pub(crate) struct Link {
    way: Way,
    current: Mutex<Current>,
}

/// What a connection is made by.
struct Way {
    rule: Rule,
    authority: Authority,
    named: Vec<Cidr>,
    resolver: Arc<dyn Resolve>,
    connect: Duration,
    idle: Duration,
    meter: Meter,
}

struct Current {
    sender: Sender,
    /// The files that it was made of; none if they may since have changed unseen.
    stamps: Option<Vec<Stamp>>,
    /// The files as they were when last read, of use or not, and when that was.
    seen: Vec<Option<Stamp>>,
    looked: Instant,
}

impl Link {
    pub(crate) fn new(
        rule: &Rule,
        authority: &Authority,
        named: Vec<Cidr>,
        resolver: Arc<dyn Resolve>,
        options: &Options,
        meter: &Meter,
    ) -> Result<Link, GrantError> {
        let (rule, authority, meter) = (rule.clone(), authority.clone(), meter.clone());
        let way = Way { rule, authority, named, resolver, connect: options.connect, idle: options.idle, meter };
        let seen = Stamp::seen(files(&way.rule));
        let stamps = settled(&seen);
        let current = Mutex::new(Current { sender: way.sender()?, stamps, seen, looked: Instant::now() });
        Ok(Link { way, current })
    }

    /// Whether bytes go unencrypted to another machine.
    pub(crate) fn is_in_clear(&self) -> bool {
        self.way.authority.scheme == Scheme::Http && !self.way.authority.host.is_loopback()
    }

    /// What to send with. If the files have changed and cannot be used, what they held before: certificate and key are never replaced at once. The
    /// error is then for the operator.
    pub(crate) fn sender(&self) -> (Sender, Option<GrantError>) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = Stamp::seen(files(&self.way.rule));
        // Before they are read: a change meanwhile is to be seen.
        let now = settled(&seen);
        if now.is_some() && now == current.stamps {
            return (current.sender.clone(), None);
        }
        // Files that cannot be used, or bear no time that tells them apart, are read again seldom: it takes a while, and others wait for it.
        if seen == current.seen && current.looked.elapsed() < PAUSE {
            return (current.sender.clone(), None);
        }
        (current.seen, current.looked) = (seen, Instant::now());
        let error = match self.way.sender() {
            Ok(sender) => {
                (current.sender, current.stamps) = (sender, now);
                None
            }
            Err(error) => Some(error),
        };
        (current.sender.clone(), error)
    }
}

impl Way {
    fn sender(&self) -> Result<Sender, GrantError> {
        let tls = (self.authority.scheme == Scheme::Https).then(|| config(&self.rule)).transpose()?;
        let (authority, named, resolver) = (self.authority.clone(), self.named.clone(), Arc::clone(&self.resolver));
        let dialer = Dialer::new(authority, named, resolver, tls, self.connect, self.meter.clone())
            .map_err(|_| GrantError::new("host", "a certificate cannot bear this name"))?;
        let mut builder = Client::builder(TokioExecutor::new());
        builder.pool_timer(TokioTimer::new()).pool_idle_timeout(self.idle).pool_max_idle_per_host(IDLE);
        Ok(builder.set_host(false).http1_max_buf_size(HEAD).build(dialer))
    }
}

/// Those of the files that a connection depends on.
fn files(rule: &Rule) -> impl Iterator<Item = &PathBuf> {
    let pair = rule.client_cert.as_ref().map(|(cert, key)| [cert, key]);
    pair.into_iter().flatten().chain(&rule.ca_cert)
}

/// The stamps, if all files are there and no change of theirs could go unseen.
fn settled(seen: &[Option<Stamp>]) -> Option<Vec<Stamp>> {
    seen.iter().map(|stamp| stamp.filter(Stamp::is_settled)).collect()
}

fn config(rule: &Rule) -> Result<Arc<ClientConfig>, GrantError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| GrantError::new("scheme", error))?;
    let builder = builder.with_root_certificates(net::roots(rule.ca_cert.as_deref()).map_err(|error| GrantError::new("ca_cert", error))?);
    let mut config = match &rule.client_cert {
        None => builder.with_no_client_auth(),
        Some((cert, key)) => {
            let of_cert = |cause: String| GrantError::new("client_cert.cert_file", format!("{}: {cause}", cert.display()));
            let chain = CertificateDer::pem_file_iter(cert).and_then(Iterator::collect::<Result<Vec<_>, _>>);
            let chain = chain.map_err(|error| of_cert(error.to_string()))?;
            if chain.is_empty() {
                return Err(of_cert("no certificate in PEM is in it".to_owned()));
            }
            let of_key = |cause: String| GrantError::new("client_cert.key_file", format!("{}: {cause}", key.display()));
            let private = PrivateKeyDer::from_pem_file(key).map_err(|error| of_key(error.to_string()))?;
            builder.with_client_auth_cert(chain, private).map_err(|error| of_key(error.to_string()))?
        }
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dial::System;

    #[test]
    fn a_missing_file_is_not_looked_for_at_every_request() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        std::fs::write(&path, rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap().cert.pem()).unwrap();
        let mut rule = Rule::new(Scheme::Https, "a.example", 443);
        rule.ca_cert = Some(path.clone());
        let authority = Authority { scheme: Scheme::Https, host: crate::authority::Host::Name("a.example".to_owned()), port: 443 };
        let resolver = Arc::new(System::default()) as Arc<dyn Resolve>;
        let link = Link::new(&rule, &authority, Vec::new(), resolver, &Options::default(), &Meter::new("test")).unwrap();
        std::fs::remove_file(&path).unwrap();
        let begun = Instant::now();
        assert!(link.sender().1.is_some(), "the operator learns of it at once");
        let errors = (0..1000).filter(|_| link.sender().1.is_some()).count();
        assert!(errors as u64 <= begun.elapsed().as_secs(), "{errors} in {:?}", begun.elapsed());
        // What comes back is used at once.
        std::fs::write(&path, "no certificate").unwrap();
        assert!(link.sender().1.is_some());
    }
}
