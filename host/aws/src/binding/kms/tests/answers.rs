//! What comes back, and which stored keys are asked for at all.

use super::*;

/// Nothing of it reaches the guest, and the call will end with this error.
fn withheld<'a>(sent: &Result<AwsResponse, AwsSendError>, call: &'a AwsCall) -> &'a Error {
    assert!(matches!(sent, Err(AwsSendError::Refused(_))), "{sent:?}");
    let key = key(call);
    assert!(key.answered.is_none() && key.refused.is_none(), "{key:?}: no fault of the guest's");
    key.unfit.as_ref().unwrap()
}

#[tokio::test]
async fn an_answer_under_another_key_is_withheld() {
    for other in [OTHER, FOREIGN] {
        let server = Server::start(move |_, request| match request.header("x-amz-target") {
            "TrentService.DescribeKey" => described(OWN),
            "TrentService.Encrypt" => encrypted(other),
            _ => decrypted(other, &KEY),
        })
        .await;
        let kms = bound(OWN, None, &server.url()).await;
        open(&kms).await.unwrap();
        let mut wrap = wrapping();
        let sent = encrypt(&kms, &mut wrap).await;
        assert!(matches!(withheld(&sent, &wrap), Error::Denied(text) if text.contains(OWN) && text.contains(other)), "{wrap:?}");
        // A guest that tries again breaks no rule; but nothing is sent.
        let sent = encrypt(&kms, &mut wrap).await;
        withheld(&sent, &wrap);
        let mut unwrap = unwrapping(OWN, false);
        let sent = decrypt(&kms, &mut unwrap, OWN).await;
        assert!(matches!(withheld(&sent, &unwrap), Error::Denied(text) if text.contains(OWN) && text.contains(other)));
        assert_eq!(server.requests().len(), 3);
    }
}

#[tokio::test]
async fn a_description_of_another_key_is_withheld() {
    let server = holding(OTHER).await;
    for (key_id, named) in [(OWN, true), ("11111111-aaaa-bbbb-cccc-000000000001", true), ("alias/vault", false), (OTHER, false)] {
        let kms = bound(key_id, None, &server.url()).await;
        let sent = open(&kms).await;
        assert_eq!(matches!(&sent, Err(AwsSendError::Refused(text)) if text.contains(key_id) && text.contains(OTHER)), named, "{sent:?}");
        assert_eq!(kms.described().is_none(), named);
    }
}

#[tokio::test]
async fn what_is_no_dek_is_kept_from_the_guest_unless_the_operator_allows_it() {
    for size in [1, 31, 33, 4096] {
        let server = Server::start(move |_, request| match request.header("x-amz-target") {
            "TrentService.DescribeKey" => described(OWN),
            _ => decrypted(OWN, &vec![b'r'; size]),
        })
        .await;
        let kms = bound(OWN, None, &server.url()).await;
        open(&kms).await.unwrap();
        let mut unwrap = unwrapping(OWN, false);
        let sent = decrypt(&kms, &mut unwrap, OWN).await;
        assert!(matches!(withheld(&sent, &unwrap), Error::Corrupt(text) if text.contains(&format!("{size} bytes"))));
        let mut direct = unwrapping(OWN, true);
        decrypt(&kms, &mut direct, OWN).await.unwrap();
        assert!(matches!(&key(&direct).answered, Some(KeyAnswered::Plain(plain)) if plain.len() == size));
    }
}

#[tokio::test]
async fn an_answer_that_is_none_of_kms_is_withheld() {
    let server = Server::start(|_, _| Reply::Answer(200, Vec::new(), "<html>captive</html>".into())).await;
    let kms = bound(OWN, None, &server.url()).await;
    let mut wrap = wrapping();
    let sent = encrypt(&kms, &mut wrap).await;
    assert!(matches!(withheld(&sent, &wrap), Error::Unavailable(text) if text.contains("Encrypt is not understood")));
    assert!(matches!(open(&kms).await, Err(AwsSendError::Refused(text)) if text.contains("DescribeKey is not understood")));
}

#[tokio::test]
async fn a_foreign_keys_blob_is_refused_before_anything_is_sent() {
    let server = holding(OWN).await;
    for (previous, stored) in [(None, FOREIGN), (Some(&[][..]), OTHER), (Some(&[FOREIGN][..]), OTHER), (None, "alias/of-the-storage")] {
        let kms = bound("alias/vault", previous, &server.url()).await;
        open(&kms).await.unwrap();
        let before = server.requests().len();
        let mut unwrap = unwrapping(stored, false);
        let sent = decrypt(&kms, &mut unwrap, stored).await;
        let Error::Denied(text) = withheld(&sent, &unwrap) else { panic!("{unwrap:?}") };
        assert!(text.contains(stored) && text.contains(OWN), "{text}");
        assert_eq!(server.requests().len(), before);
    }
}

