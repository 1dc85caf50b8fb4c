//! What is refused, what is told, and in which words.

use super::*;

fn refused<T>(result: Result<T>) -> String {
    match result {
        Err(Error::Refused(text)) => text,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("not refused"),
    }
}

fn told<T>(result: Result<T>) -> String {
    match result {
        Err(Error::BadRequest(text)) => text,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("not refused"),
    }
}

#[tokio::test]
async fn without_being_asked_nothing_is_migrated_and_not_without_need_either() {
    for case in CASES {
        let setting = Setting::new(case).await;
        let storage = setting.storage(true);
        let unsealer = with(storage.clone(), &setting.new);
        assert!(unsealer.migration_pending().await.unwrap());
        let plain = unsealer.unseal_with(&setting.parts[0], false).await;
        assert_eq!(refused(plain), "migrate option not provided and seal migration is pending");
        assert_eq!(refused(unsealer.unseal_by_service().await), "cannot auto-unseal during seal migration");
        let other = with(storage.clone(), &setting.old);
        assert_eq!(refused(other.unseal_with(&setting.parts[0], true).await), "can't perform a seal migration, no migration seal found");
        assert_eq!(storage.snapshot(), setting.store);
        // Done by another server, it is no matter any more.
        drop(setting.finish(storage).await.unwrap());
        assert!(!unsealer.migration_pending().await.unwrap());
        if unsealer.is_auto() {
            assert!(unsealer.unseal_by_service().await.unwrap());
        } else {
            // It was asked for, and there is nothing to do.
            give(&unsealer, &setting.parts, true).await.unwrap();
        }
        holds_its_entry(&unsealer).await;
    }
}

#[tokio::test]
async fn the_status_shows_the_new_seal_and_the_shares_of_the_old_one() {
    for (case, kind) in [(Case::ToService, "awskms"), (Case::ToShamir, "shamir"), (Case::Between, "awskms")] {
        let setting = Setting::new(case).await;
        let unsealer = with(setting.storage(true), &setting.new);
        let expected = SealState {
            kind: kind.to_owned(),
            recovery: case != Case::ToShamir,
            initialized: true,
            sealed: true,
            threshold: 2,
            shares: 3,
            progress: 0,
            nonce: String::new(),
            migration: true,
        };
        assert_eq!(unsealer.status().await.unwrap(), expected, "{case:?}");
        assert!(!unsealer.unseal_with(&setting.parts[0], true).await.unwrap());
        let status = unsealer.status().await.unwrap();
        assert_eq!((status.progress, status.nonce.len(), status.migration), (1, 36, true));
        assert!(unsealer.unseal_with(&setting.parts[1], true).await.unwrap());
        assert_eq!(unsealer.status().await.unwrap(), SealState { sealed: false, migration: false, ..expected.clone() });
        unsealer.seal();
        assert_eq!(unsealer.status().await.unwrap(), SealState { migration: false, ..expected });
    }
}

#[tokio::test]
async fn a_status_asks_no_key_service() {
    let (old, new) = (Service::new("old"), Service::new("new"));
    let (storage, parts) = made_by(&old.seal("old"), 3, 2).await;
    let unsealer = sealed_by(storage, &[&new.seal("new")], Some(&old.seal("old")));
    let before = (old.asked(), new.asked());
    for _ in 0..3 {
        assert!(unsealer.status().await.unwrap().migration);
    }
    assert_eq!((old.asked(), new.asked()), before);
    // Asked once for what is stored.
    for _ in 0..3 {
        assert!(unsealer.migration_pending().await.unwrap());
    }
    assert_eq!((old.asked().1, new.asked().1), (before.0.1 + 1, before.1.1 + 1));
    give(&unsealer, &parts, true).await.unwrap();
}

#[tokio::test]
async fn what_the_new_key_opens_needs_no_migration() {
    // Of one account and region: the service takes whichever key the blob names.
    let service = Service::new("old");
    let old = service.seal("old");
    let (storage, _) = made_by(&old, 3, 2).await;
    service.turn_to("new");
    let unsealer = sealed_by(storage.clone(), &[&service.seal("new")], Some(&old));
    assert!(!unsealer.migration_pending().await.unwrap());
    assert!(unsealer.unseal_by_service().await.unwrap());
    let stored = storage.snapshot();
    for path in [STORED_KEYS_PATH, RECOVERY_KEY_PATH] {
        assert_eq!(Header::of(path, &stored[path]).unwrap().key_id, "new");
    }
    unsealer.seal();
    assert!(!unsealer.status().await.unwrap().migration);
}

