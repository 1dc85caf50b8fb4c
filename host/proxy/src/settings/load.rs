//! From what was set to [`Settings`]. The rule: reading goes on after a mistake, so that one start tells them all.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use cofferdam_connect::Address;
use cofferdam_credentials::CallerEndpoint;
use zeroize::Zeroizing;

use super::lookup::{By, Given, Lookup};
use super::{Arguments, AwsLogin, Cache, Environment, Listen, Login, Mode, Own, Settings, SettingsError, file, parse, secrets};

const GRACE: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(60);
const RETRIES: u32 = 2;
const FILE_MODE: u32 = 0o600;
const CACHE_SIZE: u64 = 8 << 20;
const LISTEN: &str = "127.0.0.1:8200";

/// Where AWS's SDK in Go, unless told otherwise, takes the global STS.
const GLOBAL: [&str; 16] = [
    "ap-northeast-1",
    "ap-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "aws-global",
    "ca-central-1",
    "eu-central-1",
    "eu-north-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
];

/// Variables of Vault's clients that have no effect here.
const WITHOUT_EFFECT: [&str; 6] =
    ["VAULT_AGENT_ADDR", "VAULT_CACERT_BYTES", "VAULT_HTTP_PROXY", "VAULT_PROXY_ADDR", "VAULT_SRV_LOOKUP", "VAULT_WRAP_TTL"];

impl Settings {
    /// From flags, environment and the file that either names.
    pub fn load(arguments: &Arguments, environment: &Environment) -> Result<Settings, SettingsError> {
        let mut mistakes = Vec::new();
        let path = arguments.config.clone().or_else(|| environment.variable("COFFER_PROXY_CONFIG").map(PathBuf::from));
        let file = path.and_then(|path| file::read(&path, &mut mistakes));
        let mut lookup = Lookup { arguments, environment, file, mistakes };
        let settings = read(&mut lookup);
        match settings {
            Some(settings) if lookup.mistakes.is_empty() => Ok(settings),
            _ => Err(SettingsError::new(lookup.mistakes)),
        }
    }
}

fn read(lookup: &mut Lookup<'_>) -> Option<Settings> {
    let mut warnings: Vec<String> = WITHOUT_EFFECT
        .iter()
        .filter_map(|name| lookup.variable(name))
        .map(|given| format!("{} has no effect on the proxy", given.name))
        .collect();
    let mode = lookup.read("run_mode", parse::mode).unwrap_or_default();
    let listen = lookup.given("listen").unwrap_or_else(|| Given { text: LISTEN.to_owned(), name: "the default".to_owned(), by: By::Flag });
    let listen = lookup.parsed(&listen, parse::listen);
    if let Some(Listen::Tcp(address)) = listen
        && mode.serves()
        && !address.ip().is_loopback()
    {
        warnings.push(format!("whoever reaches {address} acts with the proxy's token: nobody has to log in there"));
    }
    let login = login(lookup, &mut warnings);
    let address = address(lookup, listen.as_ref().filter(|_| mode.serves()));
    let tls = tls(lookup);
    if tls.skip_verify {
        warnings.push("the server's certificate is not checked: anybody could be the server".to_owned());
    }
    let secrets = secrets::read(lookup, &mut warnings);
    let watch = lookup.read("watch", parse::watch).flatten();
    if watch.is_some() && (secrets.is_empty() || !mode.writes_files()) {
        warnings.push("the files of secrets are to be kept fresh, and none is written".to_owned());
    }
    let timeout = lookup.read("client_timeout", parse::seconds).filter(|timeout| !timeout.is_zero()).unwrap_or(TIMEOUT);
    let own = Own {
        namespace: lookup.text("namespace").map(|path| path.trim_matches('/').to_owned()).filter(|path| !path.is_empty()),
        timeout,
        retries: lookup.read("max_retries", parse::number).unwrap_or(RETRIES),
        rate: lookup.read("rate_limit", parse::rate),
    };
    let grace = lookup.read("token_expiry_grace_period", parse::go_duration).unwrap_or(GRACE);
    let secret_file_mode = lookup.read("secret_file_mode", parse::file_mode).unwrap_or(FILE_MODE);
    let cache = cache(lookup, &mut warnings);
    let lambda = lookup.environment.variable("AWS_LAMBDA_RUNTIME_API").map(str::to_owned);
    let log_level = lookup.read("log_level", parse::level).unwrap_or_default();
    let log_format = lookup.read("log_format", parse::format).unwrap_or_default();
    let ((mount, login), listen, address) = (login?, listen?, address?);
    Some(Settings {
        address,
        tls,
        own,
        mount,
        login,
        grace,
        mode,
        secrets,
        secret_file_mode,
        watch,
        listen,
        cache,
        lambda,
        log_level,
        log_format,
        warnings,
    })
}

