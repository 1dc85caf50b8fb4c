//! What is refused, in the words and with the statuses of the field.

use super::*;

/// The text, and whether the status is 500.
fn text<T>(result: Result<T>) -> (String, bool) {
    match result.err().unwrap() {
        Error::BadRequest(text) => (text, false),
        Error::Refused(text) => (text, true),
        other => panic!("{other:?}"),
    }
}

fn assert_refused<T>(result: Result<T>, expected: &str, status_500: bool) {
    assert_eq!(text(result), (expected.to_owned(), status_500));
}

#[tokio::test]
async fn what_cannot_be_asked_of_shamirs_seal() {
    let (storage, parts) = shamir().await;
    let unsealer = over(storage);
    open(&unsealer, &parts).await;
    let begin = async |words, asked: Asked| unsealer.rekey_begin(Target::Root, words, &asked).await;
    for (shares, threshold, reason) in [
        (0, 0, "shares must be at least one"),
        (2, 1, "threshold must be greater than one for multiple shares"),
        (2, 3, "threshold cannot be larger than shares"),
        (256, 3, "shares must be less than 256"),
        (3, 0, "threshold must be at least one"),
    ] {
        assert_refused(begin(Words::Rekey, asked(shares, threshold)).await, &format!("invalid rekey seal configuration: {reason}"), true);
        assert_refused(
            begin(Words::Rotate, asked(shares, threshold)).await,
            &format!("invalid rotate seal configuration: {reason}"),
            false,
        );
    }
    let backup = || Asked { backup: true, ..asked(1, 1) };
    let no_backup = "cannot request a backup of the new keys without providing PGP keys for encryption";
    assert_refused(begin(Words::Rekey, backup()).await, no_backup, false);
    assert_refused(begin(Words::Rotate, backup()).await, no_backup, false);
    let pgp = |pgp_keys| Asked { pgp_keys, ..asked(1, 1) };
    assert_refused(begin(Words::Rekey, pgp(2)).await, "incorrect number of PGP keys for rekey", false);
    for words in [Words::Rekey, Words::Rotate] {
        assert!(text(begin(words, pgp(1)).await).0.starts_with("pgp_keys are not supported"));
    }
    for (words, expected) in [(Words::Rekey, "recovery rekeying not supported"), (Words::Rotate, "recovery keys not supported")] {
        assert_refused(unsealer.rekey_begin(Target::Recovery, words, &asked(1, 1)).await, expected, false);
        assert_refused(unsealer.rekey_progress(Target::Recovery, words).await, expected, false);
        assert_refused(unsealer.rekey_update(Target::Recovery, words, &[0; 33], "").await, expected, false);
    }
    assert!(!unsealer.rekey_progress(Target::Root, Words::Rekey).await.unwrap().started);
}

#[tokio::test]
async fn what_cannot_be_asked_of_a_key_service() {
    let (storage, service, _) = serviced(3, 2).await;
    let unsealer = with_service(storage, &service);
    unsealer.unseal_by_service().await.unwrap();
    let begin = async |target, words, asked: Asked| unsealer.rekey_begin(target, words, &asked).await;
    let (rekey, rotate) = (Words::Rekey, Words::Rotate);
    let pgp = || Asked { pgp_keys: 1, ..asked(1, 1) };
    let text = "PGP key encryption not supported when rekeying the barrier key with recovery keys";
    assert_refused(begin(Target::Root, rekey, pgp()).await, text, false);
    assert_refused(begin(Target::Root, rotate, pgp()).await, "PGP key encryption not supported when using stored keys", false);
    let backup = Asked { backup: true, ..asked(1, 1) };
    assert_refused(begin(Target::Root, rotate, backup).await, "key backup not supported when using stored keys", false);
    let end = "the barrier key with recovery keys";
    let text = format!("requiring verification not supported when rekeying {end}");
    assert_refused(begin(Target::Root, rekey, verified(1, 1)).await, &text, false);
    let text = format!("requiring verification not supported when rotating {end}");
    assert_refused(begin(Target::Root, rotate, verified(1, 1)).await, &text, false);
    let text = "invalid recovery configuration: shares must be at least one";
    assert_refused(begin(Target::Recovery, rekey, asked(0, 0)).await, text, true);
    assert_refused(begin(Target::Recovery, rotate, asked(0, 0)).await, text, false);
    // Numbers do not matter for the root key.
    let Given::More(progress) = begin(Target::Root, rekey, asked(5, 9)).await.unwrap() else { panic!() };
    assert_eq!((progress.shares, progress.threshold, progress.required), (1, 1, 2));
}

