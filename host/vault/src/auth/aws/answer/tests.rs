use proptest::prelude::*;

use super::*;

const GOOD: &str = r#"<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <GetCallerIdentityResult>
    <Arn>arn:aws:sts::123456789012:assumed-role/deploy/i-1</Arn>
    <UserId>AROAEXAMPLE:i-1</UserId>
    <Account>123456789012</Account>
  </GetCallerIdentityResult>
  <ResponseMetadata><RequestId>01234567-89ab-cdef-0123-456789abcdef</RequestId></ResponseMetadata>
</GetCallerIdentityResponse>
"#;

fn answer(status: u16, content_type: &str, body: &str) -> Answer {
    Answer { status, content_type: Some(content_type.to_owned()), body: body.as_bytes().to_vec() }
}

fn read(body: &str) -> Result<Identity, String> {
    identity(&answer(200, "text/xml", body))
}

#[test]
fn a_good_answer_tells_who_it_was() {
    for body in [GOOD.to_owned(), format!("\n<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{GOOD}"), GOOD.replace("<Arn>", "<Arn><!-- x -->")]
    {
        let identity = read(&body).unwrap();
        assert_eq!(identity.arn, "arn:aws:sts::123456789012:assumed-role/deploy/i-1");
        assert_eq!((identity.unique_id(), identity.user_id.as_str()), ("AROAEXAMPLE", "AROAEXAMPLE:i-1"));
        assert_eq!(identity.account, "123456789012");
    }
    let prefixed = GOOD.replace("</", "</s:").replace("<G", "<s:G").replace("xmlns=", "xmlns:s=");
    let prefixed = ["Arn", "UserId", "Account", "ResponseMetadata", "RequestId"]
        .iter()
        .fold(prefixed, |text, name| text.replace(&format!("<{name}>"), &format!("<s:{name}>")));
    // Vault takes no other beginning.
    assert_eq!(read(&prefixed), Err(INVALID.to_owned()));
    assert!(read(&format!("<?xml version=\"1.0\"?>{prefixed}")).is_ok(), "{prefixed}");
    let escaped = GOOD.replace("deploy/i-1<", "deploy/a&#61;&#x62;&amp;<");
    assert_eq!(read(&escaped).unwrap().arn, "arn:aws:sts::123456789012:assumed-role/deploy/a=b&");
    assert!(identity(&answer(200, "text/xml; charset=\"UTF-8\"", GOOD)).is_ok());
}

#[test]
fn an_answer_of_another_kind_is_invalid() {
    for (answer, error) in [
        (answer(200, "application/json", GOOD), INVALID),
        (answer(200, "text/xml+x", GOOD), INVALID),
        (answer(200, "text/xml; charset=utf-16", GOOD), INVALID),
        (Answer { content_type: None, ..answer(200, "", GOOD) }, INVALID),
        (Answer { body: b"<GetCallerIdentityResponse>\xff".to_vec(), ..answer(200, "text/xml", "") }, INVALID),
        (answer(200, "text/xml", "{\"GetCallerIdentityResponse\":1}"), INVALID),
        (answer(200, "text/xml", &format!("x{GOOD}")), INVALID),
        (answer(200, "text/xml", ""), INVALID),
        (answer(302, "text/html", ""), INVALID),
        (
            answer(403, "text/xml", "<ErrorResponse>\n  <Code>x</Code>\n"),
            "received error code 403 from STS: <ErrorResponse> <Code>x</Code>",
        ),
        (answer(302, "text/xml", GOOD.get(..26).unwrap()), "received error code 302 from STS: <GetCallerIdentityResponse"),
    ] {
        assert_eq!(identity(&answer), Err(error.to_owned()), "{answer:?}");
    }
    let long = answer(500, "text/xml", &"x".repeat(10_000));
    assert!(identity(&long).unwrap_err().len() < 1_100);
}

#[test]
fn a_document_that_is_not_exactly_the_operations_is_not_believed() {
    let arn = "<Arn>arn:aws:sts::123456789012:assumed-role/deploy/i-1</Arn>";
    for (from, to) in [
        // Another namespace, or none.
        ("https://sts.amazonaws.com/doc/2011-06-15/", "https://sts.amazonaws.com/doc/2011-06-16/"),
        (" xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"", ""),
        ("<Arn>", "<Arn xmlns=\"x\">"),
        // Another root, another result.
        ("<GetCallerIdentityResult>", "<Other>"),
        ("GetCallerIdentityResult>", "AssumeRoleResult>"),
        // Members twice, not at all, empty, or with elements in them.
        (arn, &format!("{arn}{arn}")),
        (arn, ""),
        (arn, "<Arn/>"),
        (arn, "<Arn> </Arn>"),
        ("<Account>", "<Account><x/>"),
        ("</Account>", "<Arn>x</Arn></Account>"),
        ("</GetCallerIdentityResult>", "</GetCallerIdentityResult><GetCallerIdentityResult></GetCallerIdentityResult>"),
        // Members in another place.
        ("<ResponseMetadata>", "<x><GetCallerIdentityResult><Arn>y</Arn></GetCallerIdentityResult></x><Arn>"),
        // What could define entities, and entities.
        ("<GetCallerIdentityResponse", "<?xml version=\"1.0\"?><!DOCTYPE x [<!ENTITY y \"z\">]><GetCallerIdentityResponse"),
        ("deploy", "&y;"),
        ("deploy", "&#0;"),
        ("<Arn>", "<?x y?><Arn>"),
        ("<Arn>", "<?xml version=\"1.0\"?><Arn>"),
        // More after the root, or less than it.
        ("</GetCallerIdentityResponse>", "</GetCallerIdentityResponse>x"),
        ("</GetCallerIdentityResponse>", "</GetCallerIdentityResponse><x xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"/>"),
        ("</GetCallerIdentityResponse>", ""),
        ("</GetCallerIdentityResponse>", "</Other>"),
        ("<RequestId>", "<a><b><c><d><e><f><g><h></h></g></f></e></d></c></b></a><RequestId>"),
    ] {
        let body = GOOD.replacen(from, to, 1);
        assert_ne!(body, GOOD, "{from}");
        assert_eq!(read(&body), Err(UNREADABLE.to_owned()), "{from} -> {to}");
    }
    // Half of a document.
    for end in 27..GOOD.trim_end().len() {
        assert!(read(GOOD.get(..end).unwrap()).is_err(), "{end}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_fall_over(at in 0..GOOD.len(), more in "[<>&;/!?\\[\\]a-zA ='\"#x0-9-]{0,12}", skip in 0_usize..8) {
        let body = format!("{}{more}{}", GOOD.get(..at).unwrap(), GOOD.get(at + skip..).unwrap_or_default());
        let _ = read(&body);
    }
}
