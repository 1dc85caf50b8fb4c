//! The cases that OpenBao runs against every physical backend, 1 to 23 in its order, without those for locks and transactions.

use cofferdam_backend::Storage;

use super::{delete, folder, get, list, list_after, put};

/// After every step that changes the store: the listing, and every way to page through it.
async fn pages(storage: &dyn Storage, at: &str, expected: &[&str]) {
    assert_eq!(list(storage, at).await, expected, "list {at:?}");
    for limit in [expected.len(), expected.len() + 1, usize::MAX >> 40] {
        if limit > 0 {
            assert_eq!(list_after(storage, at, "", limit).await, expected, "limit {limit}");
        }
    }
    // Everything sorts after a dot here.
    assert_eq!(list_after(storage, at, ".", 1_000).await, expected);
    let (Some(first), Some(last)) = (expected.first(), expected.last()) else {
        assert!(list_after(storage, at, "bogus", 1_000).await.is_empty());
        assert!(list_after(storage, at, "bogus", 2).await.is_empty());
        return;
    };
    assert_eq!(list_after(storage, at, "", 1).await, [*first]);
    for (index, name) in expected.iter().enumerate() {
        let rest = &expected[index + 1..];
        assert_eq!(list_after(storage, at, name, 1).await, rest.iter().take(1).copied().collect::<Vec<_>>(), "one after {name}");
        for limit in [1_000, expected.len(), rest.len()] {
            if limit > 0 {
                assert_eq!(list_after(storage, at, name, limit).await, rest, "after {name}");
            }
        }
        assert_eq!(list_after(storage, at, "", index + 1).await, expected[..=index]);
    }
    let before: String = if first.chars().count() > 1 { first.chars().take(1).collect() } else { "!".to_owned() };
    assert_eq!(list_after(storage, at, &before, 1_000).await, expected, "after {before:?}, which does not exist");
    assert!(list_after(storage, at, &format!("{last}z"), 1_000).await.is_empty());
    // A page that holds them all may promise more, if the backend cannot tell. There is none.
    let page = storage.list_page(&folder(at), "", expected.len() as u32).await.unwrap();
    if page.names.len() == expected.len() && page.more {
        let rest = storage.list_page(&folder(at), last, 1).await.unwrap();
        assert!(rest.names.is_empty() && !rest.more, "more after the last: {rest:?}");
    }
}

pub(super) async fn basics(storage: &dyn Storage) {
    pages(storage, "", &[]).await;
    delete(storage, "foo").await;
    assert_eq!(get(storage, "foo").await, None);
    put(storage, "foo", "test").await;
    assert_eq!(get(storage, "foo").await.unwrap(), "test");
    pages(storage, "", &["foo"]).await;
    delete(storage, "foo").await;
    pages(storage, "", &[]).await;
    assert_eq!(get(storage, "foo").await, None);

    put(storage, "foo", "test").await;
    put(storage, "foo", "test").await;
    put(storage, "foo/bar", "baz").await;
    assert_eq!(get(storage, "foo/bar").await.unwrap(), "baz");
    pages(storage, "", &["foo", "foo/"]).await;
    delete(storage, "foo").await;
    assert_eq!(get(storage, "foo/bar").await.unwrap(), "baz");

    put(storage, "foo/nested1/nested2/nested3", "baz").await;
    delete(storage, "foo/nested1/nested2/nested3").await;
    pages(storage, "foo/", &["bar"]).await;
    put(storage, "foo/zip", "zap").await;
    delete(storage, "foo/bar").await;
    pages(storage, "", &["foo/"]).await;
    delete(storage, "foo/zip").await;
    pages(storage, "", &[]).await;

    put(storage, "foo/nested1/nested2/value1", "baz").await;
    put(storage, "foo/nested1/nested2/value2", "baz").await;
    delete(storage, "foo/nested1/nested2/value2").await;
    assert!(!list(storage, "").await.is_empty());
    pages(storage, "", &["foo/"]).await;
    delete(storage, "foo/nested1/nested2/value1").await;
    pages(storage, "", &[]).await;
}

pub(super) async fn ten_keys(storage: &dyn Storage) {
    let names: Vec<String> = (0..10).map(|number| format!("key-{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for (index, name) in names.iter().enumerate() {
        put(storage, &format!("foo/{name}"), "value").await;
        pages(storage, "foo/", &names[..=index]).await;
    }
    for name in &names {
        delete(storage, &format!("foo/{name}")).await;
    }
    pages(storage, "foo/", &[]).await;
}

pub(super) async fn prefixes(storage: &dyn Storage) {
    for key in ["foo", "foo/bar", "foo/bar/baz"] {
        put(storage, key, "test").await;
    }
    assert_eq!(list(storage, "").await, ["foo", "foo/"]);
    assert_eq!(list(storage, "foo/").await, ["bar", "bar/"]);
    assert_eq!(list(storage, "foo/bar/").await, ["baz"]);
    for key in ["foo", "foo/bar", "foo/bar/baz"] {
        delete(storage, key).await;
    }
    assert!(list(storage, "").await.is_empty());
}
