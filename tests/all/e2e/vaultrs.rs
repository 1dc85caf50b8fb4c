//! vaultrs, the client that Rust programs use, gets the same answers from our server and from the real one.

use std::collections::HashMap;
use std::fmt::Debug;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use vaultrs::api::ResponseWrapper as _;
use vaultrs::api::sys::requests::ListMountsRequest;
use vaultrs::api::token::requests::{CreateTokenRequest, SetTokenRoleRequest};
use vaultrs::auth::approle;
use vaultrs::client::{VaultClient, VaultClientSettingsBuilder};
use vaultrs::error::ClientError;
use vaultrs::{cubbyhole, kv1, kv2, sys, token};

use super::bao;
use super::parity::{LIMIT, compare};
use super::process::{Server, script, succeed};

#[test]
fn vaultrs_gets_the_answers_of_the_real_development_server() {
    let dir = tempfile::tempdir().unwrap();
    let (theirs, ours) = (dir.path().join("theirs.json"), dir.path().join("ours.json"));
    record(&bao::dev(), &theirs);
    record(&Server::dev(), &ours);
    let (equal, report) = compare(&theirs, &ours);
    assert!(equal, "{report}");
}

fn record(server: &Server, out: &Path) {
    // The client asks for a provider of TLS even where it speaks none.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let Steps(steps) = runtime.block_on(async {
        let root = connect(&server.address, &server.token);
        let mut steps = Steps::default();
        kv(&mut steps, &root).await;
        tokens(&mut steps, &root, &server.address).await;
        approles(&mut steps, &root, &server.address).await;
        wrapping(&mut steps, &root).await;
        steps
    });
    let raw = out.with_extension("raw");
    fs::write(&raw, serde_json::to_vec(&steps).unwrap()).unwrap();
    succeed(script("parity.py").arg("normalise").arg(&raw).arg(out), LIMIT);
}

fn connect(address: &str, token: &str) -> VaultClient {
    VaultClient::new(VaultClientSettingsBuilder::default().address(address).token(token).build().unwrap()).unwrap()
}

/// What the calls returned, in their order.
#[derive(Default)]
struct Steps(Vec<Value>);

impl Steps {
    /// One call: what it returned, or the error that its caller sees.
    fn add<T: Debug>(&mut self, name: &str, result: Result<T, ClientError>) -> Option<T> {
        let name = format!("vaultrs {name}");
        self.0.push(match &result {
            Ok(returned) => json!({"name": name, "returned": format!("{returned:?}")}),
            Err(ClientError::APIError { code, errors }) => json!({"name": name, "status": code, "errors": errors}),
            Err(other) => json!({"name": name, "raised": other.to_string()}),
        });
        result.ok()
    }
}

