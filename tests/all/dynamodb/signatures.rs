//! Signatures, checked by an implementation that is not ours: moto recomputes each with botocore, looks up the keys and their permissions, and demands
//! the session token of temporary ones.

use cofferdam_backend::{Held, Operation, Storage};
use cofferdam_emulator::{Keys, Moto, Upstream};
use futures_util::future::join_all;

use super::{Ground, Opening, bare, walk};
use crate::conformance::{delete, get, key, list, put, scan};

/// A bit of everything that the guest sends, with names that a signature must encode and bodies of many sizes.
async fn mixed_run(ground: &Ground, keys: &Keys) {
    let opening = |keys: &Keys| Opening { keys: keys.clone(), ..Opening::default() };
    let guest = ground.open_with(opening(keys)).await.unwrap();
    for at in ["a", "b/c", "d/\u{e4}\u{1f512}/ x+y=z&%", "d/e/f/g"] {
        put(&*guest, at, vec![7; at.len() * 911]).await;
        assert_eq!(get(&*guest, at).await.unwrap().len(), at.len() * 911);
    }
    join_all((0..20).map(async |number| put(&*guest, &format!("p/{number}"), vec![0; number * number * 100]).await)).await;
    assert_eq!(list(&*guest, "p/").await.len(), 20);
    assert_eq!(scan(&*guest, 2, 7).await.len(), 24);
    guest.batch(vec![Operation::Put(key("q/r"), "1".into()), Operation::Delete(key("p/0"))]).await.unwrap();
    let lock = guest.lock().unwrap();
    let held = Held { value: "v".into(), identity: "me".to_owned(), expires: 17 };
    assert!(lock.try_acquire(&key("core/lock"), held.clone(), None).await.unwrap());
    assert!(lock.renew(&key("core/lock"), "me", 18).await.unwrap());
    assert_eq!(lock.read(&key("core/lock")).await.unwrap().unwrap().expires, 18);
    lock.release(&key("core/lock"), "me").await.unwrap();
    for at in walk(&*guest).await {
        delete(&*guest, &at).await;
    }
    assert!(list(&*guest, "").await.is_empty());
    let requests = ground.proxy.take();
    assert!(requests.len() > 60 && requests.iter().all(|request| request.status.is_some_and(|status| status < 500)), "{requests:?}");
    let token = keys.token.as_deref().unwrap_or_default();
    assert!(requests.iter().all(|request| request.header("x-amz-security-token") == token));
    assert!(ground.proxy.complaints().is_empty(), "{:?}", ground.proxy.complaints());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_signature_holds_and_only_with_the_right_secret() {
    let (moto, user, role) = Moto::start_auth().await.unwrap();
    for keys in [&user, &role] {
        let ground = bare(Upstream::from(&moto)).await;
        mixed_run(&ground, keys).await;
    }
    // The proxy changes nothing that is signed, so what fails here fails for what is wrong with it.
    let one_off = |secret: &str| secret.chars().rev().collect::<String>();
    let wrong = [
        Keys { secret: one_off(&user.secret), ..user.clone() },
        Keys { access: "AKIAIOSFODNN7EXAMPLE".to_owned(), ..user.clone() },
        Keys { token: None, ..role.clone() },
        Keys { token: Some("another".to_owned()), ..role.clone() },
        Keys { secret: one_off(&role.secret), ..role.clone() },
    ];
    for keys in wrong {
        let ground = bare(Upstream::from(&moto)).await;
        let settings = vec![("dynamodb_max_retries", "0")];
        let opened = ground.open_with(Opening { keys: keys.clone(), settings, ..Opening::default() }).await;
        let error = opened.err().unwrap_or_else(|| panic!("{keys:?} were taken")).to_string();
        let requests = ground.proxy.take();
        assert!(!requests.is_empty() && requests.iter().all(|request| request.status == Some(403)), "{error}: {requests:?}");
        assert!(!error.contains(&keys.secret) && keys.token.iter().all(|token| !error.contains(token)), "{error}");
    }
}
