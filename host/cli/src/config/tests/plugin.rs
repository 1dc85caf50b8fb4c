//! Plugin blocks: what is read from them, how they go with stanzas, and the whole text of every kind of error.

use super::{LISTENER, STORAGE, load_files, load_text, with};
use crate::config::{Config, DirectoryAccess, Plugin, Resource, Role};
use cofferdam_http::{Scheme, Secret};
use cofferdam_runtime::PoolPolicy;
use std::path::Path;

const ETCD: &str = "storage \"etcd\" { address = \"etcd.internal\" ha_enabled = false path = \"/prefix\" }\n";
const TABLE: &str = "arn:aws:dynamodb:eu-central-1:111122223333:table/vault-data";
const KEY: &str = "arn:aws:kms:eu-west-1:111122223333:key/1234";

/// A configuration with a storage that is a plugin, and this in its block.
fn etcd(block: &str) -> Result<Config, String> {
    load_text(&format!("plugin \"storage\" \"etcd\" {{ {block} }}\n{ETCD}{LISTENER}"))
}

/// The same of a seal.
fn transit(block: &str) -> Result<Config, String> {
    load_text(&format!("plugin \"seal\" \"transit\" {{ {block} }}\nseal \"transit\" {{ mount = \"t\" }}\n{STORAGE}{LISTENER}"))
}

fn plugin(config: &Config) -> &Plugin {
    config.storage.plugin.as_ref().unwrap()
}

#[test]
fn a_block_is_read_whole() {
    let digest = "AB".repeat(32);
    let config = etcd(&format!(
        r#"
        path = "/etc/coffer/plugins/etcd-0.3.wasm"
        sha256 = "{digest}"
        pool {{ policy = "ephemeral" size = 4 }}
        limits {{ memory = "64MiB" requests_per_second = 7 requests_per_call = 8 }}
        grant "directory" {{ path = "/var/lib/x" access = "read-only" }}
        grant "http" {{
          scheme = "https" host = "etcd.internal" port = 2379
          addresses = ["10.0.0.0/8"] methods = ["POST"] path_prefixes = ["/v3/"]
          header "authorization" {{ file = "/run/secrets/etcd" prefix = "Bearer " }}
          header "x-tenant" {{ env = "ETCD_TENANT" }}
          client_cert {{ cert_file = "/c.pem" key_file = "/k.pem" }}
          ca_cert = "/ca.pem"
        }}
        grant "http" {{ scheme = "http" host = "127.0.0.1" basic_auth {{ username = "u" password_file = "/p" }} secrets_in_clear = true }}
        grant "aws" {{ service = "dynamodb" operations = ["GetItem", "Query"] resource = "{TABLE}" profile = "p" }}
        "#
    ))
    .unwrap();
    assert_eq!(config.warnings, Vec::<String>::new());
    let found = plugin(&config);
    assert_eq!((found.role, found.name.as_str(), found.said().as_str()), (Role::Storage, "etcd", "plugin \"storage\" \"etcd\""));
    assert_eq!(found.path.as_deref(), Some(Path::new("/etc/coffer/plugins/etcd-0.3.wasm")));
    assert_eq!(found.sha256, Some(digest.to_lowercase()));
    let directory = found.grants.directory.as_ref().unwrap();
    assert_eq!((directory.path.as_path(), directory.access), (Path::new("/var/lib/x"), DirectoryAccess::ReadOnly));
    let [first, second] = found.grants.http.as_slice() else { panic!() };
    assert_eq!((first.rule.scheme, first.rule.host.as_str(), first.rule.port), (Scheme::Https, "etcd.internal", 2379));
    assert_eq!((first.rule.addresses.len(), first.rule.path_prefixes.as_slice()), (1, &["/v3/".to_owned()][..]));
    assert_eq!(first.rule.methods.as_ref().map(Vec::len), Some(1));
    let [bearer, tenant] = first.rule.headers.as_slice() else { panic!() };
    assert_eq!((bearer.prefix.as_str(), &bearer.source), ("Bearer ", &Secret::File("/run/secrets/etcd".into())));
    assert_eq!(tenant.source, Secret::Env("ETCD_TENANT".to_owned()));
    assert!(first.rule.client_cert.is_some() && first.rule.ca_cert.is_some() && !first.rule.secrets_in_clear);
    assert_eq!((second.rule.scheme, second.rule.port, second.rule.secrets_in_clear), (Scheme::Http, 80, true));
    assert_eq!(second.rule.basic.as_ref().map(|basic| basic.username.as_str()), Some("u"));
    let aws = found.grants.aws.as_ref().unwrap();
    assert_eq!((&aws.resource, aws.operations.len()), (&Resource::Table("vault-data".to_owned()), 2));
    assert_eq!((aws.access.region.as_deref(), aws.access.identity.profile.as_deref()), (Some("eu-central-1"), Some("p")));
    assert_eq!((aws.access.requests.per_second, aws.access.requests.per_call), (Some(7), Some(8)));
    // Blocks apply to the storage, and all of its stanza that is not the host's is a setting, `path` too.
    let storage = &config.storage;
    assert_eq!((storage.pool.policy, storage.pool.size, storage.limits.memory), (PoolPolicy::Ephemeral, 4, 64 << 20));
    let setting = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(storage.settings, [setting("address", "etcd.internal"), setting("path", "/prefix")]);
    assert!(storage.path.is_none());
}