#[tokio::test]
async fn a_service_that_gives_no_answer_is_asked_again_before_a_migration_counts_as_pending() {
    use cofferdam_backend::Error as Backend;
    let limit = std::time::Duration::from_secs(1);
    for failure in [
        Backend::Unavailable("away".to_owned()),
        Backend::Throttled(limit),
        Backend::Busy(limit),
        Backend::Quarantined("seal/new".to_owned()),
        Backend::TimedOut(limit),
        Backend::Breach("trap".to_owned()),
    ] {
        for several in [false, true] {
            let service = Service::new("old");
            let old = service.seal("old");
            let (storage, _) = made_by(&old, 3, 2).await;
            service.turn_to("new");
            // The new one's way to the service is cut off for a while, the old one's is not.
            let cut_off = service.twin();
            let (lost, new) = (Service::new("lost").seal("lost"), cut_off.seal("new"));
            let seals = if several { vec![&lost, &new] } else { vec![&new] };
            let unsealer = sealed_by(storage, &seals, Some(&old));
            cut_off.fail(Some(failure.clone()));
            for _ in 0..2 {
                let pending = unsealer.migration_pending().await;
                assert!(matches!(&pending, Err(Error::Seal { source, .. }) if *source == failure), "{failure}: {pending:?}");
            }
            cut_off.fail(None);
            assert!(!unsealer.migration_pending().await.unwrap(), "{failure}");
            assert!(unsealer.unseal_by_service().await.unwrap());
        }
    }
}

#[tokio::test]
async fn where_nobody_said_how_it_is_refused_with_the_words_of_the_field() {
    let (old, other) = (Service::new("old").seal("old"), AutoSeal { kind: "transit".to_owned(), ..Service::new("other").seal("other") });
    let (storage, _) = made_by(&old, 1, 1).await;
    let to_shamir = r#"cannot seal migrate from "awskms" to Shamir, no disabled seal in configuration"#;
    let to_other = r#"cannot seal migrate from "awskms" to "transit", no disabled seal in configuration"#;
    let configured: [(&[&AutoSeal], Option<&AutoSeal>, &str); 4] =
        [(&[], None, to_shamir), (&[], Some(&other), to_shamir), (&[&other], None, to_other), (&[&other], Some(&other), to_other)];
    for (seals, disabled, expected) in configured {
        let unsealer = sealed_by(storage.clone(), seals, disabled);
        for migrate in [true, false] {
            assert_eq!(refused(unsealer.unseal_with(&[0; 32], migrate).await), expected);
        }
        assert_eq!(refused(unsealer.migration_pending().await), expected);
        assert_eq!(refused(unsealer.status().await), expected);
    }
    // Between types the configuration alone tells.
    let unsealer = sealed_by(storage.clone(), &[&other], Some(&old));
    assert!(unsealer.status().await.unwrap().migration && unsealer.migration_pending().await.unwrap());
    let (shamir, parts) = made().await;
    for disabled in [Some(&old), None] {
        let unsealer = sealed_by(shamir.clone(), &[], disabled);
        assert!(!unsealer.migration_pending().await.unwrap() && !unsealer.status().await.unwrap().migration);
        give(&unsealer, &parts, disabled.is_some()).await.unwrap();
    }
    // A store without a vault has nothing to migrate.
    let empty = sealed_by(Memory::default(), &[&other], Some(&old));
    assert!(!empty.migration_pending().await.unwrap() && !empty.status().await.unwrap().migration);
}

