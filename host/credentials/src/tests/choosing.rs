use std::sync::Arc;

use super::*;
use crate::Providers;
use crate::choice::choose;

/// What is chosen, in words, and what is not used.
async fn chosen(identity: Identity, variables: &[(&str, &str)]) -> (String, String) {
    let sources = sources(variables);
    let choice = choose(&identity, &sources).await.unwrap();
    (choice.describe(&sources), choice.unused.join(", "))
}

const ENVIRONMENT: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "AKIAENV"), ("AWS_SECRET_ACCESS_KEY", "env-secret")];
const POD: [(&str, &str); 2] = [("AWS_WEB_IDENTITY_TOKEN_FILE", "/token"), ("AWS_ROLE_ARN", "arn:pod")];
const CONTAINER: (&str, &str) = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1/");

#[tokio::test]
async fn the_stanzas_keys_come_first_then_the_environments() {
    let all: Vec<(&str, &str)> = ENVIRONMENT.into_iter().chain(POD).chain([CONTAINER]).collect();
    let (source, unused) = chosen(stanza_keys(), &all).await;
    assert_eq!(source, "the stanza (`access_key`)");
    assert_eq!(unused, "AWS_ACCESS_KEY_ID, AWS_WEB_IDENTITY_TOKEN_FILE, AWS_CONTAINER_CREDENTIALS_FULL_URI");
    let profile = Identity { profile: text("p"), ..Identity::default() };
    let (source, unused) = chosen(profile, &all).await;
    assert_eq!(source, "the environment (AWS_ACCESS_KEY_ID)");
    assert_eq!(unused, "`profile`, AWS_WEB_IDENTITY_TOKEN_FILE, AWS_CONTAINER_CREDENTIALS_FULL_URI");
    let credentials = open(Identity::default(), &sources(&[&ENVIRONMENT[..], &[("AWS_SESSION_TOKEN", "env-token")]].concat())).await;
    assert_eq!(shown(&credentials.get().await.unwrap()), ("AKIAENV", "env-secret", Some("env-token")));
    // The names that Vault's SDK takes besides.
    let credentials = open(Identity::default(), &sources(&[("AWS_ACCESS_KEY", "AKIAOLD"), ("AWS_SECRET_KEY", "old")])).await;
    assert_eq!(shown(&credentials.get().await.unwrap()), ("AKIAOLD", "old", None));
}

#[tokio::test]
async fn a_pods_token_comes_before_a_profile_that_nobody_named() {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join(".aws")).unwrap();
    let file = home.path().join(".aws/credentials");
    let file = write(&file, "[default]\naws_access_key_id = AKIAFILE\naws_secret_access_key = x\n");
    let home = ("HOME", home.path().to_str().unwrap());
    let pod: Vec<(&str, &str)> = POD.into_iter().chain([home]).collect();
    assert_eq!(chosen(Identity::default(), &pod).await.0, "the web identity token /token for role arn:pod");
    let named = [&pod[..], &[("AWS_PROFILE", "default")]].concat();
    let (source, unused) = chosen(Identity::default(), &named).await;
    assert_eq!((source, unused.as_str()), (format!("profile `default` of {file}"), "AWS_WEB_IDENTITY_TOKEN_FILE"));
    let (source, unused) = chosen(Identity::default(), &[home, CONTAINER]).await;
    assert_eq!((source, unused.as_str()), (format!("profile `default` of {file}"), "AWS_CONTAINER_CREDENTIALS_FULL_URI"));
}

#[tokio::test]
async fn a_role_in_the_environment_without_a_token_is_not_used_and_that_is_said() {
    let (source, unused) = chosen(Identity::default(), &[("AWS_ROLE_ARN", "arn:pod"), CONTAINER]).await;
    assert_eq!((source.as_str(), unused.as_str()), ("the container endpoint http://127.0.0.1/", "AWS_ROLE_ARN"));
}

#[tokio::test]
async fn half_a_pair_is_refused_and_the_other_half_named() {
    let id = || Identity { access_key: secret("AKIA"), ..Identity::default() };
    let what = refusal(id(), &ENVIRONMENT).await;
    assert!(what.contains("`access_key` is set and `secret_key` is not"), "{what}");
    // What a template renders to nothing is not set.
    let what = refusal(Identity { secret_key: secret("  "), ..id() }, &ENVIRONMENT).await;
    assert!(what.contains("`access_key` is set and `secret_key` is not"), "{what}");
    let what = refusal(Identity { secret_key: secret("hidden-secret"), ..Identity::default() }, &[]).await;
    assert!(what.contains("`secret_key` is set and `access_key` is not") && !what.contains("hidden"), "{what}");
    let what = refusal(Identity { session_token: secret("hidden-token"), ..Identity::default() }, &[]).await;
    assert!(what.contains("`session_token` is set") && !what.contains("hidden"), "{what}");
    let what = refusal(Identity::default(), &[("AWS_ACCESS_KEY_ID", "AKIA")]).await;
    assert!(what.contains("AWS_ACCESS_KEY_ID and no AWS_SECRET_ACCESS_KEY"), "{what}");
    let what = refusal(Identity::default(), &[("AWS_SECRET_ACCESS_KEY", "hidden-secret"), ("AWS_ACCESS_KEY_ID", "")]).await;
    assert!(what.contains("AWS_SECRET_ACCESS_KEY and no AWS_ACCESS_KEY_ID") && !what.contains("hidden"), "{what}");
}

#[tokio::test]
async fn equal_identities_share_a_provider_until_nobody_uses_it() {
    let server = services::imds(3600.0).await;
    let providers = Providers::new(services::on_instance(&server));
    let one = providers.get(Identity::default(), REGION).await.unwrap();
    let two = providers.get(Identity::default(), REGION).await.unwrap();
    let other = providers.get(stanza_keys(), REGION).await.unwrap();
    assert!(Arc::ptr_eq(&one, &two) && !Arc::ptr_eq(&one, &other));
    assert_eq!(one.get().await.unwrap().access_key_id(), "ASIA1");
    assert_eq!(two.get().await.unwrap().access_key_id(), "ASIA1");
    let weak = Arc::downgrade(&one);
    drop((one, two));
    assert!(weak.upgrade().is_none());
    assert_eq!(providers.get(Identity::default(), REGION).await.unwrap().get().await.unwrap().access_key_id(), "ASIA2");
}

#[test]
fn nothing_secret_is_shown() {
    let identity =
        Identity { session_token: secret("hidden-token"), external_id: text("hidden-word"), role_arn: text("arn:shown"), ..stanza_keys() };
    let shown = format!("{identity:?} {:?}", sources(&ENVIRONMENT));
    assert!(shown.contains("arn:shown"), "{shown}");
    for hidden in ["hidden-token", "hidden-word", "stanza-secret", "env-secret", "AKIA"] {
        assert!(!shown.contains(hidden), "{shown}");
    }
}