#[test]
fn a_seal_that_is_a_plugin_keeps_what_every_seal_has() {
    let config = load_text(&format!(
        "seal \"Transit\" {{ address = \"https://v\" retries = 3 tls = true name = \"other-vault\" priority = 2 health_check_interval = \"15m\" limits {{ call = \"9s\" }} }}
         plugin \"seal\" \"transit\" {{ grant \"aws\" {{ service = \"kms\" operations = [\"Encrypt\"] resource = \"{KEY}\" previous_key_ids = [\"5678\"] }} }}
         aws {{ role_arn = \"arn:aws:iam::1:role/b\" region = \"us-east-1\" ca_cert = \"/ca\" }}\n{STORAGE}{LISTENER}"
    ))
    .unwrap();
    let [seal] = config.seals.active.try_into().unwrap();
    assert_eq!((seal.kind.as_str(), seal.name.as_str(), seal.priority, seal.limits.call.as_secs()), ("transit", "other-vault", 2, 9));
    let settings: Vec<String> = seal.settings.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(settings, ["address=https://v", "retries=3", "tls=true"]);
    assert!(seal.awskms.is_none() && seal.pool.size < 4);
    // The region is that of the resource; whose credentials, the block says.
    let plugin = seal.plugin.unwrap();
    let aws = plugin.grants.aws.as_ref().unwrap();
    assert_eq!(aws.resource, Resource::Key { arn: KEY.to_owned(), previous: vec!["5678".to_owned()] });
    assert_eq!((aws.access.region.as_deref(), aws.access.ca_cert.as_deref()), (Some("eu-west-1"), Some(Path::new("/ca"))));
    assert!(aws.access.identity.role_arn.is_some());
    // The variable may say what the stanza says.
    let text = format!("seal \"transit\" {{}}\nplugin \"seal\" \"transit\" {{}}\n{STORAGE}{LISTENER}");
    assert_eq!(load_files(&[("c.hcl", &text)], &[("VAULT_SEAL_TYPE", "transit")]).unwrap().seals.active.len(), 1);
}

#[test]
fn a_component_of_the_release_may_be_bounded_and_replaced() {
    let config = with("plugin \"storage\" \"file\" { pool { size = 3 } limits { cpu = \"1s\" } sha256 = \"sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\" }").unwrap();
    assert_eq!((plugin(&config).name.as_str(), config.storage.pool.size, config.storage.limits.cpu.as_secs()), ("filesystem", 3, 1));
    assert_eq!(config.storage.path.as_deref(), Some(Path::new("/d")));
    let config = with("plugin \"storage\" \"filesystem\" { replaces_builtin = true path = \"/p/fs.wasm\" }").unwrap();
    assert!(plugin(&config).replaces_builtin);
    let stanza =
        format!("seal \"awskms\" {{ kms_key_id = \"{KEY}\" }}\nplugin \"seal\" \"AWSKMS\" {{ limits {{ requests_per_second = 5 }} }}");
    let [seal] = with(&stanza).unwrap().seals.active.try_into().unwrap();
    assert_eq!((seal.awskms.unwrap().access.requests.per_second, seal.pool.size), (Some(5), 2));
}

#[test]
fn json_and_several_files_are_read_alike() {
    let json = r#"{"plugin": {"storage": {"etcd": {"grant": {"directory": {"path": "/x", "access": "read-write"}, "http": [
        {"scheme": "https", "host": "a", "header": {"authorization": {"file": "/t"}}}, {"scheme": "https", "host": "b"}]}}}},
        "plugin_trusted_keys": ["RWQ", "/key"]}"#;
    let config = load_files(&[("1.json", json), ("2.hcl", &format!("{ETCD}{LISTENER}"))], &[]).unwrap();
    let grants = &plugin(&config).grants;
    assert_eq!(grants.directory.as_ref().unwrap().access, DirectoryAccess::ReadWrite);
    assert_eq!((grants.http.len(), grants.http[0].rule.headers.len()), (2, 1));
    let keys: Vec<&str> = config.plugin_trusted_keys.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["RWQ", "/key"]);
    let twice = load_files(&[("1.json", json), ("2.hcl", &format!("plugin \"storage\" \"etcd\" {{}}\n{ETCD}{LISTENER}"))], &[]);
    let twice = twice.unwrap_err();
    assert!(
        twice.starts_with("2.hcl:1:18: plugin \"storage\" \"etcd\": there is one at 1.json:1:") && twice.ends_with("already: remove one"),
        "{twice}"
    );
}

