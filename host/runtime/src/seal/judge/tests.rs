//! What the judge lets pass, and each fraud by its name.

use bytes::Bytes;
use wasmtime::format_err;

use super::*;
use crate::aws::KeyAsked;
use crate::breach::trap;

/// A key in which no two bytes are the same.
fn dek() -> [u8; DEK] {
    std::array::from_fn(|at| u8::try_from(at * 7 + 3).unwrap())
}

fn blob(bytes: &[u8]) -> Wrapped {
    Wrapped { blob: Bytes::copy_from_slice(bytes), key_id: "arn:aws:kms:eu-west-1:123456789012:key/one".to_owned() }
}

/// What a service makes of the key.
fn sealed() -> Wrapped {
    blob(b"a blob of the service: 5f0c8a11d2e94b7f, and more of it")
}

fn wrapping(answered: Option<KeyAnswered>) -> KeyCall {
    KeyCall { answered, ..KeyCall::new(KeyAsked::Wrap(Zeroizing::new(dek()))) }
}

fn unwrapping(answered: Option<KeyAnswered>, direct: bool) -> KeyCall {
    KeyCall { answered, ..KeyCall::new(KeyAsked::Unwrap { wrapped: sealed(), direct }) }
}

fn plain(bytes: &[u8]) -> Option<KeyAnswered> {
    Some(KeyAnswered::Plain(Zeroizing::new(bytes.to_vec())))
}

/// The text of the breach, which is of the kind for keys.
fn named(judged: Result<(), Breach>) -> String {
    let breach = judged.unwrap_err();
    assert_eq!(breach.kind, BreachKind::Key);
    breach.detail
}

#[test]
fn what_the_service_answered_passes() {
    let call = wrapping(Some(KeyAnswered::Wrapped(sealed())));
    assert_eq!(wrapped(&dek(), &sealed(), Some(&call)), Ok(()));
    assert_eq!(unwrapped(&dek(), false, Some(&unwrapping(plain(&dek()), false))), Ok(()));
    assert_eq!(unwrapped(b"[root]", true, Some(&unwrapping(plain(b"[root]"), true))), Ok(()));
    // Without a service there is nothing to compare with.
    assert_eq!(wrapped(&dek(), &sealed(), None), Ok(()));
    assert_eq!(unwrapped(&[9; DEK], false, None), Ok(()));
}

#[test]
fn the_key_in_any_plain_writing_is_no_wrapped_key_with_or_without_a_service() {
    let key = dek();
    let reversed: Vec<u8> = key.iter().rev().copied().collect();
    let xored = |mask: u8| key.iter().map(|byte| byte ^ mask).collect::<Vec<u8>>();
    let base64 = |engine: &base64::engine::GeneralPurpose| engine.encode(key).into_bytes();
    let cases = [
        (key.to_vec(), "as it is"),
        ([b"head".as_slice(), &key, b"tail"].concat(), "as it is"),
        (xored(0x5a), "XOR"),
        (xored(0xff), "XOR"),
        ([b"1".as_slice(), &xored(1)].concat(), "XOR"),
        (reversed, "in reverse"),
        (hex::encode(key).into_bytes(), "in hexadecimal"),
        (hex::encode_upper(key).into_bytes(), "in hexadecimal"),
        (format!("key={}.", hex::encode(key)).into_bytes(), "in hexadecimal"),
        (base64(&STANDARD_NO_PAD), "in base64"),
        (base64(&base64::engine::general_purpose::STANDARD), "in base64"),
        (base64(&URL_SAFE_NO_PAD), "in base64"),
    ];
    for (bytes, name) in cases {
        for call in [None, Some(wrapping(None)), Some(wrapping(Some(KeyAnswered::Wrapped(sealed()))))] {
            let text = named(wrapped(&key, &blob(&bytes), call.as_ref()));
            assert!(text.contains("the key itself as the wrapped key") && text.contains(name), "{name}: {text}");
        }
        // A key id is a text.
        if let Ok(key_id) = String::from_utf8(bytes) {
            let text = named(wrapped(&key, &Wrapped { key_id, ..sealed() }, None));
            assert!(text.contains("the key itself as the key id") && text.contains(name), "{name}: {text}");
        }
    }
}

#[test]
fn a_wrapped_key_that_the_service_did_not_answer_is_none() {
    let answered = || Some(wrapping(Some(KeyAnswered::Wrapped(sealed()))));
    let changed = [&sealed().blob[..], b"!"].concat();
    let cut = &sealed().blob[1..];
    for bytes in [&changed[..], cut, b"x"] {
        assert!(named(wrapped(&dek(), &blob(bytes), answered().as_ref())).contains("not what the service answered"));
    }
    let other = Wrapped { key_id: "arn:aws:kms:eu-west-1:123456789012:key/two".to_owned(), ..sealed() };
    assert!(named(wrapped(&dek(), &other, answered().as_ref())).contains("the key id that the guest returned is not"));
    for call in [wrapping(None), wrapping(plain(&dek()))] {
        assert!(named(wrapped(&dek(), &sealed(), Some(&call))).contains("has encrypted none"));
    }
}