#[tokio::test]
async fn the_operators_list_lets_a_foreign_key_unwrap() {
    let server = Server::start(|_, request| match request.header("x-amz-target") {
        "TrentService.DescribeKey" => described(OWN),
        _ => decrypted(FOREIGN, &KEY),
    })
    .await;
    let kms = bound(OWN, Some(&[FOREIGN]), &server.url()).await;
    open(&kms).await.unwrap();
    let mut unwrap = unwrapping(FOREIGN, false);
    decrypt(&kms, &mut unwrap, FOREIGN).await.unwrap();
    assert!(matches!(key(&unwrap).answered, Some(KeyAnswered::Plain(_))));
}

#[tokio::test]
async fn before_a_description_only_the_configured_name_is_asked_for() {
    let server = holding(OWN).await;
    let kms = bound(OWN, None, &server.url()).await;
    let mut unwrap = unwrapping(OTHER, false);
    let sent = decrypt(&kms, &mut unwrap, OTHER).await;
    assert!(matches!(withheld(&sent, &unwrap), Error::Denied(text) if text.contains("has not said yet")));
    assert!(server.requests().is_empty());
    let mut own = unwrapping(OWN, false);
    decrypt(&kms, &mut own, OWN).await.unwrap();
}

#[tokio::test]
async fn an_alias_may_be_given_another_key() {
    let server = Server::start(|_, request| match request.header("x-amz-target") {
        "TrentService.DescribeKey" => described(OWN),
        _ => encrypted(OTHER),
    })
    .await;
    for (previous, old_is_allowed) in [(None, true), (Some(&[][..]), false), (Some(&[OWN][..]), true)] {
        let kms = bound("alias/vault", previous, &server.url()).await;
        open(&kms).await.unwrap();
        assert_eq!(kms.described().as_ref().map(ToString::to_string).as_deref(), Some(OWN));
        encrypt(&kms, &mut wrapping()).await.unwrap();
        assert_eq!(kms.described().as_ref().map(ToString::to_string).as_deref(), Some(OTHER), "what KMS says last counts");
        assert_eq!(kms.check(&unwrapping(OWN, false), "Decrypt", decrypting(OWN).as_bytes()).is_ok(), old_is_allowed);
        assert!(kms.check(&unwrapping(OTHER, false), "Decrypt", decrypting(OTHER).as_bytes()).is_ok());
    }
}

#[tokio::test]
async fn an_alias_is_not_followed_into_another_account() {
    let server = Server::start(|_, request| match request.header("x-amz-target") {
        "TrentService.DescribeKey" => described(OWN),
        _ => encrypted(FOREIGN),
    })
    .await;
    let kms = bound("alias/vault", None, &server.url()).await;
    open(&kms).await.unwrap();
    let mut wrap = wrapping();
    let sent = encrypt(&kms, &mut wrap).await;
    assert!(matches!(withheld(&sent, &wrap), Error::Denied(text) if text.contains(FOREIGN)));
    assert_eq!(kms.described().as_ref().map(ToString::to_string).as_deref(), Some(OWN));
}

#[tokio::test]
async fn the_services_last_error_is_kept_in_the_hosts_words() {
    let server = Server::start(|number, _| match number {
        0 => json(500, r#"{"__type":"KMSInternalException"}"#),
        1 => json(400, r#"{"__type":"AccessDeniedException","Message":"User: x is not authorized"}"#),
        _ => encrypted(OWN),
    })
    .await;
    let kms = bound(OWN, None, &server.url()).await;
    let mut wrap = wrapping();
    assert_eq!(encrypt(&kms, &mut wrap).await.unwrap().status, 500);
    assert!(key(&wrap).trouble.as_deref().is_some_and(|text| text.contains("KMSInternalException")));
    assert_eq!(encrypt(&kms, &mut wrap).await.unwrap().status, 400);
    let text = key(&wrap).trouble.as_deref().unwrap();
    assert!(text.contains(&format!("needs kms:Encrypt on the key {OWN}")) && text.contains("User: x"), "{text}");
    // The guest may try again until there is an answer.
    encrypt(&kms, &mut wrap).await.unwrap();
    assert!(key(&wrap).answered.is_some() && key(&wrap).refused.is_none());
}

#[tokio::test]
async fn an_endpoint_that_does_not_answer_is_named() {
    let kms = bound(OWN, None, "http://127.0.0.1:1").await;
    let mut wrap = AwsCall { deadline: std::time::Instant::now() + Duration::from_secs(5), ..wrapping() };
    assert!(matches!(encrypt(&kms, &mut wrap).await, Err(AwsSendError::Unreachable(_))));
    assert!(key(&wrap).trouble.as_deref().is_some_and(|text| text.contains("KMS at http://127.0.0.1:1 (eu-west-1) cannot be reached")));
}
