//! The cases that OpenBao runs against every physical backend, 1 to 23 in its order, without those for locks and transactions.

use crate::case::case;
use crate::case::ensure;
use crate::{Case, Ground, Store, Verdict, script};

pub(super) const CASES: &[Case] = &[
    case!(
        "contract/openbao-basics",
        "OpenBao's cases 1 to 18: put, get, delete, nested folders that come and go, every way to page",
        basics
    ),
    case!("contract/openbao-ten-keys", "OpenBao's case 19: ten keys in a folder, listed after each", ten_keys),
    case!("contract/openbao-prefixes", "OpenBao's cases 20 to 23: a key that is the beginning of another", prefixes),
];

/// After every step that changes the store: the listing, and every way to page through it.
async fn pages(store: &Store, at: &str, expected: &[&str]) -> Verdict {
    store.must_list(at, expected).await?;
    for limit in [expected.len(), expected.len() + 1, 1 << 24] {
        if limit > 0 {
            store.must_list_after(at, "", limit, expected).await?;
        }
    }
    // Everything sorts after a dot here.
    store.must_list_after(at, ".", 1_000, expected).await?;
    let (Some(first), Some(last)) = (expected.first(), expected.last()) else {
        store.must_list_after::<&str>(at, "bogus", 1_000, &[]).await?;
        return store.must_list_after::<&str>(at, "bogus", 2, &[]).await;
    };
    store.must_list_after(at, "", 1, &[first]).await?;
    for (index, name) in expected.iter().enumerate() {
        let (before, rest) = expected.split_at(index + 1);
        store.must_list_after(at, name, 1, rest.get(..1).unwrap_or_default()).await?;
        for limit in [1_000, expected.len(), rest.len()] {
            if limit > 0 {
                store.must_list_after(at, name, limit, rest).await?;
            }
        }
        store.must_list_after(at, "", index + 1, before).await?;
    }
    let before: String = if first.chars().count() > 1 { first.chars().take(1).collect() } else { "!".to_owned() };
    store.must_list_after(at, &before, 1_000, expected).await?;
    store.must_list_after::<&str>(at, &format!("{last}z"), 1_000, &[]).await?;
    // A page that holds them all may promise more, if the backend cannot tell. There is none.
    let page = store.page(at, "", expected.len()).await?;
    if page.names.len() == expected.len() && page.more {
        let rest = store.page(at, last, 1).await?;
        ensure!(rest.names.is_empty() && !rest.more, "list {}: more after the last name: {}", script::name(at), script::names(&rest.names));
    }
    Ok(())
}

async fn basics(ground: &Ground<'_>) -> Verdict {
    let store = &ground.store().await?;
    pages(store, "", &[]).await?;
    store.delete("foo").await?;
    store.must_get("foo", None).await?;
    store.put("foo", "test").await?;
    store.must_get("foo", Some(b"test")).await?;
    pages(store, "", &["foo"]).await?;
    store.delete("foo").await?;
    pages(store, "", &[]).await?;
    store.must_get("foo", None).await?;

    store.put("foo", "test").await?;
    store.put("foo", "test").await?;
    store.put("foo/bar", "baz").await?;
    store.must_get("foo/bar", Some(b"baz")).await?;
    pages(store, "", &["foo", "foo/"]).await?;
    store.delete("foo").await?;
    store.must_get("foo/bar", Some(b"baz")).await?;

    store.put("foo/nested1/nested2/nested3", "baz").await?;
    store.delete("foo/nested1/nested2/nested3").await?;
    pages(store, "foo/", &["bar"]).await?;
    store.put("foo/zip", "zap").await?;
    store.delete("foo/bar").await?;
    pages(store, "", &["foo/"]).await?;
    store.delete("foo/zip").await?;
    pages(store, "", &[]).await?;

    store.put("foo/nested1/nested2/value1", "baz").await?;
    store.put("foo/nested1/nested2/value2", "baz").await?;
    store.delete("foo/nested1/nested2/value2").await?;
    pages(store, "", &["foo/"]).await?;
    store.delete("foo/nested1/nested2/value1").await?;
    pages(store, "", &[]).await
}

async fn ten_keys(ground: &Ground<'_>) -> Verdict {
    let store = &ground.store().await?;
    let names: Vec<String> = (0..10).map(|number| format!("key-{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for (index, name) in names.iter().enumerate() {
        store.put(&format!("foo/{name}"), "value").await?;
        pages(store, "foo/", names.get(..=index).unwrap_or_default()).await?;
    }
    for name in &names {
        store.delete(&format!("foo/{name}")).await?;
    }
    pages(store, "foo/", &[]).await
}

async fn prefixes(ground: &Ground<'_>) -> Verdict {
    let store = &ground.store().await?;
    for key in ["foo", "foo/bar", "foo/bar/baz"] {
        store.put(key, "test").await?;
    }
    store.must_list("", &["foo", "foo/"]).await?;
    store.must_list("foo/", &["bar", "bar/"]).await?;
    store.must_list("foo/bar/", &["baz"]).await?;
    for key in ["foo", "foo/bar", "foo/bar/baz"] {
        store.delete(key).await?;
    }
    store.must_list::<&str>("", &[]).await
}