#[test]
fn a_key_that_the_service_did_not_decrypt_is_none() {
    let call = unwrapping(plain(&dek()), false);
    assert!(named(unwrapped(&[9; DEK], false, Some(&call))).contains("not what the service decrypted"));
    for call in [unwrapping(None, false), unwrapping(Some(KeyAnswered::Wrapped(sealed())), false)] {
        assert!(named(unwrapped(&dek(), false, Some(&call))).contains("has decrypted none"));
    }
    let direct = unwrapping(plain(b"[root]"), true);
    assert!(named(unwrapped(b"[ruut]", true, Some(&direct))).contains("not what the service decrypted"));
}

#[test]
fn a_key_has_its_length_and_only_a_direct_blob_holds_anything_else() {
    let kind = |size: usize, direct| unwrapped(&vec![1; size], direct, None).err().map(|breach| breach.kind);
    for (size, direct, expected) in [
        (31, false, Some(BreachKind::Contract)),
        (32, false, None),
        (33, false, Some(BreachKind::Contract)),
        (0, true, Some(BreachKind::Contract)),
        (1, true, None),
        (4096, true, None),
        (4097, true, Some(BreachKind::Contract)),
    ] {
        assert_eq!(kind(size, direct), expected, "{size} {direct}");
    }
}

fn returned(error: since_v0_1::Error) -> wasmtime::Result<Result<(), since_v0_1::Error>> {
    Ok(Err(error))
}

fn failed(failure: Failure) -> Error {
    failure.into()
}

#[test]
fn what_the_guest_sent_unasked_is_its_breach_whatever_it_returns() {
    let call = KeyCall {
        refused: Some("Encrypt.Plaintext: not this call's key".to_owned()),
        unfit: Some(Error::Unavailable(String::new())),
        ..wrapping(None)
    };
    let ends: [wasmtime::Result<Result<(), since_v0_1::Error>>; 3] =
        [Ok(Ok(())), returned(since_v0_1::Error::Denied("no".to_owned())), Err(format_err!("a trap"))];
    for end in ends {
        let error = ended(end, Some(&call)).err().map(failed).unwrap();
        assert_eq!(error, Error::Breach("key: Encrypt.Plaintext: not this call's key".to_owned()));
    }
}

#[test]
fn an_answer_that_is_unfit_ends_the_call_with_the_hosts_error() {
    let unfit = Error::Corrupt("the wrapped key holds 33 bytes".to_owned());
    let call = KeyCall { unfit: Some(unfit.clone()), trouble: Some("other".to_owned()), ..unwrapping(None, false) };
    assert_eq!(ended(Ok(Ok(())), Some(&call)).err().map(failed), Some(unfit.clone()));
    assert_eq!(ended(returned(since_v0_1::Error::Denied("told".to_owned())), Some(&call)).err().map(failed), Some(unfit));
}

#[test]
fn of_the_guests_error_only_the_case_is_left() {
    use since_v0_1::Error as Told;
    let troubled = KeyCall { trouble: Some("KMS answered so".to_owned()), ..wrapping(None) };
    let silent = wrapping(None);
    for (call, text) in [(Some(&troubled), "KMS answered so"), (Some(&silent), HIDDEN), (None, HIDDEN)] {
        let end = |error| ended(returned(error), call).err().map(failed).unwrap();
        let told = || "the key is 0305".to_owned();
        assert_eq!(end(Told::Unavailable(told())), Error::Unavailable(text.to_owned()));
        assert_eq!(end(Told::Configuration(told())), Error::Configuration(text.to_owned()));
        assert_eq!(end(Told::Denied(told())), Error::Denied(text.to_owned()));
        assert_eq!(end(Told::Corrupt(told())), Error::Corrupt(text.to_owned()));
        assert_eq!(end(Told::Conflict(told())), Error::Conflict(text.to_owned()));
        assert_eq!(end(Told::Unsupported(told())), Error::Unsupported(text.to_owned()));
        assert_eq!(end(Told::Exhausted(told())), Error::Exhausted(text.to_owned()));
        assert_eq!(end(Told::InvalidKey(told())), Error::InvalidKey(text.to_owned()));
        assert_eq!(end(Told::Throttled(0x0305_0a0b)), Error::Throttled(THROTTLED), "no number of the guest's");
    }
}

#[test]
fn a_guest_that_fails_after_the_service_has_answered_tells_nothing_by_which_error_it_is() {
    use since_v0_1::Error as Told;
    for error in [Told::Corrupt("0305".to_owned()), Told::Denied(String::new()), Told::Throttled(1)] {
        let end = ended(returned(error), Some(&unwrapping(plain(&dek()), false))).err().map(failed).unwrap();
        assert_eq!(end, Error::Breach("key: the guest failed after the service had answered".to_owned()));
    }
}

#[test]
fn a_guest_that_is_stopped_says_nothing_by_how() {
    let stopped: wasmtime::Result<Result<(), since_v0_1::Error>> = Err(trap(BreachKind::Memory, "50 986 525 bytes wanted"));
    let error = ended(stopped, None).err().map(failed).unwrap();
    assert_eq!(error, Error::Breach(format!("memory: {HIDDEN}")));
}

#[test]
fn a_call_that_is_printed_shows_no_key() {
    let call = KeyCall { answered: plain(&[77; DEK]), ..KeyCall::new(KeyAsked::Wrap(Zeroizing::new([77; DEK]))) };
    let text = format!("{call:?}");
    assert!(text.contains("Wrap(…)") && text.contains("Plain(…)") && !text.contains("77"), "{text}");
}
