//! Audit blocks.

use super::{load_files, with};
use cofferdam_vault::audit::Declared;

fn devices(text: &str) -> Result<Vec<Declared>, String> {
    with(text).map(|config| config.audit.devices)
}

#[test]
fn a_device_is_read_in_every_form_that_openbao_takes() {
    let wanted = Declared {
        path: "to-file".to_owned(),
        kind: "file".to_owned(),
        description: "d".to_owned(),
        local: true,
        options: [("file_path", "/a.log"), ("mode", "0640")].map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
    };
    for text in [
        "audit \"file\" \"to-file\" { description = \"d\" local = true options { file_path = \"/a.log\" mode = \"0640\" } }",
        "audit \"file\" \"to-file\" { description = \"d\" local = \"true\" options = { file_path = \"/a.log\" mode = 0640 } }",
        "audit \"file\" { \"to-file\" { description = \"d\" local = true options { file_path = \"/a.log\" mode = \"0640\" } } }",
        "audit { type = \"file\" path = \"to-file\" description = \"d\" local = true options { file_path = \"/a.log\" mode = \"0640\" } }",
    ] {
        assert_eq!(devices(text).unwrap(), std::slice::from_ref(&wanted), "{text}");
    }
    let json = r#"{"storage": {"file": {"path": "/d"}}, "listener": {"tcp": {"address": "127.0.0.1:1", "tls_disable": true}},
        "audit": {"file": {"to-file": {"description": "d", "local": true, "options": {"file_path": "/a.log", "mode": "0640"}}}}}"#;
    assert_eq!(load_files(&[("c.json", json)], &[]).unwrap().audit.devices, [wanted]);
    assert_eq!(devices("").unwrap(), []);
    let switches = with("unsafe_allow_api_audit_creation = true\nallow_audit_log_prefixing = true").unwrap().audit;
    assert!(switches.api && switches.prefixing);
    assert!(with("").unwrap().audit.api && !with("unsafe_allow_api_audit_creation = false").unwrap().audit.api);
}

#[test]
fn what_cannot_be_used_is_an_error_that_says_what_to_do() {
    for (text, error) in [
        (
            "audit \"syslog\" \"s\" { }",
            "c.hcl:1:1: audit \"s\": the type \"syslog\" is not offered: write audit \"file\" \"NAME\" { … } or audit \"socket\" \"NAME\" { … }",
        ),
        ("audit \"file\" \"a\" { }", "c.hcl:1:1: audit \"a\": options.file_path: missing; set it to a file, \"stdout\" or \"discard\""),
        (
            "audit \"socket\" \"a\" { options { socket_type = \"tcp\" } }",
            "c.hcl:1:1: audit \"a\": options.address: missing; set it to HOST:PORT, or to the path of a unix socket",
        ),
        (
            "audit \"file\" \"a\" { options { file_path = \"/a\" log_raw = \"maybe\" } }",
            "c.hcl:1:1: audit \"a\": options.log_raw: expected \"true\" or \"false\", found \"maybe\"",
        ),
        (
            "audit \"file\" \"a\" { options { file_path = \"/a\" prefix = \"x\" } }",
            "c.hcl:1:1: audit \"a\": options.prefix: lines may have one only with allow_audit_log_prefixing = true at the top level",
        ),
        (
            "audit \"file\" \"a\" { options { file_path = \"/a\" hmac_accesor = \"x\" } }",
            "c.hcl:1:1: audit \"a\": options: unknown key \"hmac_accesor\"; known are file_path, path, mode, format, log_raw, hmac_accessor, elide_list_responses, prefix, skip_test",
        ),
        (
            "audit \"file\" \"a\" { options { file_path = \"/a\" } }\naudit \"file\" \"a/\" { options { file_path = \"/b\" } }",
            "c.hcl:2:1: audit \"a/\": the name is in use by audit \"a\": give one of them another",
        ),
        ("audit \"file\" \"a\" { path = \"b\" }", "c.hcl:1:20: path: stands in the block's labels already: remove it"),
        ("audit \"file\" \"a\" { optionen { } }", "c.hcl:1:20: unknown key \"optionen\" in an audit block: did you mean \"options\"?"),
        (
            "audit \"file\" { path = \"x\" }",
            "c.hcl:1:16: audit: expected a type and a name, as in audit \"file\" \"to-file\" { options { file_path = \"/var/log/coffer-audit.log\" } }",
        ),
    ] {
        assert_eq!(devices(text).unwrap_err(), error, "{text}");
    }
}
