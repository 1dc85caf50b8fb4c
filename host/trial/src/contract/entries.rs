//! Keys, values and limits: what can be stored under which name, to the byte.

use std::collections::BTreeMap;

use bytes::Bytes;
use cofferdam_backend::{Error, Operation, Part};

use crate::case::case;
use crate::case::ensure;
use crate::store::key;
use crate::{Case, Ended, Ground, Verdict, script};

pub(super) const CASES: &[Case] = &[
    case!(
        "contract/values-any-bytes",
        "A value is any bytes, the empty one included, and comes back as it was stored",
        values_are_any_bytes
    ),
    case!("contract/values-replaced", "A put replaces the value, be it longer or shorter", values_are_replaced),
    case!(
        "contract/keys-kept-apart",
        "Long, odd and similar keys are kept apart, and each is listed and scanned as it was stored",
        keys_are_kept_apart
    ),
    case!("contract/leaf-and-folder", "A leaf and a folder of one name are unrelated", leaf_and_folder),
    case!("contract/delete-missing", "Removing what is missing succeeds and changes nothing", deleting_what_is_missing),
    case!(
        "contract/limits-to-the-byte",
        "The largest segment and value that the backend promises are stored, or what it says would fit; one byte more is refused",
        limits
    ),
    case!(
        "contract/batch-limits",
        "The largest batch that the backend promises is applied, and one operation more is refused",
        batch_limits
    ),
];

async fn values_are_any_bytes(ground: &Ground<'_>) -> Verdict {
    let store = &ground.store().await?;
    let limit = usize::try_from(store.limits().value).unwrap_or(usize::MAX);
    let lengths = [0, 1, 2, 3, 4, 6_131, 6_132, 6_133, 49_151, 49_152, 49_153, 98_304, 200_001, ground.options.of(5 << 20, 300_000)];
    let lengths = lengths.into_iter().filter(|length| *length < limit);
    for (index, length) in lengths.enumerate() {
        let value: Bytes = (0..=255_u8).cycle().take(length).collect();
        let at = format!("v/{index}");
        store.put(&at, value.clone()).await?;
        store.must_get(&at, Some(&value)).await?;
    }
    // An empty value is an entry.
    store.must_get("v/0", Some(b"")).await?;
    let names = store.list("v/").await?;
    ensure!(names.contains(&"0".to_owned()), "list v/: the entry 0, whose value is empty, is missing: {}", script::names(&names));
    let scanned = store.scan(1, 10).await?;
    ensure!(scanned.get("v/0").is_some_and(Bytes::is_empty), "scan: the entry v/0, whose value is empty, is missing");
    Ok(())
}

async fn values_are_replaced(ground: &Ground<'_>) -> Verdict {
    let store = &ground.store().await?;
    let limit = usize::try_from(store.limits().value).unwrap_or(usize::MAX);
    for length in [1_000, 10, 100_000, 0, 50_000, 3, 200_000, 1] {
        let value = Bytes::from(vec![u8::try_from(length % 251).unwrap_or_default(); length.min(limit)]);
        store.put("r/k", value.clone()).await?;
        store.must_get("r/k", Some(&value)).await?;
        store.must_scan(1, 10, &BTreeMap::from([("r/k".to_owned(), value)])).await?;
        store.must_list("r/", &["k"]).await?;
    }
    Ok(())
}

async fn keys_are_kept_apart(ground: &Ground<'_>) -> Verdict {
    let store = &ground.store().await?;
    let limits = store.limits();
    let long = "l".repeat(254);
    let deep = vec!["d"; 300].join("/");
    let keys = [
        "a",
        "A",
        "ä",
        "a\u{308}",
        "_",
        "__",
        "_q/b",
        ".a",
        "..a",
        "a..",
        "...",
        "a b",
        " ",
        "{\"Value\":\"\"}",
        "a\\b",
        "x:y|z*?<>",
        "~",
        "%2e",
        "%2f",
        "$HOME",
        "'",
        "a\"b",
        "\u{202e}x",
        "\u{1f512}",
        "\u{fffd}",
        "日本語/鍵",
        "x.temp",
        "x.temp.temp",
        "lock",
        "0123456789abcdef.tmp",
        ".cofferdam",
        "a/.cofferdam/b",
        "core/keyring",
        &long,
        &deep,
    ];
    let fits = |at: &&str| at.len() <= limits.key as usize && at.split('/').all(|segment| segment.len() <= limits.segment as usize);
    let keys: Vec<&str> = keys.into_iter().filter(fits).collect();
    let mut expected = BTreeMap::new();
    for (index, at) in keys.iter().enumerate() {
        store.put(at, index.to_string()).await?;
        expected.insert((*at).to_owned(), Bytes::from(index.to_string()));
    }
    for (at, value) in &expected {
        store.must_get(at, Some(value)).await?;
    }
    store.must_scan(1, 7, &expected).await?;
    for at in keys {
        let (above, leaf) = at.split_at(at.rfind('/').map_or(0, |slash| slash + 1));
        let names = store.list(above).await?;
        ensure!(names.iter().any(|name| name == leaf), "list {}: {} is missing", script::name(above), script::name(leaf));
        store.delete(at).await?;
        store.must_get(at, None).await?;
    }
    store.must_list::<&str>("", &[]).await
}

async fn leaf_and_folder(ground: &Ground<'_>) -> Verdict {
    let store = &ground.store().await?;
    for removed in ["a", "a/b"] {
        store.put("a", "leaf").await?;
        store.put("a/b", "below").await?;
        store.must_list("", &["a", "a/"]).await?;
        store.must_get("a", Some(b"leaf")).await?;
        store.must_get("a/b", Some(b"below")).await?;
        store.delete(removed).await?;
        store.must_list("", &[if removed == "a" { "a/" } else { "a" }]).await?;
        store.delete("a").await?;
        store.delete("a/b").await?;
        store.must_list::<&str>("", &[]).await?;
    }
    Ok(())
}

