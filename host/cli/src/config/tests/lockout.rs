//! Lockout blocks.

use std::time::Duration;

use cofferdam_vault::lockout::LockoutOptions;

use super::{STORAGE, load_files, with};

fn lockout(text: &str) -> LockoutOptions {
    with(text).unwrap().lockout
}

#[test]
fn what_is_said_of_a_method_comes_over_what_is_said_of_all() {
    assert_eq!(lockout(""), LockoutOptions::default());
    let all = r#"user_lockout "all" { lockout_threshold = "7" lockout_duration = "10m" lockout_counter_reset = 60 }"#;
    let wanted =
        LockoutOptions { threshold: 7, duration: Duration::from_secs(600), counter_reset: Duration::from_secs(60), disabled: false };
    assert_eq!(lockout(all), wanted);
    let both = format!("user_lockout \"approle\" {{ lockout_threshold = 3 disable_lockout = \"true\" }}\n{all}");
    assert_eq!(lockout(&both), LockoutOptions { threshold: 3, disabled: true, ..wanted });
    assert_eq!(lockout(r#"user_lockout "userpass" { lockout_threshold = 3 }"#), LockoutOptions::default());
    // Zero is the default, as in Vault.
    assert_eq!(lockout(r#"user_lockout "ALL" { lockout_threshold = 0 lockout_duration = "0" }"#), LockoutOptions::default());
}

#[test]
fn the_environment_can_turn_it_off() {
    let text = format!("{STORAGE}listener \"tcp\" {{ address = \"127.0.0.1:1\" tls_disable = 1 }}");
    let with = |value: &str| load_files(&[("c.hcl", &text)], &[("VAULT_DISABLE_USER_LOCKOUT", value)]);
    assert!(with("true").unwrap().lockout.disabled && !with("0").unwrap().lockout.disabled);
    assert!(with("often").unwrap_err().contains("VAULT_DISABLE_USER_LOCKOUT"));
}

#[test]
fn what_cannot_be_meant_is_an_error_that_names_the_key() {
    for (text, error) in [
        ("user_lockout \"ssh\" { }", "c.hcl:1:14: user_lockout \"ssh\": "),
        ("user_lockout \"all\" { lockout_threshold = \"many\" }", "lockout_threshold: expected the number"),
        ("user_lockout \"all\" { lockout_threshold = -1 }", "lockout_threshold: expected the number"),
        ("user_lockout \"all\" { lockout_duration = \"long\" }", "lockout_duration: expected a duration"),
        ("user_lockout \"all\" { lockout_time = 1 }", "lockout_time"),
    ] {
        let found = with(text).unwrap_err();
        assert!(found.contains(error), "{found}");
    }
}
