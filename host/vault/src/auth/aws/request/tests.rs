use proptest::prelude::*;
use serde_json::json;

use super::*;

const URL: &str = "https://sts.amazonaws.com/";
const BODY: &str = "Action=GetCallerIdentity&Version=2011-06-15";
const AUTHORIZATION: &str = "AWS4-HMAC-SHA256 Credential=AKIA/20260101/us-east-1/sts/aws4_request, \
                             SignedHeaders=content-type;host;x-amz-date;x-vault-aws-iam-server-id, Signature=00";

fn fields(url: &str, body: &str, headers: Value) -> Fields {
    let Value::Object(fields) = json!({
        "role": "r", "iam_http_request_method": "POST", "iam_request_url": STANDARD.encode(url), "iam_request_body": STANDARD.encode(body),
        "iam_request_headers": headers,
    }) else {
        panic!("no object")
    };
    fields
}

fn headers() -> Value {
    json!({"Authorization": [AUTHORIZATION], "X-Amz-Date": ["1"], "X-Vault-AWS-IAM-Server-ID": ["vault.example"]})
}

fn parse(url: &str, body: &str) -> Result<Signed, String> {
    Signed::parse(&fields(url, body, headers()))
}

#[test]
fn what_is_missing_or_wrong_is_said_as_vault_does() {
    for (field, value, error) in [
        ("iam_http_request_method", json!(null), "missing iam_http_request_method"),
        ("iam_http_request_method", json!("GET"), "invalid iam_http_request_method; currently only 'POST' is supported"),
        ("iam_request_url", json!(""), "missing iam_request_url"),
        ("iam_request_url", json!("https://sts.amazonaws.com/"), "failed to base64 decode iam_request_url"),
        ("iam_request_url", json!("/w=="), "failed to base64 decode iam_request_url"),
        ("iam_request_body", json!(""), "missing iam_request_body"),
        ("iam_request_body", json!("Action=x"), "failed to base64 decode iam_request_body"),
        ("iam_request_headers", json!({}), "missing iam_request_headers"),
        ("iam_request_headers", json!({"authorization": "a", "Authorization": "b"}), "invalid request header: Authorization"),
    ] {
        let mut fields = fields(URL, BODY, headers());
        fields.insert(field.to_owned(), value);
        assert_eq!(Signed::parse(&fields), Err(error.to_owned()), "{field}");
    }
}

#[test]
fn only_the_url_of_a_host_is_taken() {
    for url in [URL, "https://sts.amazonaws.com", "http://127.0.0.1:5000/", "HTTPS://STS.us-east-1.amazonaws.com:443/"] {
        assert!(parse(url, BODY).is_ok(), "{url}");
    }
    for (url, error) in [
        ("https://sts.amazonaws.com/?Action=AssumeRole", "invalid request"),
        ("https://sts.amazonaws.com?x", "invalid request"),
        ("https://sts.amazonaws.com/#x", "invalid request"),
        ("https://sts.amazonaws.com//", "invalid iam_request_url; its path must be /"),
        ("https://sts.amazonaws.com/x", "invalid iam_request_url; its path must be /"),
        ("https://u:p@sts.amazonaws.com/", "error parsing iam_request_url"),
        ("https://sts.amazonaws.com:x/", "error parsing iam_request_url"),
        ("https://sts.amazonaws.com\r\nHost: x/", "error parsing iam_request_url"),
        ("https:///", "error parsing iam_request_url"),
        ("sts.amazonaws.com", "error parsing iam_request_url"),
        ("ftp://sts.amazonaws.com/", "error parsing iam_request_url"),
    ] {
        assert_eq!(parse(url, BODY).unwrap_err(), error, "{url}");
    }
}

#[test]
fn only_the_one_operation_is_taken() {
    for body in [BODY, "Action=GetCallerIdentity", "Version=2011-06-15&Action=GetCallerIdentity&"] {
        assert!(parse(URL, body).is_ok(), "{body}");
    }
    for body in [
        "Version=2011-06-15",
        "Action=AssumeRole",
        "Action=GetCallerIdentity&Action=GetCallerIdentity",
        "Action=GetCallerIdentity&Action=AssumeRole",
        "Action=GetCallerIdentity&RoleArn=x",
        "Action=GetCallerIdentity&Version=1&Version=2",
        "Action=GetCallerIdentity&Version=%32",
        "action=GetCallerIdentity",
        "Action=GetCallerIdentity;Action=x",
        "Action=GetCallerIdentity\n",
        "Action",
        "{}",
    ] {
        assert_eq!(parse(URL, body).unwrap_err(), "iam request body is invalid", "{body}");
    }
}

fn checked(headers: Value, client: &Client) -> Result<(), String> {
    Signed::parse(&fields(URL, BODY, headers)).unwrap().check(client)
}