/// The server. That it is set at all is looked at with the login's settings.
fn address(lookup: &mut Lookup<'_>, listen: Option<&Listen>) -> Option<Address> {
    let given = lookup.given("address")?;
    let address = lookup.parsed(&given, Address::parse)?;
    let port = address.authority().rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    let is_local = address.host() == "localhost" || address.host().parse::<IpAddr>().is_ok_and(|host| host.is_loopback());
    let is_own = matches!(listen, Some(Listen::Tcp(own)) if Some(own.port()) == port && is_local && own.ip().is_loopback());
    if is_own {
        lookup.mistakes.push(format!("{}: this is where the proxy itself listens: set VLE_VAULT_ADDR to the server's address", given.name));
        return None;
    }
    Some(address)
}

fn login(lookup: &mut Lookup<'_>, warnings: &mut Vec<String>) -> Option<(String, Login)> {
    let method = lookup.given("auth_method");
    let (mount, provider) = (lookup.read("auth_provider", parse::mount), lookup.given("auth_provider"));
    let addressed = lookup.given("address").is_some();
    let address_missing = "no address of the server is set: set VLE_VAULT_ADDR or VAULT_ADDR";
    match method.as_ref().map_or("aws", |method| method.text.as_str()) {
        "aws" => aws(lookup, mount, provider.is_some(), addressed),
        "approle" => {
            let (role_id, secret_id_file) = (lookup.text("role_id"), lookup.path("secret_id_file"));
            if role_id.is_none() {
                lookup.mistakes.push("the login by approle needs a role id: set --role-id or COFFER_PROXY_ROLE_ID".to_owned());
            }
            if !addressed {
                lookup.mistakes.push(address_missing.to_owned());
            }
            let mount = if provider.is_some() { mount? } else { "approle".to_owned() };
            Some((mount, Login::AppRole { role_id: Zeroizing::new(role_id?), secret_id_file }))
        }
        "token" => {
            if !addressed {
                lookup.mistakes.push(address_missing.to_owned());
            }
            let token = lookup.environment.get("TOKEN").map(|(name, token)| (name, Zeroizing::new(token.to_owned())));
            let login = match (lookup.given("token_file"), token) {
                (Some(file), token) => {
                    warnings.extend(token.map(|(name, _)| format!("{name} has no effect: {} is set", file.name)));
                    Login::TokenFile(PathBuf::from(file.text))
                }
                (None, Some((_, token))) => Login::Token(token),
                (None, None) => {
                    lookup
                        .mistakes
                        .push("the login by token needs one: set --token-file, COFFER_PROXY_TOKEN_FILE or VAULT_TOKEN".to_owned());
                    return None;
                }
            };
            Some(("token".to_owned(), login))
        }
        other => {
            let name = method.as_ref().map_or("", |method| method.name.as_str());
            lookup.mistakes.push(format!("{name}: expected aws, approle or token, found {other:?}"));
            None
        }
    }
}

fn aws(lookup: &mut Lookup<'_>, mount: Option<String>, mounted: bool, addressed: bool) -> Option<(String, Login)> {
    let role = lookup.text("auth_role");
    let missing = [(addressed, "the address"), (mounted, "the auth provider"), (role.is_some(), "the role")];
    let missing: Vec<&str> = missing.into_iter().filter(|(there, _)| !there).map(|(_, what)| what).collect();
    if !missing.is_empty() {
        let which = missing.join(" and ");
        let needed = "VLE_VAULT_ADDR or VAULT_ADDR, VAULT_AUTH_PROVIDER and VAULT_AUTH_ROLE must be set";
        lookup.mistakes.push(format!("missing {which}: {needed} (or --address, --auth-provider and --auth-role)"));
    }
    let sts = sts(lookup);
    let login =
        AwsLogin { role: role?, server_id: lookup.text("iam_server_id"), assumed_role_arn: lookup.text("assumed_role_arn"), sts: sts? };
    Some((mount?, Login::Aws(login)))
}