#[tokio::test]
async fn shares_that_are_wrong_repeated_or_for_something_else() {
    let (storage, parts) = shamir().await;
    let unsealer = over(storage.clone());
    open(&unsealer, &parts).await;
    let before = storage.snapshot();
    let mut changed = parts[1].clone();
    changed[0] ^= 1;
    let short = parts[1][..32].to_vec();
    let authentication = "failed to decrypt keys from storage: cipher: message authentication failed";
    for (words, none, repeated, nonce_of, wrong, lengths) in [
        (
            Words::Rekey,
            "no barrier rekey in progress",
            "generation operation",
            "this rekey operation",
            format!("failed to read root key: invalid key: {authentication}"),
            "failed to compute root key: all parts must be the same length",
        ),
        (
            Words::Rotate,
            "no rotation in progress",
            "rotation",
            "rotation",
            format!("failed to read root key: {authentication}"),
            "failed to compute key: all parts must be the same length",
        ),
    ] {
        let status_500 = words == Words::Rekey;
        let give = async |part: &[u8], nonce: &str| unsealer.rekey_update(Target::Root, words, part, nonce).await;
        assert_refused(give(&parts[0], "").await, none, false);
        let Given::More(progress) = unsealer.rekey_begin(Target::Root, words, &asked(1, 1)).await.unwrap() else { panic!() };
        let under_way = if status_500 { "rekey already in progress" } else { "rotation already in progress" };
        assert_refused(unsealer.rekey_begin(Target::Root, words, &asked(1, 1)).await, under_way, false);
        let nonce = progress.nonce;
        assert_refused(give(&parts[0], "other").await, &format!("incorrect nonce supplied; nonce for {nonce_of} is {nonce:?}"), false);
        assert_refused(give(&[0; 15], &nonce).await, "key is shorter than minimum 16 bytes", false);
        assert_refused(give(&[0; 34], &nonce).await, "key is longer than maximum 33 bytes", false);
        assert!(matches!(give(&parts[0], &nonce).await, Ok(Given::More(Progress { progress: 1, required: 2, .. }))));
        assert_refused(give(&parts[0], &nonce).await, &format!("given key has already been provided during this {repeated}"), false);
        assert_refused(give(&changed, &nonce).await, &wrong, status_500);
        // All were dropped, right or wrong.
        assert_eq!(unsealer.rekey_progress(Target::Root, words).await.unwrap().progress, 0);
        give(&parts[0], &nonce).await.unwrap();
        assert_refused(give(&short, &nonce).await, lengths, status_500);
        give(&parts[0], &nonce).await.unwrap();
        unsealer.rekey_cancel(Target::Root, words).await.unwrap();
        assert_refused(give(&parts[1], &nonce).await, none, false);
    }
    assert_eq!(storage.snapshot(), before);
}