#[test]
fn the_servers_id_must_be_there_equal_and_signed() {
    let client = Client { iam_server_id_header_value: "vault.example".to_owned(), ..Client::default() };
    assert_eq!(checked(headers(), &client), Ok(()));
    let unsigned = AUTHORIZATION.replace(";x-vault-aws-iam-server-id", "");
    let twice = AUTHORIZATION.replace("Credential=", "SignedHeaders=a, Credential=");
    for (name, value, error) in [
        ("X-Vault-AWS-IAM-Server-ID", json!([]), "missing header \"X-Vault-AWS-IAM-Server-ID\""),
        ("X-Vault-AWS-IAM-Server-ID", json!("other"), "expected \"vault.example\" but got \"other\""),
        ("x-vault-aws-iam-server-id", json!("x"), "expected \"vault.example\" but got \"vault.example,x\""),
        ("Authorization", json!([]), "missing Authorization header"),
        ("Authorization", json!(unsigned), "vault header wasn't signed"),
        ("Authorization", json!("SignedHeaders=x-vault-aws-iam-server-id"), "vault header wasn't signed"),
        ("Authorization", json!("AWS4-HMAC-SHA256 XSignedHeaders=x-vault-aws-iam-server-id"), "vault header wasn't signed"),
        ("Authorization", json!(twice), "found multiple SignedHeaders components"),
    ] {
        let mut headers = headers();
        headers[name] = value;
        let error = format!("error validating X-Vault-AWS-IAM-Server-ID header: {error}");
        assert_eq!(checked(headers, &client), Err(error), "{name}");
    }
    assert_eq!(checked(json!({"a": "b"}), &Client::default()), Ok(()));
}

#[test]
fn headers_of_aws_must_be_known_or_allowed() {
    let mut headers = headers();
    headers["x-amz-user-agent"] = json!("aws-sdk-js");
    assert_eq!(checked(headers.clone(), &Client::default()), Err("invalid request header: X-Amz-User-Agent".to_owned()));
    let client = Client { allowed_sts_header_values: Some(vec!["X-Amz-User-Agent".to_owned()]), ..Client::default() };
    assert_eq!(checked(headers, &client), Ok(()));
}

#[test]
fn requests_go_to_aws_or_to_the_configured_endpoint_and_nowhere_else() {
    let to = |url: &str, endpoint: &str| parse(url, BODY).unwrap().call(endpoint).map(|call| (call.endpoint, call.host));
    let sent = |endpoint: &str, host: &str| Ok((endpoint.to_owned(), host.to_owned()));
    assert_eq!(to(URL, ""), sent("https://sts.amazonaws.com", "sts.amazonaws.com"));
    assert_eq!(to("http://STS.eu-west-1.amazonaws.com/", ""), sent("https://sts.eu-west-1.amazonaws.com", "STS.eu-west-1.amazonaws.com"));
    assert_eq!(to(URL, "http://127.0.0.1:1/"), sent("http://127.0.0.1:1", "sts.amazonaws.com"));
    assert_eq!(to("http://127.0.0.1:1/", "http://127.0.0.1:1"), sent("http://127.0.0.1:1", "127.0.0.1:1"));
    assert_eq!(to("https://vpce.example:443/", "https://vpce.example"), sent("https://vpce.example", "vpce.example:443"));
    for (url, endpoint, part) in [
        ("https://evil.example/", "", "is not one of AWS's hosts of STS"),
        ("http://169.254.169.254/", "", "is not one of AWS's hosts of STS"),
        ("https://sts.amazonaws.com:8443/", "", "is not one of AWS's hosts of STS"),
        ("https://s3.amazonaws.com/", "https://sts.us-east-1.amazonaws.com", "is neither one of AWS's hosts"),
        ("http://127.0.0.1:2/", "http://127.0.0.1:1", "is neither one of AWS's hosts"),
        (URL, "https://a.example/path", "the configured sts_endpoint is not"),
    ] {
        let error = to(url, endpoint).unwrap_err();
        assert!(error.contains(part), "{url}: {error}");
    }
}

proptest! {
    #[test]
    fn whatever_is_asked_the_call_is_of_aws_or_the_endpoint(
        host in "(sts|sts-fips|s3|x)?(\\.(us-east-1|eu|s3|amazonaws))?(\\.amazonaws)?(\\.com)?(\\.cn)?(:[0-9]{1,3})?(@[a-z])?",
        path in "[/?#a]{0,2}",
    ) {
        let Ok(signed) = parse(&format!("https://{host}{path}"), BODY) else { return Ok(()) };
        if let Ok(call) = signed.call("") {
            let target = call.endpoint.strip_prefix("https://").unwrap();
            prop_assert!(crate::auth::aws::sts::is_aws(target));
            prop_assert!(call.host.trim_end_matches(":443").eq_ignore_ascii_case(target));
        }
        if let Ok(call) = signed.call("http://127.0.0.1:9") {
            prop_assert_eq!(call.endpoint, "http://127.0.0.1:9");
        }
    }
}
