use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

const NEEDED: [(&str, &str); 3] =
    [("VAULT_ADDR", "https://vault.example.com:8200"), ("VAULT_AUTH_PROVIDER", "aws"), ("VAULT_AUTH_ROLE", "app")];

fn environment(variables: &[(&str, &str)]) -> Environment {
    variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn with(more: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    Settings::load(&Arguments::default(), &environment(&[NEEDED.as_slice(), more].concat()))
}

fn good(more: &[(&str, &str)]) -> Settings {
    with(more).unwrap_or_else(|error| panic!("{error}"))
}

/// The one mistake.
fn wrong(more: &[(&str, &str)]) -> String {
    let error = with(more).unwrap_err();
    assert_eq!(error.mistakes().len(), 1, "{error}");
    error.to_string()
}

fn aws(settings: &Settings) -> &AwsLogin {
    match &settings.login {
        Login::Aws(login) => login,
        other => panic!("{other:?}"),
    }
}

#[test]
fn three_variables_are_enough() {
    let settings = good(&[]);
    assert_eq!(settings.address.url(), "https://vault.example.com:8200");
    assert_eq!((settings.mount.as_str(), aws(&settings).role.as_str()), ("aws", "app"));
    assert_eq!(aws(&settings).sts, CallerEndpoint::global());
    assert_eq!((settings.grace, settings.mode), (Duration::from_secs(10), Mode::Default));
    assert_eq!((settings.own.timeout, settings.own.retries, settings.own.rate), (Duration::from_secs(60), 2, None));
    assert_eq!(settings.listen, Listen::Tcp("127.0.0.1:8200".parse().unwrap()));
    assert!(settings.cache.is_none() && settings.secrets.is_empty() && settings.lambda.is_none() && settings.watch.is_none());
    assert_eq!((settings.secret_file_mode, settings.log_level, settings.warnings.len()), (0o600, LogLevel::Info, 0));
}

#[test]
fn every_variable_has_its_meaning() {
    let settings = good(&[
        ("VLE_VAULT_ADDR", " http://10.0.0.1:8200 "),
        ("VAULT_IAM_SERVER_ID", "vault.example.com"),
        ("VAULT_ASSUMED_ROLE_ARN", "arn:aws:iam::1:role/x"),
        ("VAULT_TOKEN_EXPIRY_GRACE_PERIOD", "1m"),
        ("VAULT_CACERT", "/etc/hosts"),
        ("VAULT_CAPATH", "/etc"),
        ("VAULT_CLIENT_CERT", "/etc/passwd"),
        ("VAULT_CLIENT_KEY", "/etc/group"),
        ("VAULT_CLIENT_TIMEOUT", "5s"),
        ("VAULT_MAX_RETRIES", "0"),
        ("VAULT_SKIP_VERIFY", "true"),
        ("VAULT_TLS_SERVER_NAME", "name"),
        ("VAULT_RATE_LIMIT", "10"),
        ("VAULT_NAMESPACE", "education/"),
        ("VAULT_DEFAULT_CACHE_TTL", "1h2m3s"),
        ("VAULT_DEFAULT_CACHE_ENABLE", "true"),
        ("VAULT_RUN_MODE", "proxy"),
        ("VAULT_LOG_LEVEL", "DEBUG"),
        ("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001"),
        ("VAULT_SECRET_PATH", "secret/data/app"),
    ]);
    assert_eq!(settings.address.url(), "http://10.0.0.1:8200");
    assert_eq!(
        (aws(&settings).server_id.as_deref(), aws(&settings).assumed_role_arn.as_deref()),
        (Some("vault.example.com"), Some("arn:aws:iam::1:role/x"))
    );
    let tls = &settings.tls;
    let paths = [&tls.ca_cert, &tls.ca_path, &tls.client_cert, &tls.client_key].map(|path| path.as_deref().and_then(Path::to_str));
    assert_eq!(paths, ["/etc/hosts", "/etc", "/etc/passwd", "/etc/group"].map(Some));
    assert!(tls.skip_verify && tls.server_name.as_deref() == Some("name"));
    let own = &settings.own;
    assert_eq!(
        (own.timeout, own.retries, own.rate, own.namespace.as_deref()),
        (Duration::from_secs(5), 0, Some((10.0, 10)), Some("education"))
    );
    assert_eq!(settings.cache.map(|cache| (cache.ttl, cache.enabled)), Some((Duration::from_secs(3723), true)));
    assert_eq!((settings.mode, settings.log_level, settings.grace), (Mode::Proxy, LogLevel::Debug, Duration::from_secs(60)));
    assert_eq!(settings.lambda.as_deref(), Some("127.0.0.1:9001"));
    assert_eq!(
        settings.secrets.first().map(|secret| (secret.path.as_str(), secret.file.to_str())),
        Some(("secret/data/app", Some("/tmp/vault/secret.json")))
    );
}

#[test]
fn what_is_missing_is_told_with_all_four_names() {
    let error =
        Settings::load(&Arguments::default(), &environment(&[("VAULT_ADDR", " "), ("VAULT_AUTH_ROLE", "app")])).unwrap_err().to_string();
    for name in ["missing the address and the auth provider", "VLE_VAULT_ADDR", "VAULT_ADDR", "VAULT_AUTH_PROVIDER", "VAULT_AUTH_ROLE"] {
        assert!(error.contains(name), "{error}");
    }
}

#[test]
fn all_mistakes_are_told_at_once_by_the_names_of_their_variables() {
    let all = [
        ("VAULT_TOKEN_EXPIRY_GRACE_PERIOD", "10"),
        ("VAULT_CLIENT_TIMEOUT", "soon"),
        ("VAULT_MAX_RETRIES", "-1"),
        ("VAULT_SKIP_VERIFY", "maybe"),
        ("VAULT_RATE_LIMIT", "0"),
        ("VAULT_DEFAULT_CACHE_ENABLED", "yes"),
        ("VAULT_RUN_MODE", "both"),
        ("VAULT_LOG_LEVEL", "loud"),
        ("COFFER_PROXY_WATCH", "999ms"),
        ("AWS_STS_REGIONAL_ENDPOINTS", "global"),
        ("VAULT_CLIENT_CERT", "/etc/passwd"),
        ("VAULT_CACERT", "/nonexistent"),
        ("VLE_VAULT_ADDR", "vault.example.com"),
        ("VAULT_SECRET_PATH_", "x"),
        ("VAULT_SECRET_PATH_A", "x"),
        ("VAULT_SECRET_FILE_B", "/x"),
    ];
    let error = with(&all).unwrap_err();
    assert_eq!(error.mistakes().len(), all.len(), "{error}");
    for (name, _) in all {
        assert!(error.mistakes().iter().any(|mistake| mistake.contains(&format!("{name}: ")) || mistake.contains(name)), "{name} {error}");
    }
    assert!(wrong(&[("VAULT_STS_ENDPOINT_REGION", "EU WEST")]).starts_with("VAULT_STS_ENDPOINT_REGION: "));
    assert!(wrong(&[("VLE_VAULT_ADDR", "http://localhost:8200")]).contains("where the proxy itself listens"));
    assert!(wrong(&[("BAO_MAX_RETRIES", "x"), ("VAULT_MAX_RETRIES", "1")]).starts_with("BAO_MAX_RETRIES: "));
}

#[test]
fn files_are_read_every_second_at_most() {
    fn by(interval: &str) -> [(&'static str, &str); 2] {
        [("VAULT_SECRET_PATH", "kv/a"), ("COFFER_PROXY_WATCH", interval)]
    }
    for (interval, watch) in [("true", Some(0)), ("false", None), ("1s", Some(1)), ("1m", Some(60))] {
        assert_eq!(good(&by(interval)).watch, watch.map(Duration::from_secs), "{interval}");
    }
    for interval in ["0s", "1ns", "999ms", "-1m", "60"] {
        let error = wrong(&by(interval));
        assert!(error.starts_with("COFFER_PROXY_WATCH: expected true, false or a duration of 1s or more"), "{error}");
    }
}

#[test]
fn a_log_can_be_turned_off() {
    for (text, level) in [("off", LogLevel::Off), ("OFF", LogLevel::Off), ("err", LogLevel::Error)] {
        assert_eq!(good(&[("VAULT_LOG_LEVEL", text)]).log_level, level, "{text}");
    }
}

#[test]
fn the_cache_needs_a_ttl_and_has_two_spellings_of_its_switch() {
    for (ttl, cached) in [("", false), ("15", false), ("-1m", false), ("soon", false), ("0s", false), ("15m", true)] {
        let settings = good(&[("VAULT_DEFAULT_CACHE_TTL", ttl), ("VAULT_DEFAULT_CACHE_ENABLED", "true")]);
        assert_eq!(settings.cache.is_some(), cached, "{ttl}");
        assert_eq!(settings.warnings.is_empty(), cached || ttl == "0s", "{ttl} {:?}", settings.warnings);
    }
    let ttl = ("VAULT_DEFAULT_CACHE_TTL", "1m");
    assert!(!good(&[ttl]).cache.unwrap().enabled);
    assert!(good(&[ttl, ("VAULT_DEFAULT_CACHE_ENABLED", "1")]).cache.unwrap().enabled);
    let both = wrong(&[ttl, ("VAULT_DEFAULT_CACHE_ENABLED", "true"), ("VAULT_DEFAULT_CACHE_ENABLE", "false")]);
    assert!(both.contains("VAULT_DEFAULT_CACHE_ENABLED and VAULT_DEFAULT_CACHE_ENABLE"), "{both}");
}

#[test]
fn the_sts_is_the_one_that_go_would_take() {
    for (variables, url, region) in [
        (&[][..], "https://sts.amazonaws.com/", "us-east-1"),
        (&[("AWS_REGION", "eu-west-1")], "https://sts.amazonaws.com/", "us-east-1"),
        (&[("AWS_REGION", "eu-south-1")], "https://sts.eu-south-1.amazonaws.com/", "eu-south-1"),
        (&[("AWS_REGION", "eu-west-1"), ("AWS_STS_REGIONAL_ENDPOINTS", "regional")], "https://sts.eu-west-1.amazonaws.com/", "eu-west-1"),
        (&[("AWS_REGION", "eu-west-1"), ("VAULT_STS_ENDPOINT_REGION", "us-east-1")], "https://sts.us-east-1.amazonaws.com/", "us-east-1"),
        (&[("AWS_REGION", "cn-north-1")], "https://sts.cn-north-1.amazonaws.com.cn/", "cn-north-1"),
        (&[("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:5000")], "http://127.0.0.1:5000/", "us-east-1"),
    ] {
        let settings = good(variables);
        assert_eq!((aws(&settings).sts.url(), aws(&settings).sts.region()), (url, region), "{variables:?}");
    }
    assert!(wrong(&[("AWS_STS_REGIONAL_ENDPOINTS", "regional")]).contains("set AWS_REGION"));
}

#[test]
fn secrets_are_pairs_and_no_two_have_one_file() {
    let settings = good(&[
        ("VAULT_SECRET_PATH", "/kv/a"),
        ("VAULT_SECRET_FILE", "sub/../one.json"),
        ("VAULT_SECRET_PATH_FOO", "kv/b"),
        ("VAULT_SECRET_FILE_FOO", "/run/two"),
    ]);
    let all: Vec<_> = settings.secrets.iter().map(|secret| (secret.path.as_str(), secret.file.to_str().unwrap())).collect();
    assert_eq!(all, [("kv/a", "/tmp/vault/one.json"), ("kv/b", "/run/two")]);
    assert!(wrong(&[("VAULT_SECRET_PATH_FOO", "x")]).contains("set VAULT_SECRET_FILE_FOO"));
    assert!(wrong(&[("VAULT_SECRET_FILE_FOO", "x")]).contains("set VAULT_SECRET_PATH_FOO"));
    assert!(wrong(&[("VAULT_SECRET_FILE_", "x")]).contains("VAULT_SECRET_FILE_: a name is expected"));
    let both = wrong(&[("VAULT_SECRET_PATH", "x"), ("VAULT_SECRET_PATH_A", "y"), ("VAULT_SECRET_FILE_A", "./secret.json")]);
    assert!(both.contains("VAULT_SECRET_PATH and VAULT_SECRET_PATH_A") && both.contains("/tmp/vault/secret.json"), "{both}");
    assert!(good(&[("VAULT_SECRET_FILE", "x")]).warnings.iter().any(|warning| warning.contains("VAULT_SECRET_FILE")));
}

fn file(text: &str) -> (tempfile::NamedTempFile, Arguments) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let arguments = Arguments { config: Some(file.path().to_owned()), ..Arguments::default() };
    (file, arguments)
}

#[test]
fn flags_come_over_variables_and_those_over_the_file() {
    let (_file, mut arguments) = file(
        r#"
        address = "https://file.example.com"
        auth_method = "approle"
        role_id = "r-1"
        secret_id_file = "/run/secret-id"
        max_retries = 7
        client_timeout = 30
        tls_skip_verify = true
        watch = "5m"
        listen = "unix:/run/proxy.sock"
        secret "one" { path = "kv/one" file = "one.json" }
        secret "two" { path = "kv/two" file = "two.json" }
    "#,
    );
    arguments.max_retries = Some("1".to_owned());
    arguments.secret = vec!["kv/data/a=b=/run/three".to_owned()];
    let variables = environment(&[
        ("VAULT_MAX_RETRIES", "2"),
        ("VAULT_CLIENT_TIMEOUT", "4"),
        ("VAULT_SECRET_PATH_two", "kv/zwei"),
        ("VAULT_ADDR", "https://variable.example.com"),
    ]);
    let settings = Settings::load(&arguments, &variables).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(settings.address.url(), "https://variable.example.com");
    assert_eq!((settings.own.retries, settings.own.timeout, settings.tls.skip_verify), (1, Duration::from_secs(4), true));
    assert_eq!((settings.watch, settings.mount.as_str()), (Some(Duration::from_secs(300)), "approle"));
    assert!(matches!(&settings.login, Login::AppRole { role_id, .. } if role_id.as_str() == "r-1"));
    assert_eq!(settings.listen, Listen::Unix("/run/proxy.sock".into()));
    let all: Vec<_> = settings.secrets.iter().map(|secret| (secret.path.as_str(), secret.file.to_str().unwrap())).collect();
    assert_eq!(all, [("kv/one", "/tmp/vault/one.json"), ("kv/zwei", "/tmp/vault/two.json"), ("kv/data/a=b", "/run/three")]);
}

#[test]
fn a_wrong_file_is_told_by_line_and_column() {
    let (path, arguments) = file(
        "adress = \"x\"\nmax_retries = 1\nmax_retries = 2\nsecret { path = 1 }\nclient_timeout = \"soon\"\nsecret \"x\" { pth = \"y\" }\n",
    );
    let error = Settings::load(&arguments, &environment(&NEEDED)).unwrap_err().to_string();
    let at = |place: &str| format!("{}:{place}", path.path().display());
    for expected in [
        format!("{}: unknown key \"adress\": did you mean \"address\"?", at("1:1")),
        format!("{}: max_retries: set twice", at("3:1")),
        format!("{}: secret: expected secret \"name\"", at("4:1")),
        format!("{}: client_timeout: expected a duration", at("5:18")),
        format!("{}: unknown key \"pth\": did you mean \"path\"?", at("6:1")),
    ] {
        assert!(error.contains(&expected), "{expected}\n{error}");
    }
    let missing = Arguments { config: Some("/nonexistent/proxy.hcl".into()), ..Arguments::default() };
    assert!(Settings::load(&missing, &environment(&NEEDED)).unwrap_err().to_string().contains("/nonexistent/proxy.hcl: cannot be read"));
}

#[test]
fn tokens_are_never_shown() {
    let variables = environment(&[("VAULT_ADDR", "http://x"), ("VAULT_TOKEN", "hvs.hidden"), ("AWS_SECRET_ACCESS_KEY", "hidden")]);
    assert!(!format!("{variables:?}").contains("hidden") && variables.variable("AWS_SECRET_ACCESS_KEY").is_none());
    let arguments = Arguments { auth_method: Some("token".to_owned()), ..Arguments::default() };
    let settings = Settings::load(&arguments, &variables).unwrap();
    assert!(!format!("{settings:?}").contains("hidden"));
    let error = Settings::load(&arguments, &environment(&[("VAULT_ADDR", "http://x")])).unwrap_err().to_string();
    assert!(error.contains("VAULT_TOKEN") && error.contains("--token-file"), "{error}");
}

proptest! {
    /// Whatever the variables hold: settings, or mistakes that each name something that was set; never anything else.
    #[test]
    fn any_environment_is_settings_or_named_mistakes(values in prop::collection::vec(prop::option::of("\\PC{0,12}|[0-9]{1,6}(s|m|h|d)?|true|https?://[a-z]{1,8}"), lookup::KEYS.len())) {
        let names = lookup::KEYS.iter().map(|(_, variables)| variables[0]);
        let set: Vec<(String, String)> = names.zip(&values).filter_map(|(name, value)| Some((name.to_owned(), value.clone()?))).collect();
        let environment: Environment = set.iter().cloned().collect();
        match Settings::load(&Arguments::default(), &environment) {
            Ok(settings) => {
                prop_assert!(settings.cache.is_none_or(|cache| !cache.ttl.is_zero()));
                prop_assert!(settings.secrets.iter().all(|secret| secret.file.starts_with("/") && !secret.path.is_empty()));
            }
            Err(error) => {
                prop_assert!(!error.mistakes().is_empty());
                for mistake in error.mistakes() {
                    prop_assert!(mistake.contains("missing") || mistake.contains("COFFER_PROXY_") || mistake.contains("VAULT_") || mistake.contains("AWS_"), "{}", mistake);
                }
            }
        }
    }

    /// White space round a value means nothing.
    #[test]
    fn values_are_trimmed(before in "[ \t]{0,3}", after in "[ \t\n]{0,3}", retries in 0u32..100) {
        let padded = format!("{before}{retries}{after}");
        prop_assert_eq!(good(&[("VAULT_MAX_RETRIES", &padded)]).own.retries, retries);
    }

    #[test]
    fn go_durations_need_their_unit(number in 1u64..100_000, unit in prop::sample::select(vec!["ms", "s", "m", "h"])) {
        let millis = number * match unit { "ms" => 1, "s" => 1_000, "m" => 60_000, _ => 3_600_000 };
        prop_assert_eq!(parse::go_duration(&format!("{number}{unit}")), Ok(Duration::from_millis(millis)));
        prop_assert!(parse::go_duration(&number.to_string()).is_err());
        let negative = format!("-{number}{unit}");
        prop_assert!(parse::go_duration(&negative).is_err());
    }
}