#[tokio::test]
async fn verification_has_its_own_nonce_and_order() {
    let (storage, parts) = shamir().await;
    let unsealer = over(storage);
    open(&unsealer, &parts).await;
    for (words, configuration, none, early, late, failed) in [
        (
            Words::Rekey,
            "no rekey configuration found",
            "no rekey in progress",
            "no rekey verification in progress",
            "rekey operation already finished",
            "failed to compute key for verification: duplicate part detected",
        ),
        (
            Words::Rotate,
            "no rotation configuration found",
            "no rotation in progress",
            "no rotation verification in progress",
            "rotation already finished",
            "failed to compute key for verification: duplicate part detected",
        ),
    ] {
        let target = Target::Root;
        let prove = async |part: &[u8], nonce: &str| unsealer.rekey_prove(target, words, part, nonce).await;
        assert_refused(unsealer.rekey_proof(target, words), configuration, false);
        assert_refused(unsealer.rekey_proof_restart(target, words), configuration, false);
        assert_refused(prove(&parts[0], "").await, none, false);
        let Given::More(progress) = unsealer.rekey_begin(target, words, &verified(3, 2)).await.unwrap() else { panic!() };
        assert!(progress.verify);
        assert_refused(prove(&parts[0], &progress.nonce).await, early, false);
        assert!(!unsealer.rekey_proof(target, words).unwrap().started);
        let given = update(&unsealer, target, &parts, &progress.nonce).await.unwrap();
        let (new, nonce) = (parts_of(&given), given.verification_nonce.unwrap());
        let text = format!("{late}; verification must be performed; nonce for the verification operation is {nonce:?}");
        assert_refused(unsealer.rekey_update(target, words, &parts[0], &progress.nonce).await, &text, false);
        assert_refused(
            prove(&new[0], &progress.nonce).await,
            &format!("incorrect nonce supplied; nonce for this verify operation is {nonce:?}"),
            false,
        );
        prove(&new[0], &nonce).await.unwrap();
        assert_refused(prove(&new[0], &nonce).await, "given key has already been provided during this verify operation", false);
        let mut same_x = new[0].clone();
        same_x[0] ^= 1;
        assert_refused(prove(&same_x, &nonce).await, failed, words == Words::Rekey);
        unsealer.rekey_cancel(target, words).await.unwrap();
        assert!(!unsealer.rekey_progress(target, words).await.unwrap().started);
    }
}

#[tokio::test]
async fn recovery_shares_that_are_wrong_change_nothing() {
    let (storage, service, parts) = serviced(3, 2).await;
    let unsealer = with_service(storage.clone(), &service);
    unsealer.unseal_by_service().await.unwrap();
    let before = storage.snapshot();
    let mut wrong = parts.clone();
    wrong[0][0] ^= 1;
    for target in [Target::Root, Target::Recovery] {
        let text = "recovery key verification failed: recovery key does not match submitted values";
        assert_refused(rekeyed(&unsealer, target, &wrong, &asked(1, 1)).await, text, false);
        let nonce = unsealer.rekey_progress(target, Words::Rekey).await.unwrap().nonce;
        unsealer.rekey_update(target, Words::Rekey, &parts[0], &nonce).await.unwrap();
        let what = if target == Target::Root { "generation" } else { "rekey" };
        let repeated = unsealer.rekey_update(target, Words::Rekey, &parts[0], &nonce).await;
        assert_refused(repeated, &format!("given key has already been provided during this {what} operation"), false);
        unsealer.rekey_cancel(target, Words::Rekey).await.unwrap();
    }
    // Without the key service the recovery key cannot be compared.
    service.fail(Some(cofferdam_backend::Error::Unavailable("down".to_owned())));
    assert!(matches!(rekeyed(&unsealer, Target::Root, &parts, &asked(1, 1)).await, Err(Error::Seal { .. })));
    service.fail(None);
    assert_eq!(storage.snapshot(), before);
    let nonce = unsealer.rekey_progress(Target::Root, Words::Rekey).await.unwrap().nonce;
    update(&unsealer, Target::Root, &parts, &nonce).await.unwrap();
}

#[tokio::test]
async fn a_seal_or_the_end_of_the_leadership_ends_what_was_begun() {
    let (storage, parts) = shamir().await;
    let unsealer = over(storage);
    for leave in [true, false] {
        open(&unsealer, &parts).await;
        begin(&unsealer, Target::Root, &asked(1, 1)).await.unwrap();
        if leave {
            unsealer.leave()
        } else {
            unsealer.seal()
        }
        assert!(!unsealer.rekey_progress(Target::Root, Words::Rekey).await.unwrap().started);
        unsealer.seal();
    }
}