#[test]
fn a_storage_of_vaults_is_a_plugin_if_anything_says_so() {
    assert_eq!(etcd("").unwrap().storage.kind, "etcd");
    // A file of that name does.
    let directory = tempfile::tempdir().unwrap();
    let text = |kind: &str| format!("plugin_directory = \"{}\"\nstorage \"{kind}\" {{}}\n{LISTENER}", directory.path().display());
    std::fs::write(directory.path().join("consul.wasm"), "").unwrap();
    assert!(load_text(&text("consul")).unwrap().storage.plugin.is_none());
    assert!(load_text(&text("raft")).unwrap_err().contains("storage \"raft\" is not supported"));
}

#[test]
fn a_block_of_no_stanza_is_named() {
    let warnings = with("plugin \"storage\" \"etcd\" {}\nplugin \"seal\" \"transit\" {}").unwrap().warnings;
    let idle =
        |at: &str, role: &str, name: &str| format!("c.hcl:{at}: plugin \"{role}\" \"{name}\" is not used: there is no {role} \"{name}\"");
    let shown: Vec<&str> = warnings.iter().map(|warning| warning.rsplit_once('/').unwrap().1).collect();
    assert_eq!(shown, [idle("1:18", "storage", "etcd"), idle("2:15", "seal", "transit")]);
}

