//! Pages of other origins, and wrapped answers, over HTTP.

use serde_json::json;

use super::{Running, errors};

#[tokio::test]
async fn pages_of_origins_that_are_not_allowed_are_refused_everywhere() {
    let (running, root) = Running::unsealed().await;
    let (client, root) = (&running.client, Some(root.as_str()));
    let page = |origin: &str| client.clone().with("origin", origin);
    // Without settings nobody looks at origins.
    let open = page("http://b.example").send("GET", "sys/init", None, "").await;
    assert_eq!((open.status, open.header("access-control-allow-origin")), (200, ""));
    let set = client.send("PUT", "sys/config/cors", root, r#"{"allowed_origins":"http://a.example","allowed_headers":"X-Foo"}"#).await;
    assert_eq!(set.status, 204, "{set:?}");
    let allowed = page("http://a.example").send("GET", "sys/mounts", root, "").await;
    assert_eq!(
        (allowed.status, allowed.header("access-control-allow-origin"), allowed.header("vary")),
        (200, "http://a.example", "Origin")
    );
    for path in ["sys/mounts", "sys/health", "nope"] {
        let refused = page("http://b.example").send("GET", path, root, "").await;
        assert_eq!(
            (refused.status, errors(&refused), refused.header("access-control-allow-origin")),
            (403, json!(["origin not allowed"]), "")
        );
    }
    assert_eq!(page("http://b.example").send("PUT", "sys/seal", root, "").await.status, 403);
    assert_eq!(client.send("GET", "sys/health", None, "").await.status, 200);
    let asks = |origin: &str, method: &str| page(origin).with("access-control-request-method", method);
    let preflight = asks("http://a.example", "PUT").send("OPTIONS", "secret/data/a", None, "").await;
    assert_eq!((preflight.status, preflight.text().as_str(), preflight.header("access-control-max-age")), (200, "", "300"));
    assert_eq!(preflight.header("access-control-allow-methods"), "DELETE,GET,OPTIONS,POST,PUT,LIST");
    assert!(preflight.header("access-control-allow-headers").ends_with(",X-Foo"));
    assert_eq!(asks("http://a.example", "BREW").send("OPTIONS", "secret/data/a", None, "").await.status, 405);
    assert_eq!(asks("http://b.example", "PUT").send("OPTIONS", "secret/data/a", None, "").await.status, 403);
    running.stop().await;
}

#[tokio::test]
async fn a_wrapped_answer_shows_nothing_but_where_it_is() {
    let (running, root) = Running::unsealed().await;
    let (client, root) = (&running.client, Some(root.as_str()));
    assert_eq!(client.send("PUT", "cubbyhole/a", root, r#"{"k":1.50}"#).await.status, 204);
    let wrapping = client.clone().with("x-vault-wrap-ttl", "5m");
    let wrapped = wrapping.send("GET", "cubbyhole/a", root, "").await;
    let envelope = wrapped.json();
    assert_eq!(
        (wrapped.status, &envelope["data"], &envelope["request_id"], &envelope["auth"]),
        (200, &json!(null), &json!(""), &json!(null))
    );
    let info = &envelope["wrap_info"];
    let members: Vec<_> = info.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, ["accessor", "creation_path", "creation_time", "token", "ttl"]);
    assert_eq!((&info["ttl"], &info["creation_path"]), (&json!(300), &json!("cubbyhole/a")));
    let unwrapped = client.send("PUT", "sys/wrapping/unwrap", info["token"].as_str(), "").await;
    assert!(unwrapped.text().contains(r#""data":{"k":1.50}"#), "{unwrapped:?}");
    assert_eq!(client.send("PUT", "sys/wrapping/unwrap", info["token"].as_str(), "").await.status, 400);
    let bad = client.clone().with("x-vault-wrap-ttl", "soon").send("GET", "cubbyhole/a", root, "").await;
    assert_eq!((bad.status, errors(&bad)), (400, json!(["error parsing X-Vault-Wrap-TTL header: time: invalid duration \"soon\""])));
    // These do not go the way of requests that can be wrapped.
    assert_eq!(wrapping.send("GET", "sys/health", None, "").await.status, 200);
    assert_eq!(wrapping.send("PUT", "sys/init", None, "{}").await.status, 400);
    running.stop().await;
}
