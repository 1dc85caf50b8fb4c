//! What the operator says of one server: a block `grant "http"`.

use std::path::PathBuf;

use http::Method;

use crate::authority::Scheme;
use cofferdam_connect::net::Cidr;

/// A server that a backend may send requests to, and what the host adds to them.
#[derive(Clone, Debug)]
pub struct Rule {
    /// How it is spoken to.
    pub scheme: Scheme,
    /// Its exact name in DNS, or an address; no wildcard. An address, and `localhost`, name themselves in the sense of `addresses`.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The ranges beyond the public internet that the name may resolve to. Addresses of metadata must be named alone.
    pub addresses: Vec<Cidr>,
    /// Headers that the host adds to every request.
    pub headers: Vec<AddedHeader>,
    /// A user and password that the host adds to every request.
    pub basic: Option<Basic>,
    /// The files (PEM) of certificate and key that the host shows the server; read anew when one changes.
    pub client_cert: Option<(PathBuf, PathBuf)>,
    /// The authorities to trust (PEM) in place of the system's; read anew when the file changes.
    pub ca_cert: Option<PathBuf>,
    /// The methods that may be used; without it GET, HEAD, POST, PUT, DELETE, PATCH and OPTIONS.
    pub methods: Option<Vec<Method>>,
    /// The paths that may be asked for, with what lies below them; if empty, all.
    pub path_prefixes: Vec<String>,
    /// Whether what the host adds may go in the clear to another machine.
    pub secrets_in_clear: bool,
}

impl Rule {
    /// A server to which nothing is added, on the public internet.
    pub fn new(scheme: Scheme, host: impl Into<String>, port: u16) -> Rule {
        Rule {
            scheme,
            host: host.into(),
            port,
            addresses: Vec::new(),
            headers: Vec::new(),
            basic: None,
            client_cert: None,
            ca_cert: None,
            methods: None,
            path_prefixes: Vec::new(),
            secrets_in_clear: false,
        }
    }
}

/// A header that the host adds.
#[derive(Clone, Debug)]
pub struct AddedHeader {
    /// Its name.
    pub name: String,
    /// What stands before the secret in its value, as in `Bearer `.
    pub prefix: String,
    /// Where the rest of its value is.
    pub source: Secret,
}

/// A user and password of HTTP's basic authentication.
#[derive(Clone, Debug)]
pub struct Basic {
    /// The user.
    pub username: String,
    /// The password.
    pub password: Secret,
}

/// Where a secret is. It is looked up for every request: a change counts at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Secret {
    /// In a file, without the line end that closes it.
    File(PathBuf),
    /// In a variable of this process's environment.
    Env(String),
}
