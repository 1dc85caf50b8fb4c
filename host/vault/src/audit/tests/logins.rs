//! Logins: what is recorded of a request without a token that gets one. Shape and members are those of bao 2.7.2.

use super::*;

#[tokio::test]
async fn a_login_is_recorded_with_the_token_that_it_earned_and_without_its_secrets() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("audit.log");
    let vault = vault(with(vec![declared("a", &file, &[])])).await;
    vault.write("sys/auth/approle", json!({"type": "approle"})).await.unwrap();
    vault.write("auth/approle/role/r", json!({"role_id": "the-role", "token_policies": "p", "token_ttl": "1h"})).await.unwrap();
    vault.write("auth/approle/role/r/custom-secret-id", json!({"secret_id": "the-secret"})).await.unwrap();
    let login = |secret: &str| {
        let body = json!({"role_id": "the-role", "secret_id": secret});
        let core = vault.core.clone();
        async move { call(&core, None, Operation::Update, "auth/approle/login", body).await }
    };
    let token = login("the-secret").await.unwrap().auth.unwrap().client_token;
    login("wrong").await.unwrap_err();
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(!text.contains("the-secret") && !text.contains("the-role") && !text.contains(token.as_str()));

    let all = entries(&file);
    let (requests, responses) = (of(&all, "request", "auth/approle/login"), of(&all, "response", "auth/approle/login"));
    assert_eq!((requests.len(), responses.len()), (2, 2));
    assert_eq!(requests[0]["auth"], json!({"policy_results": {"allowed": true}, "token_type": "default"}));
    assert!(requests[0]["request"]["data"]["secret_id"].as_str().unwrap().starts_with("hmac-sha256:"));
    for (name, value) in [
        ("display_name", json!("approle")),
        ("policies", json!(["default", "p"])),
        ("token_policies", json!(["default", "p"])),
        ("metadata", json!({"role_name": "r"})),
        ("token_type", json!("service")),
        ("token_ttl", json!(3600)),
    ] {
        assert_eq!(responses[0]["auth"][name], value, "{name}");
        assert_eq!(responses[0]["response"]["auth"][name], value, "{name}");
    }
    let hash = responses[0]["auth"]["client_token"].as_str().unwrap();
    assert_eq!(hash, vault.core.active().unwrap().audit.hash("a", &token).unwrap());
    assert_eq!(responses[1]["error"], "1 error occurred:\n\t* invalid request\n\n");
    assert_eq!(responses[1]["auth"]["token_type"], "default");
}

#[tokio::test]
async fn a_login_that_no_device_takes_is_not_done() {
    let valve = Valve::new();
    let vault = vault(with(vec![declared("a", &valve.link, &[])])).await;
    vault.write("sys/auth/approle", json!({"type": "approle"})).await.unwrap();
    vault.write("auth/approle/role/r", json!({"role_id": "r"})).await.unwrap();
    vault.write("auth/approle/role/r/custom-secret-id", json!({"secret_id": "s", "num_uses": 1})).await.unwrap();
    let login = || call(&vault.core, None, Operation::Update, "auth/approle/login", json!({"role_id": "r", "secret_id": "s"}));
    valve.turn(&vault.core, true);
    assert!(matches!(login().await, Err(Error::Internal(_))));
    valve.turn(&vault.core, false);
    // The use was not counted.
    login().await.unwrap();
}
