//! How often requests are repeated, and what is said when that is not enough.

use cofferdam_guest::Error;
use cofferdam_guest::aws::SendError;

use super::fake::Upset;
use super::{key, told};

const THROTTLED: Upset = Upset::Answer(400, "ThrottlingException");

#[test]
fn two_failures_are_not_seen() {
    for upsets in [
        [THROTTLED, Upset::Answer(500, "KMSInternalException")],
        [Upset::Answer(503, ""), Upset::Unsent(SendError::Unreachable("no route".into()))],
        [Upset::Answer(400, "KeyUnavailableException"), Upset::Unsent(SendError::Interrupted("cut".into()))],
    ] {
        let (key, fake) = key();
        fake.upset(upsets);
        key.wrap(vec![7; 32]).unwrap();
        let sent = fake.sent();
        assert_eq!(sent.len(), 3);
        assert!(sent.iter().all(|request| *request == sent[0]), "the same each time");
        assert!((30..200).contains(&fake.inner().time.as_millis()), "{:?}", fake.inner().time);
    }
}

#[test]
fn a_third_is_the_hosts_business() {
    let (key, fake) = key();
    fake.inner().always = Some(THROTTLED);
    assert!(matches!(key.wrap(vec![7; 32]), Err(Error::Throttled(delay)) if delay > 0));
    assert_eq!(fake.sent().len(), 3);
    fake.inner().always = Some(Upset::Unsent(SendError::Unreachable("no route".into())));
    key.begin();
    let (case, text) = told(key.open().unwrap_err());
    assert!(case == "unavailable" && text.contains("KMS cannot be reached: no route"), "{case}: {text}");
    assert_eq!(fake.sent().len(), 3);
    fake.inner().always = Some(Upset::Answer(500, "KMSInternalException"));
    key.begin();
    assert_eq!(told(key.health().unwrap_err()).0, "unavailable");
    assert_eq!(fake.sent().len(), 3);
}

#[test]
fn what_no_retry_helps_is_said_at_once() {
    for (error, case) in [
        (SendError::Refused("not that key".into()), "denied"),
        (SendError::Credentials("IMDS: timed out".into()), "unavailable"),
        (SendError::TooLarge(1 << 24), "exhausted"),
    ] {
        let (key, fake) = key();
        fake.upset([Upset::Unsent(error)]);
        assert_eq!(told(key.wrap(vec![7; 32]).unwrap_err()).0, case);
        assert_eq!(fake.sent().len(), 1);
    }
}