#[test]
fn errors_name_place_key_and_remedy() {
    let aws = |more: &str| etcd(&format!("grant \"aws\" {{ {more} }}"));
    let http = |more: &str| etcd(&format!("grant \"http\" {{ {more} }}"));
    let server = |more: &str| http(&format!("scheme = \"https\" host = \"h\" {more}"));
    let of_table = "expected the ARN of a table, such as arn:aws:dynamodb:eu-central-1:111122223333:table/NAME";
    let all = "GetItem, Query, Scan, BatchGetItem, PutItem, DeleteItem, UpdateItem, BatchWriteItem, TransactWriteItems, DescribeTable, CreateTable, UpdateContinuousBackups";
    let whole = "expected a whole path, such as /var/lib/coffer, found";
    let mut wrong = Vec::new();
    for (result, message) in [
        (with("plugin \"storage\" {}"), "1:1: plugin: expected a kind and a name, as in plugin \"storage\" \"etcd\" { … }".to_owned()),
        (
            with("plugin \"auth\" \"x\" {}"),
            "1:8: plugin \"auth\": expected storage or seal: backends are WebAssembly components, and no other plugins are run".to_owned(),
        ),
        (
            with("plugin \"storage\" \"../x\" {}"),
            "1:18: plugin \"storage\" \"../x\": a storage's type is expected: letters, digits, '-' and '_' only".to_owned(),
        ),
        (
            with("plugin \"seal\" \"shamir\" {}"),
            "1:15: plugin \"seal\" \"shamir\": a seal's type is expected: letters, digits, '-' and '_' only".to_owned(),
        ),
        (
            with("plugin \"seal\" \"dynamodb\" {}"),
            "1:15: plugin \"seal\" \"dynamodb\": dynamodb is a storage of the release: give this plugin another name".to_owned(),
        ),
        (
            with("plugin \"storage\" \"file\" {}\nplugin \"storage\" \"filesystem\" {}"),
            "2:18: plugin \"storage\" \"filesystem\": there is one at c.hcl:1:18 already: remove one".to_owned(),
        ),
        (etcd("sha265 = \"x\""), "1:27: unknown key \"sha265\" in plugin \"storage\" \"etcd\": did you mean \"sha256\"?".to_owned()),
        (
            etcd("command = \"x\""),
            "1:27: command is not supported in plugin \"storage\" \"etcd\": a plugin is a WebAssembly component: set path to its .wasm file".to_owned(),
        ),
        (etcd("sha256 = \"\""), "1:36: sha256: expected the 64 hexadecimal digits that coffer plugin inspect shows, found \"\"".to_owned()),
        (etcd("sha256 = \"0g\""), "1:36: sha256: expected the 64 hexadecimal digits that coffer plugin inspect shows, found \"0g\"".to_owned()),
        (etcd("path = \"etcd.wasm\""), format!("1:34: path: {whole} \"etcd.wasm\"")),
        (etcd("replaces_builtin = true"), "1:46: replaces_builtin: etcd is no component of the release: remove it".to_owned()),
        (
            with("plugin \"storage\" \"filesystem\" { path = \"/p/f.wasm\" }"),
            "1:40: path: filesystem is a component of the release, and this file would run in its place: set replaces_builtin = true if that is meant".to_owned(),
        ),
        (
            with("plugin \"storage\" \"dynamodb\" { grant \"aws\" {} }"),
            "1:31: grant aws: the grants of dynamodb are derived from its stanza: remove it".to_owned(),
        ),
        (etcd("pool { sice = 1 }"), "1:34: unknown key \"sice\" in pool of plugin \"storage\" \"etcd\": did you mean \"size\"?".to_owned()),
        (etcd("grant { path = \"/x\" }"), "1:27: grant: expected a block of one kind, as in grant \"directory\" { … }".to_owned()),
        (etcd("grant \"net\" {}"), "1:33: grant \"net\": expected one of directory, http, aws".to_owned()),
        (etcd("grant \"htpp\" {}"), "1:33: grant \"htpp\": expected one of directory, http, aws; did you mean \"http\"?".to_owned()),
        (etcd("grant \"directory\" {}"), "1:33: grant \"directory\": path is missing: set it to the directory".to_owned()),
        (
            etcd("grant \"directory\" { path = \"/x\" }"),
            "1:33: grant \"directory\": access is missing: set it to read-only or read-write".to_owned(),
        ),
        (
            etcd("grant \"directory\" { path = \"/x\" access = \"rw\" }"),
            "1:68: access: expected read-only or read-write, found \"rw\"".to_owned(),
        ),
        (etcd("grant \"directory\" { path = \"x\" access = \"read-write\" }"), format!("1:54: path: {whole} \"x\"")),
        (
            etcd("grant \"directory\" { path = \"/x\" access = \"read-only\" } grant \"directory\" {}"),
            "1:88: grant \"directory\": there is one at c.hcl:1:33 already: remove one".to_owned(),
        ),
        (http(""), "1:33: grant \"http\": scheme is missing: set it to https or http".to_owned()),
        (http("scheme = \"ftp\""), "1:51: scheme: expected https or http, found \"ftp\"".to_owned()),
        (http("scheme = \"https\""), "1:33: grant \"http\": host is missing: set it to the name or the address of the server".to_owned()),
        (server("port = 70000"), "1:77: port: expected a whole number of at least 1, found 70000".to_owned()),
        (
            server("addresses = [\"10.0.0.0/33\"]"),
            "1:82: addresses: \"10.0.0.0/33\": after the slash a number of bits is expected, up to 32 for IPv4 and 128 for IPv6".to_owned(),
        ),
        (server("header \"a\" { file = \"x\" }"), format!("1:90: file: {whole} \"x\"")),
        (server("header \"a\" {}"), "1:70: header a: no value: set file, or env".to_owned()),
        (
            server("header \"a\" { value = \"s\" }"),
            "1:83: value is not supported in header \"a\": a secret does not stand in the configuration: set file, or env".to_owned(),
        ),
        (
            server("header \"a\" { file = \"/x\" env = \"X\" }"),
            "1:70: header a: file and env exclude each other: remove one".to_owned(),
        ),
        (server("header { file = \"/x\" }"), "1:70: header: expected a block with a name, as in header \"authorization\" { … }".to_owned()),
        (server("basic_auth { password_env = \"P\" }"), "1:70: basic_auth: username is missing: set it".to_owned()),
        (
            server("basic_auth { username = \"u\" password = \"s\" }"),
            "1:98: password is not supported in basic_auth: a secret does not stand in the configuration: set password_file, or password_env".to_owned(),
        ),
        (
            server("client_cert { cert_file = \"/c\" }"),
            "1:70: client_cert: key_file is missing: set cert_file and key_file".to_owned(),
        ),
        (aws(""), "1:33: grant \"aws\": service is missing: set it to dynamodb, or for a seal to kms".to_owned()),
        (aws("service = \"s3\""), "1:51: service: expected dynamodb or kms, found \"s3\"".to_owned()),
        (aws("service = \"kms\""), "1:51: service: a storage is granted a table of dynamodb, and no key".to_owned()),
        (
            transit("grant \"aws\" { service = \"dynamodb\" }"),
            "1:51: service: a seal is granted a key of kms, and no table".to_owned(),
        ),
        (aws("service = \"dynamodb\""), format!("1:33: grant \"aws\": operations is missing: list those that are needed of {all}")),
        (
            aws("service = \"dynamodb\" operations = [\"GetItm\"]"),
            format!("1:75: operations: \"GetItm\" of dynamodb cannot be granted: expected some of {all}; did you mean GetItem?"),
        ),
        (
            transit("grant \"aws\" { service = \"kms\" operations = [\"ScheduleKeyDeletion\"] }"),
            "1:70: operations: \"ScheduleKeyDeletion\" of kms cannot be granted: expected some of DescribeKey, Encrypt, Decrypt".to_owned(),
        ),
        (
            aws("service = \"dynamodb\" operations = []"),
            "1:75: operations: expected at least one; without any the grant is of no use: remove it".to_owned(),
        ),
        (
            aws("service = \"dynamodb\" operations = [\"GetItem\"]"),
            "1:33: grant \"aws\": resource is missing: set it to the ARN of the table, or for a seal of the key".to_owned(),
        ),
        (
            aws("service = \"dynamodb\" operations = [\"GetItem\"] resource = \"vault\""),
            format!("1:98: resource: {of_table}, found \"vault\""),
        ),
        (
            aws(&format!("service = \"dynamodb\" operations = [\"GetItem\"] resource = \"{TABLE}/index/i\"")),
            format!("1:98: resource: {of_table}, found \"{TABLE}/index/i\""),
        ),
        (
            aws(&format!("service = \"dynamodb\" operations = [\"GetItem\"] resource = \"{TABLE}\" region = \"eu-west-1\"")),
            "1:160: region is not supported in grant \"aws\": it is that of resource".to_owned(),
        ),
        (
            aws(&format!("service = \"dynamodb\" operations = [\"GetItem\"] resource = \"{TABLE}\" access_key = \"A\"")),
            "1:160: access_key: secret_key is missing: set both, or remove both and let the credentials come from elsewhere".to_owned(),
        ),
        (
            transit("grant \"aws\" { service = \"kms\" operations = [\"Encrypt\"] resource = \"alias/x\" }"),
            "1:93: resource: expected the ARN of a key, such as arn:aws:kms:eu-central-1:111122223333:key/ID, found \"alias/x\"".to_owned(),
        ),
        (
            load_text(&format!("storage \"etcd\" {{ pool {{ size = 1 }} }}\nplugin \"storage\" \"etcd\" {{ pool {{ size = 2 }} }}\n{LISTENER}")),
            "1:18: pool: plugin \"storage\" \"etcd\" has a block pool at c.hcl:2:27: remove one".to_owned(),
        ),
        (
            load_text(&format!("storage \"etcd\" {{ max_parallel = 1 }}\nplugin \"storage\" \"etcd\" {{ pool {{ size = 2 }} }}\n{LISTENER}")),
            "1:18: max_parallel: plugin \"storage\" \"etcd\" has a block pool at c.hcl:2:27: remove one".to_owned(),
        ),
        (
            with("seal \"transit\" { limits { cpu = 1 } }\nplugin \"seal\" \"transit\" { limits { cpu = 2 } }"),
            "1:18: limits: plugin \"seal\" \"transit\" has a block limits at c.hcl:2:27: remove one".to_owned(),
        ),
        (
            with("seal \"a b\" {}"),
            "1:6: seal \"a b\": a type has letters, digits, '-' and '_' only, since it names a file in plugin_directory".to_owned(),
        ),
        (
            with("plugin \"seal\" \"transit\" {}\nseal \"transit\" { x = 1 x = 2 }"),
            "2:24: x: set twice in seal \"transit\", first at 2:18: remove one".to_owned(),
        ),
        (
            with("plugin \"seal\" \"t\" {}\nseal \"t\" { name = \"a\" priority = 1 k = 1 }\nseal \"t\" { name = \"b\" priority = 2 k = 1 }"),
            "3:6: seal \"t\": its settings are those of seal \"a\" too, so that losing it would lose both: give each seal its own key".to_owned(),
        ),
        (with("plugin_trusted_keys = \"RWQ\""), "1:23: plugin_trusted_keys: expected a list, found a string".to_owned()),
        (
            with("plugin_trusted_keys = [\" \"]"),
            "1:24: plugin_trusted_keys: expected a minisign public key, or a file that holds one, found an empty string".to_owned(),
        ),
    ] {
        let found = result.map_or_else(|error| error, |_| "a configuration".to_owned());
        let expected = format!("c.hcl:{message}");
        if found != expected {
            wrong.push(format!("found    {found}\nexpected {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
