//! DynamoDB's limits, to the byte: what is within them is stored, what is over them is refused before anything is sent, with size and limit.

use bytes::Bytes;
use cofferdam_backend::{Error, Operation, Part, Storage};
use cofferdam_emulator::{Action, Rule};

use super::{Emulator, ground};
use crate::conformance::{delete, get, key, list, put, scan};

const ITEM: usize = 400 << 10;
/// The names of the attributes count as well.
const NAMES: usize = "PathKeyValue".len();

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_largest_value_fills_the_item_and_one_byte_more_is_not_sent() {
    let ground = ground(Emulator::Dynalite).await;
    let guest = ground.open().await;
    for (at, keys) in [("k", " k"), ("a/b/key", "a/bkey"), ("a/\u{e4}", "a\u{e4}")] {
        let room = ITEM - NAMES - keys.len();
        let largest = Bytes::from(vec![0xa5; room]);
        put(&*guest, at, largest.clone()).await;
        assert!(get(&*guest, at).await.unwrap() == largest, "{at}");
        assert!(scan(&*guest, 1, 10).await.remove(at).unwrap() == largest, "{at}");
        ground.proxy.take();
        match guest.put(&key(at), Bytes::from(vec![0xa5; room + 1])).await {
            Err(Error::TooLarge { part: Part::Value, size, limit }) => assert_eq!((size, limit), (room as u64 + 1, room as u64), "{at}"),
            other => panic!("{at}: {other:?}"),
        }
        assert!(ground.proxy.take().is_empty(), "{at}: something was sent");
        delete(&*guest, at).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_longest_keys_are_stored_and_longer_ones_are_not_sent() {
    let ground = ground(Emulator::Dynalite).await;
    let guest = ground.open().await;
    let text = |length: usize| "s".repeat(length);
    let longest_path = format!("{}/{}/{}", text(1_023), text(1_000), text(23));
    assert_eq!(longest_path.len(), 2_048);
    for at in [text(1_024), format!("{}/k", text(1_023)), format!("{longest_path}/{}", text(1_024))] {
        put(&*guest, &at, "v").await;
        assert_eq!(get(&*guest, &at).await.unwrap(), "v");
        let (above, leaf) = at.split_at(at.rfind('/').map_or(0, |slash| slash + 1));
        assert_eq!(list(&*guest, above).await, [leaf]);
        assert!(scan(&*guest, 1, 10).await.into_keys().eq([at.clone()]));
        delete(&*guest, &at).await;
        assert!(list(&*guest, "").await.is_empty());
    }
    ground.proxy.take();
    for (at, number) in [
        (text(1_025), "1024"),
        (format!("a/{}", text(1_025)), "1024"),
        (format!("{}/k", text(1_024)), "1024"),
        (format!("{longest_path}s/k"), "2048"),
    ] {
        let size = at.split('/').map(str::len).max().unwrap();
        for error in [guest.put(&key(&at), "v".into()).await.unwrap_err(), guest.get(&key(&at)).await.unwrap_err()] {
            match &error {
                Error::TooLarge { part: Part::Segment, size: told, limit } => assert!(*told == size as u64 && *limit == 1_024),
                Error::InvalidKey(text) => assert!(text.contains(number), "{text}"),
                other => panic!("{other:?}"),
            }
        }
    }
    assert!(ground.proxy.take().is_empty(), "something was sent");
    let over = format!("{longest_path}/{}", text(1_025));
    assert!(matches!(guest.put(&key(&over), "v".into()).await, Err(Error::TooLarge { part: Part::Key, size: 3_074, limit: 3_073 })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listing_of_the_longest_names_is_whole() {
    let ground = ground(Emulator::Dynalite).await;
    let guest = ground.open().await;
    // More than a mebibyte of names: several pages of DynamoDB's, whatever the limit.
    let names: Vec<String> = (0..1_100).map(|number| format!("{number:04}{}", "n".repeat(1_020))).collect();
    for chunk in names.chunks(64) {
        futures_util::future::join_all(chunk.iter().map(async |name| put(&*guest, &format!("f/{name}"), "v").await)).await;
    }
    assert!(list(&*guest, "f/").await == names);
    let page = guest.list_page(&crate::conformance::folder("f/"), &names[1_000], 1_000).await.unwrap();
    assert!(page.names == names[1_001..] && !page.more);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_largest_batch_goes_through_and_a_larger_one_is_refused() {
    let ground = ground(Emulator::Dynalite).await;
    let guest = ground.open().await;
    let limits = guest.descriptor().limits;
    let most = limits.batch_operations as usize;
    let size = (limits.batch_bytes as usize / most - 64).min(ITEM / 2);
    // Each in folders of its own, and all throttled now and then.
    let put = |number: usize| Operation::Put(key(&format!("b/{number}/{number}/k")), vec![7_u8; size].into());
    ground.proxy.rule(Rule::new(Action::Refuse("ThrottlingException")).percent(10));
    // What a slow machine has no time to repeat within one call is repeated by the next.
    let mut throttled = 0;
    while let Err(error) = guest.batch((0..most).map(put).collect()).await {
        throttled += 1;
        assert!(matches!(error, Error::Throttled(_)) && throttled < 10, "{error}");
    }
    ground.proxy.clear();
    assert_eq!(scan(&*guest, 1, 1_000).await.len(), most);
    guest.batch((0..most).map(|number| Operation::Delete(key(&format!("b/{number}/{number}/k")))).collect()).await.unwrap();
    assert!(list(&*guest, "").await.is_empty() && ground.table.items().await.unwrap().is_empty());
    ground.proxy.take();
    let over = guest.batch((0..=most).map(|number| Operation::Delete(key(&number.to_string()))).collect()).await;
    assert!(matches!(over, Err(Error::TooLarge { part: Part::Batch, .. })), "{over:?}");
    assert!(ground.proxy.take().is_empty());
}