async fn kv(steps: &mut Steps, root: &VaultClient) {
    steps.add("health", sys::health(root).await);
    steps.add("status", sys::status(root).await);
    steps.add("mount", sys::mount::enable(root, "rs1", "kv", None).await);
    let data = HashMap::from([("text", "ü")]);
    steps.add("v1 set", kv1::set(root, "rs1", "a/b", &data).await);
    steps.add("v1 get", kv1::get::<HashMap<String, String>>(root, "rs1", "a/b").await);
    steps.add("v1 list", kv1::list(root, "rs1", "a").await);
    steps.add("v1 delete", kv1::delete(root, "rs1", "a/b").await);
    steps.add("v1 get deleted", kv1::get::<HashMap<String, String>>(root, "rs1", "a/b").await);
    steps.add("mount configuration", sys::mount::get_configuration_of_a_secret_engine(root, "rs1").await);
    steps.add("unmount", sys::mount::disable(root, "rs1").await);
    steps.add("v2 set", kv2::set(root, "secret", "rs/a", &data).await);
    steps.add("v2 read", kv2::read::<HashMap<String, String>>(root, "secret", "rs/a").await);
    steps.add("v2 set again", kv2::set(root, "secret", "rs/a", &HashMap::from([("text", "2")])).await);
    steps.add("v2 read first", kv2::read_version::<HashMap<String, String>>(root, "secret", "rs/a", 1).await);
    steps.add("v2 list", kv2::list(root, "secret", "rs").await);
    steps.add("v2 delete latest", kv2::delete_latest(root, "secret", "rs/a").await);
    steps.add("v2 read deleted", kv2::read::<HashMap<String, String>>(root, "secret", "rs/a").await);
    steps.add("v2 undelete", kv2::undelete_versions(root, "secret", "rs/a", vec![2]).await);
    steps.add("v2 destroy", kv2::destroy_versions(root, "secret", "rs/a", vec![1]).await);
    steps.add("v2 read destroyed", kv2::read_version::<HashMap<String, String>>(root, "secret", "rs/a", 1).await);
    steps.add("v2 remove", kv2::delete_metadata(root, "secret", "rs/a").await);
    steps.add("policy set", sys::policy::set(root, "rs", r#"path "secret/data/rs/*" { capabilities = ["read"] }"#).await);
    steps.add("policy read", sys::policy::read(root, "rs").await);
    steps.add("policies", sys::policy::list(root).await);
    steps.add("policy missing", sys::policy::read(root, "none").await);
}

async fn tokens(steps: &mut Steps, root: &VaultClient, address: &str) {
    let mut wanted = CreateTokenRequest::builder();
    wanted.policies(vec!["rs".to_owned()]).ttl("1h").meta(HashMap::from([("a".to_owned(), "b".to_owned())]));
    if let Some(made) = steps.add("token new", token::new(root, Some(&mut wanted)).await) {
        let child = connect(address, &made.client_token);
        steps.add("token self", token::lookup_self(&child).await);
        steps.add("token accessor", token::lookup_accessor(root, &made.accessor).await);
        steps.add("token forbidden", kv2::set(&child, "secret", "rs/x", &HashMap::from([("a", "b")])).await);
        steps.add("token renew", token::renew_self(&child, Some("30m")).await);
        steps.add("cubbyhole set", cubbyhole::set(&child, "cubbyhole", "x", &HashMap::from([("a", "b")])).await);
        steps.add("cubbyhole get", cubbyhole::get::<HashMap<String, String>>(&child, "cubbyhole", "x").await);
        steps.add("token revoke", token::revoke_accessor(root, &made.accessor).await);
        steps.add("token revoked", token::lookup_self(&child).await);
    }
    steps.add("token orphan", token::new_orphan(root, None).await);
    let mut role = SetTokenRoleRequest::builder();
    role.allowed_policies(vec!["rs".to_owned()]).renewable(true).token_explicit_max_ttl("2h");
    steps.add("token role set", token::role::set(root, "rs", Some(&mut role)).await);
    steps.add("token role read", token::role::read(root, "rs").await);
    steps.add("token roles", token::role::list(root).await);
    steps.add("token of role", token::new_role(root, "rs", None).await);
    steps.add("token role delete", token::role::delete(root, "rs").await);
    steps.add("token of no role", token::new_role(root, "rs", None).await);
}

async fn approles(steps: &mut Steps, root: &VaultClient, address: &str) {
    steps.add("approle enable", sys::auth::enable(root, "rsapp", "approle", None).await);
    steps.add("approle set", approle::role::set(root, "rsapp", "job", None).await);
    steps.add("approle read", approle::role::read(root, "rsapp", "job").await);
    steps.add("approles", approle::role::list(root, "rsapp").await);
    let id = steps.add("approle id", approle::role::read_id(root, "rsapp", "job").await);
    let secret = steps.add("approle secret", approle::role::secret::generate(root, "rsapp", "job", None).await);
    if let (Some(id), Some(secret)) = (id, secret) {
        steps.add("approle secret read", approle::role::secret::read(root, "rsapp", "job", &secret.secret_id).await);
        let nobody = connect(address, "");
        if let Some(login) = steps.add("approle login", approle::login(&nobody, "rsapp", &id.role_id, &secret.secret_id).await) {
            steps.add("approle self", token::lookup_self(&connect(address, &login.client_token)).await);
        }
        steps.add("approle wrong login", approle::login(&nobody, "rsapp", &id.role_id, "wrong").await);
        steps.add("approle secret delete", approle::role::secret::delete(root, "rsapp", "job", &secret.secret_id).await);
        steps.add("approle late login", approle::login(&nobody, "rsapp", &id.role_id, &secret.secret_id).await);
    }
    steps.add("approle delete", approle::role::delete(root, "rsapp", "job").await);
    steps.add("approle disable", sys::auth::disable(root, "rsapp").await);
}

async fn wrapping(steps: &mut Steps, root: &VaultClient) {
    // What a wrapped answer is about has no order of its own, and is not shown.
    let wrapped = ListMountsRequest::builder().build().unwrap().wrap(root).await;
    let Ok(wrapped) = wrapped else {
        steps.add("wrap", wrapped.map(drop));
        return;
    };
    steps.add("wrapped lookup", wrapped.lookup(root).await);
    steps.add("unwrap", wrapped.unwrap(root).await.map(drop));
    steps.add("unwrap again", wrapped.unwrap(root).await.map(drop));
}
