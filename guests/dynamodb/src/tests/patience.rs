//! How often and how long requests are repeated, and what is said when that is not enough.

use cofferdam_guest::Error;
use cofferdam_guest::aws::SendError;

use super::fake::Upset;
use super::{store, store_with};

const THROTTLED: Upset = Upset::Answer(400, "ProvisionedThroughputExceededException");

#[test]
fn passing_trouble_is_not_seen() {
    let (store, fake) = store();
    fake.upset([
        THROTTLED,
        Upset::Answer(500, "InternalServerError"),
        Upset::Answer(503, ""),
        Upset::Lost,
        Upset::Unsent(SendError::Unreachable("no route".into())),
    ]);
    store.put("a", b"x".to_vec(), 0).unwrap();
    let sent = fake.world().sent.clone();
    assert_eq!(sent.len(), 6);
    assert!(sent.iter().all(|request| *request == sent[0]));
    assert!(fake.world().time.as_millis() > 100);
}

#[test]
fn retries_are_as_many_as_the_stanza_says() {
    for (setting, sends) in [("0", 1), ("3", 4), ("-1", 11)] {
        let (store, fake) = store_with(&[("dynamodb_max_retries", setting)]);
        fake.world().always = Some(THROTTLED);
        assert!(matches!(store.get("a"), Err(Error::Throttled(delay)) if delay > 0));
        assert_eq!(fake.operations().len(), sends);
    }
}

#[test]
fn a_call_ends_in_time_whatever_the_stanza_says() {
    let (store, fake) = store_with(&[("dynamodb_max_retries", "100000")]);
    fake.world().always = Some(THROTTLED);
    assert!(matches!(store.get("a"), Err(Error::Throttled(delay)) if (2_000..=5_000).contains(&delay)));
    assert!((10..=20).contains(&fake.world().time.as_secs()));
    fake.world().always = Some(Upset::Answer(500, "InternalServerError"));
    store.begin();
    assert!(matches!(store.get("a"), Err(Error::Unavailable(text)) if text.contains("GetItem") && text.contains("status 500")));
}

#[test]
fn what_no_retry_helps_is_said_at_once() {
    let (store, fake) = store();
    for (error, told) in [
        (SendError::Refused("not that table".into()), "denied"),
        (SendError::Credentials("IMDS: timed out".into()), "unavailable"),
        (SendError::TooLarge(1 << 24), "exhausted"),
    ] {
        fake.upset([Upset::Unsent(error)]);
        let case = match store.get("a").unwrap_err() {
            Error::Denied(text) if text.contains("not that table") => "denied",
            Error::Unavailable(text) if text.contains("IMDS") => "unavailable",
            Error::Exhausted(_) => "exhausted",
            other => panic!("{other:?}"),
        };
        assert_eq!(case, told);
        assert_eq!(fake.operations(), ["GetItem"]);
    }
}

#[test]
fn an_answer_that_is_none_is_an_error() {
    let (store, fake) = store();
    fake.upset([Upset::Answer(404, "")]);
    assert!(store.get("a").is_err());
    fake.upset([Upset::Answer(200, "")]);
    assert_eq!(store.get("a").unwrap(), None);
    fake.upset([Upset::Answer(7, "")]);
    assert!(matches!(store.get("a"), Err(Error::Unavailable(_))));
}