async fn deleting_what_is_missing(ground: &Ground<'_>) -> Verdict {
    let store = &ground.store().await?;
    store.put("a/b/c", "1").await?;
    for missing in ["a", "a/b", "a/b/d", "a/b/c/d", "x", "x/y/z", "a/x/y"] {
        store.delete(missing).await?;
        store.delete(missing).await?;
        store.must_get(missing, None).await?;
        store.must_get("a/b/c", Some(b"1")).await?;
        store.must_list("", &["a/"]).await?;
        store.must_list("a/", &["b/"]).await?;
    }
    for missing in ["b/", "a/c/", "a/b/c/"] {
        store.must_list::<&str>(missing, &[]).await?;
    }
    Ok(())
}

/// Whether it is one of the caller's faults that the contract has for keys and sizes: a backend may refuse a key that is within its limits.
fn refused(error: &Error) -> bool {
    matches!(error, Error::InvalidKey(_) | Error::TooLarge { .. })
}

/// Limits are the runtime's to check: a storage that is no guest may have none.
async fn limits(ground: &Ground<'_>) -> Verdict {
    let opened = ground.open(crate::OpenWith::fresh()).await?;
    let store = &ground.store_of(&opened);
    let limits = store.limits();
    let (segment_limit, key_limit) = (limits.segment as usize, limits.key as usize);
    let segment = "s".repeat(segment_limit.min(key_limit));
    let mut longest = String::new();
    while longest.len() + segment.len() + 1 < key_limit {
        longest = format!("{longest}{segment}/");
    }
    longest.push_str(&"k".repeat(key_limit - longest.len()));
    // The longest segment alone must do; a key of many such may be more than this backend can store.
    store.put(&segment, "1").await?;
    store.must_get(&segment, Some(b"1")).await?;
    store.delete(&segment).await?;
    match store.storage().put(&key(&longest)?, "1".into()).await {
        Ok(()) => {
            store.must_get(&longest, Some(b"1")).await?;
            store.must_scan(1, 1, &BTreeMap::from([(longest.clone(), Bytes::from_static(b"1"))])).await?;
            store.delete(&longest).await?;
        }
        Err(error) => ensure!(refused(&error), "put {}: expected no error or invalid-key, found {error}", script::name(&longest)),
    }
    store.must_list::<&str>("", &[]).await?;

    let size = usize::try_from(limits.value).map_err(|_| Ended::failed("a value of the promised size does not fit into memory"))?;
    let mut largest = Bytes::from(vec![0xa5; size]);
    if let Err(Error::TooLarge { part: Part::Value, limit, .. }) = store.storage().put(&key("large")?, largest.clone()).await {
        // Beside this key it may be less. What it says would fit must fit.
        let fits = usize::try_from(limit).unwrap_or(size).min(size);
        ensure!(fits >= size / 2, "put large: a value of {size} bytes is promised, and {fits} would fit beside this key");
        largest.truncate(fits);
    }
    store.put("large", largest.clone()).await?;
    store.must_get("large", Some(&largest)).await?;
    store.must_scan(1, 10, &BTreeMap::from([("large".to_owned(), largest)])).await?;
    store.delete("large").await?;

    if opened.backend.is_none() {
        return Ok(());
    }
    let over = [
        (format!("{segment}s"), Bytes::new(), Part::Segment),
        (format!("{segment}s/x"), Bytes::new(), Part::Segment),
        (format!("{longest}k"), Bytes::new(), Part::Key),
        ("v".to_owned(), Bytes::from(vec![0; size + 1]), Part::Value),
    ];
    for (at, value, expected) in over {
        let line = format!("put {} = {}", script::name(&at), script::value(&value));
        match store.storage().put(&key(&at)?, value).await {
            Err(error) if refused(&error) => {}
            Ok(()) => return Err(Ended::failed(format!("{line}: expected that the {expected} is too large, found no error"))),
            Err(error) => return Err(Ended::failed(format!("{line}: expected that the {expected} is too large, found {error}"))),
        }
    }
    store.must_list::<&str>("", &[]).await
}

async fn batch_limits(ground: &Ground<'_>) -> Verdict {
    let opened = ground.open(crate::OpenWith::fresh()).await?;
    let store = &ground.store_of(&opened);
    let limits = store.limits();
    let most = limits.batch_operations.min(1_000);
    if most == 0 {
        return Err(Ended::skipped("the backend takes no batches"));
    }
    let width = most.to_string().len();
    let name = |number: u32| format!("b/{number:0width$}");
    let entry = |number: u32| Ok::<_, Ended>(Operation::Put(key(&name(number))?, Bytes::from(number.to_string())));
    store.batch((0..most).map(entry).collect::<Result<_, Ended>>()?).await?;
    let names: Vec<String> = (0..most).map(|number| format!("{number:0width$}")).collect();
    store.must_list("b/", &names).await?;
    store.batch((0..most).map(|number| Ok(Operation::Delete(key(&name(number))?))).collect::<Result<_, Ended>>()?).await?;
    store.must_list::<&str>("", &[]).await?;
    if opened.backend.is_none() || most < limits.batch_operations {
        return Ok(());
    }
    let over = store.storage().batch((0..=most).map(entry).collect::<Result<_, Ended>>()?).await;
    ensure!(
        matches!(over, Err(Error::TooLarge { part: Part::Batch, .. })),
        "a batch of {} operations: expected that it is too large, found {over:?}",
        most + 1
    );
    store.must_list::<&str>("", &[]).await
}