/// For which STS the login is signed.
fn sts(lookup: &mut Lookup<'_>) -> Option<CallerEndpoint> {
    let own = lookup.environment.variable("AWS_REGION").or_else(|| lookup.environment.variable("AWS_DEFAULT_REGION")).map(str::to_owned);
    let chosen = lookup.given("sts_endpoint_region");
    if let Some(endpoint) = lookup.given("sts_endpoint") {
        let region = chosen.map(|given| given.text).or(own).unwrap_or_else(|| "us-east-1".to_owned());
        return lookup.parsed(&endpoint, |url| CallerEndpoint::custom(url, &region));
    }
    let kind = |text: &str| match text.to_ascii_lowercase().as_str() {
        "regional" => Ok(true),
        "legacy" => Ok(false),
        _ => Err(format!("expected regional or legacy, found {text:?}")),
    };
    let regional = lookup.given("sts_regional_endpoints");
    let is_regional = match &regional {
        Some(given) => lookup.parsed(given, kind)?,
        None => false,
    };
    match (chosen, own) {
        (Some(region), _) => lookup.parsed(&region, CallerEndpoint::regional),
        (None, Some(region)) if is_regional || !GLOBAL.contains(&region.as_str()) => {
            let region = Given { text: region, name: "AWS_REGION".to_owned(), by: By::Variable };
            lookup.parsed(&region, CallerEndpoint::regional)
        }
        (None, None) if is_regional => {
            let name = regional.map(|given| given.name).unwrap_or_default();
            lookup.mistakes.push(format!("{name} is regional, and no region is set: set AWS_REGION or VAULT_STS_ENDPOINT_REGION"));
            None
        }
        (None, _) => Some(CallerEndpoint::global()),
    }
}

fn tls(lookup: &mut Lookup<'_>) -> cofferdam_connect::Settings {
    // What is in the files is looked at when connections are made ready, by their paths; that a variable or a flag names one is told with all else.
    for key in ["ca_cert", "ca_path", "client_cert", "client_key"] {
        if let Some(given) = lookup.given(key).filter(|given| given.by != By::File) {
            let there = |path: &str| std::fs::metadata(path).map(|_| ()).map_err(|error| format!("{path} cannot be read: {error}"));
            lookup.parsed(&given, there);
        }
    }
    let (client_cert, client_key) = (lookup.path("client_cert"), lookup.path("client_key"));
    if client_cert.is_some() != client_key.is_some() {
        lookup.mistakes.push("of VAULT_CLIENT_CERT and VAULT_CLIENT_KEY, both are needed or neither".to_owned());
    }
    cofferdam_connect::Settings {
        ca_cert: lookup.path("ca_cert"),
        ca_path: lookup.path("ca_path"),
        client_cert,
        client_key,
        server_name: lookup.text("tls_server_name"),
        skip_verify: lookup.read("tls_skip_verify", parse::switch).unwrap_or(false),
    }
}

fn cache(lookup: &mut Lookup<'_>, warnings: &mut Vec<String>) -> Option<Cache> {
    let enabled = enabled(lookup);
    let size = lookup.read("cache_size", parse::size).unwrap_or(CACHE_SIZE);
    let ttl = match lookup.given("cache_ttl") {
        // A variable that is of no use is as none: so the extension takes it.
        Some(given) if given.by == By::Variable => match parse::go_duration(&given.text) {
            Ok(ttl) => Some(ttl),
            Err(message) => {
                warnings.push(format!("{}: {message}: nothing is cached", given.name));
                None
            }
        },
        Some(given) => lookup.parsed(&given, parse::go_duration),
        None => {
            if enabled {
                warnings.push("nothing is cached: the cache has no time to live (VAULT_DEFAULT_CACHE_TTL, --cache-ttl)".to_owned());
            }
            None
        }
    };
    ttl.filter(|ttl| !ttl.is_zero()).map(|ttl| Cache { ttl, enabled, size })
}

/// The switch, whose variable has two spellings.
fn enabled(lookup: &mut Lookup<'_>) -> bool {
    let enabled = lookup.read("cache_enabled", parse::switch);
    let spellings = ["VAULT_DEFAULT_CACHE_ENABLED", "VAULT_DEFAULT_CACHE_ENABLE"].map(|name| lookup.variable(name));
    if let [Some(first), Some(second)] = spellings
        && let (Ok(one), Ok(other)) = (parse::switch(&first.text), parse::switch(&second.text))
        && one != other
    {
        lookup.mistakes.push(format!("{} and {} say different things: unset one", first.name, second.name));
    }
    enabled.unwrap_or(false)
}

impl Mode {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Default => "default",
            Mode::File => "file",
            Mode::Proxy => "proxy",
        }
    }
}