#[tokio::test]
async fn the_old_seal_judges_the_shares() {
    for case in CASES {
        let setting = Setting::new(case).await;
        let storage = setting.storage(true);
        let unsealer = with(storage.clone(), &setting.new);
        let mut wrong = setting.parts.clone();
        wrong[0][0] ^= 1;
        let expected = match case {
            Case::ToService => {
                "unable to retrieve stored keys: invalid key: failed to decrypt keys from storage: cipher: message authentication failed"
            }
            _ => "failed to verify recovery key: recovery key does not match submitted values",
        };
        assert_eq!(told(give(&unsealer, &wrong, true).await), expected);
        assert_eq!((unsealer.status().await.unwrap().progress, storage.snapshot()), (0, setting.store.clone()));
        give(&unsealer, &setting.parts, true).await.unwrap();
    }
}

#[tokio::test]
async fn a_key_service_that_fails_changes_nothing() {
    for (case, failing) in [(Case::ToService, 1), (Case::ToShamir, 0), (Case::Between, 0), (Case::Between, 1)] {
        let services = [Service::new("old"), Service::new("new")];
        let (old, new) = (services[0].seal("old"), services[1].seal("new"));
        let ((storage, parts), seals, disabled) = match case {
            Case::ToService => (made().await, vec![&new], None),
            Case::ToShamir => (made_by(&old, 3, 2).await, vec![], Some(&old)),
            Case::Between => (made_by(&old, 3, 2).await, vec![&new], Some(&old)),
        };
        let before = storage.snapshot();
        let unsealer = sealed_by(storage.clone(), &seals, disabled);
        let unavailable = || cofferdam_backend::Error::Unavailable("down".to_owned());
        services[failing].fail(Some(unavailable()));
        assert!(matches!(give(&unsealer, &parts, true).await, Err(Error::Seal { .. })), "{case:?}");
        assert!(unsealer.status().await.unwrap().sealed);
        assert_eq!(storage.snapshot(), before);
        services[failing].fail(None);
        give(&unsealer, &parts, true).await.unwrap();
        holds_its_entry(&unsealer).await;
    }
}

#[tokio::test]
async fn where_neither_service_opens_the_keys_it_is_said() {
    let (storage, _) = made_by(&Service::new("lost").seal("lost"), 3, 2).await;
    let unsealer = sealed_by(storage, &[&Service::new("new").seal("new")], Some(&Service::new("old").seal("old")));
    assert_eq!(refused(unsealer.unseal_with(&[1; 33], true).await), "neither the old nor new seal can read stored keys");
}

#[tokio::test]
async fn without_a_recovery_key_only_the_command_migrates() {
    let (old, new) = (Service::new("old").seal("old"), Service::new("new").seal("new"));
    let (storage, _) = made_by(&old, 0, 0).await;
    for seals in [vec![], vec![&new]] {
        let unsealer = sealed_by(storage.clone(), &seals, Some(&old));
        let text = refused(unsealer.unseal_with(&[1; 33], true).await);
        assert!(
            text.starts_with("recovery seal configuration not found for existing seal") && text.contains("coffer operator migrate-seal"),
            "{text}"
        );
        assert_eq!(unsealer.status().await.map(|status| (status.shares, status.threshold)).unwrap(), (0, 0));
    }
    let between = sealed_by(storage.clone(), &[&new], Some(&old));
    assert!(told(between.reshare(Some((3, 2))).await.map(drop)).contains("leave their number"));
    let prepared = between.reshare(None).await.unwrap().unwrap();
    assert_eq!((prepared.from.as_str(), prepared.to.as_str(), prepared.shares.len(), prepared.recovery), ("awskms", "awskms", 0, false));
    between.commit_reshare(prepared).await.unwrap();
    assert!(between.unseal_by_service().await.unwrap());
    holds_its_entry(&between).await;
    let again = sealed_by(storage.clone(), &[&new], None);
    assert!(again.unseal_by_service().await.unwrap());
    let to_shamir = sealed_by(storage, &[], Some(&new));
    assert!(told(to_shamir.reshare(None).await.map(drop)).contains("say how many shares"));
    assert!(told(to_shamir.reshare(Some((2, 3))).await.map(drop)).contains("threshold cannot be larger than shares"));
    let (shamir, _) = made().await;
    assert!(told(sealed_by(shamir, &[&new], None).reshare(None).await.map(drop)).contains("unseal -migrate"));
    assert_eq!(told(sealed_by(Memory::default(), &[&new], None).reshare(None).await.map(drop)), "Vault is not initialized");
}
