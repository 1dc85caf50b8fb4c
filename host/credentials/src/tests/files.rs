use std::path::PathBuf;

use tempfile::TempDir;

use super::services::{Trust, sts};
use super::*;

/// A home directory with these shared files.
fn home(config: &str, credentials: &str) -> (TempDir, Vec<(String, String)>) {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join(".aws")).unwrap();
    for (name, text) in [("config", config), ("credentials", credentials)] {
        if !text.is_empty() {
            write(&home.path().join(".aws").join(name), text);
        }
    }
    let variables =
        vec![("HOME".to_owned(), home.path().to_str().unwrap().to_owned()), ("AWS_EC2_METADATA_DISABLED".to_owned(), "true".to_owned())];
    (home, variables)
}

fn keys(profile: &str, id: &str) -> String {
    format!("[{profile}]\naws_access_key_id = {id}\naws_secret_access_key = secret-of-{id}\n")
}

async fn got(identity: Identity, variables: &[(String, String)]) -> String {
    let credentials = open(identity, &Sources::of(variables.iter().cloned())).await;
    credentials.get().await.unwrap().access_key_id().to_owned()
}

#[tokio::test]
async fn a_default_profile_is_used_and_a_named_one_before_it() {
    let files = keys("default", "AKIADEFAULT") + &keys("stanza", "AKIASTANZA") + &keys("variable", "AKIAVARIABLE");
    let (_home, mut variables) = home("", &files);
    let of_stanza = || Identity { profile: text("stanza"), ..Identity::default() };
    assert_eq!(got(Identity::default(), &variables).await, "AKIADEFAULT");
    assert_eq!(got(of_stanza(), &variables).await, "AKIASTANZA");
    // The variable has precedence, as in Vault.
    variables.push(("AWS_PROFILE".to_owned(), "variable".to_owned()));
    assert_eq!(got(of_stanza(), &variables).await, "AKIAVARIABLE");
}

#[tokio::test]
async fn a_named_file_has_precedence_and_must_be_readable() {
    let (home, mut variables) = home("", &keys("default", "AKIAHOME"));
    let other = write(&home.path().join("other"), &keys("default", "AKIAOTHER"));
    let third = write(&home.path().join("third"), &keys("default", "AKIATHIRD"));
    variables.push(("AWS_SHARED_CREDENTIALS_FILE".to_owned(), other));
    assert_eq!(got(Identity::default(), &variables).await, "AKIAOTHER");
    let identity = |path: &str| Identity { shared_credentials_file: text(path), ..Identity::default() };
    assert_eq!(got(identity(&third), &variables).await, "AKIATHIRD");
    let what = refusal(identity("/nowhere/keys"), &[]).await;
    assert!(what.contains("`shared_credentials_file`: cannot read /nowhere/keys"), "{what}");
    let what = refusal(Identity::default(), &[("AWS_SHARED_CREDENTIALS_FILE", "/nowhere/keys")]).await;
    assert!(what.contains("AWS_SHARED_CREDENTIALS_FILE: cannot read /nowhere/keys"), "{what}");
}

#[tokio::test]
async fn keys_rotated_in_the_file_are_found_when_the_old_ones_are_refused() {
    let (home, variables) = home("", &keys("default", "AKIAOLD"));
    let credentials = open(Identity::default(), &Sources::of(variables)).await;
    let old = credentials.get().await.unwrap();
    write(&home.path().join(".aws/credentials"), &keys("default", "AKIANEW"));
    assert!(credentials.refresh_now(&old).await);
    assert_eq!(credentials.get().await.unwrap().access_key_id(), "AKIANEW");
}

#[tokio::test]
async fn a_role_over_a_source_profile() {
    let trust = Trust { base: Some(("AKIABASE".to_owned(), None)), external_id: text("word"), life: 3600.0, ..Trust::default() };
    let server = sts(trust).await;
    let config = format!(
        "[profile chain]\nrole_arn = arn:aws:iam::111122223333:role/chain\nsource_profile = base\nexternal_id = word\nservices = local\n\
         [services local]\nsts =\n  endpoint_url = {}\n",
        server.url
    );
    let (_home, variables) = home(&config, &keys("base", "AKIABASE"));
    assert_eq!(got(Identity { profile: text("chain"), ..Identity::default() }, &variables).await, "ASIASTS1");
    assert_eq!(server.asked()[0].field("RoleArn").unwrap(), "arn:aws:iam::111122223333:role/chain");
}

#[tokio::test]
async fn a_role_over_the_environments_keys() {
    let trust = Trust { base: Some(("AKIAENV".to_owned(), None)), life: 3600.0, ..Trust::default() };
    let server = sts(trust).await;
    let config = format!(
        "[default]\nrole_arn = arn:aws:iam::111122223333:role/chain\ncredential_source = EcsContainer\nendpoint_url = {}\n",
        server.url
    );
    let (_home, mut variables) = home(&config, "");
    let answer = format!(r#"{{"AccessKeyId":"AKIAENV","SecretAccessKey":"x","Token":"","Expiration":"{}"}}"#, in_seconds(3600.0));
    let endpoint = server::Server::start(move |_| services::ok(answer.clone())).await;
    variables.push(("AWS_CONTAINER_CREDENTIALS_FULL_URI".to_owned(), endpoint.url.clone()));
    assert_eq!(got(Identity::default(), &variables).await, "ASIASTS1");
}

#[tokio::test]
async fn a_credential_process_is_run_again_before_its_credentials_end() {
    let folder = tempfile::tempdir().unwrap();
    let runs: PathBuf = folder.path().join("runs");
    let script = format!(
        "#!/bin/sh\necho run >> {runs}\nn=$(wc -l < {runs} | tr -d ' ')\nlife=3600\n[ $n = 1 ] && life=3\n\
         printf '{{\"Version\":1,\"AccessKeyId\":\"ASIAPROCESS%s\",\"SecretAccessKey\":\"x\",\"SessionToken\":\"y\",\"Expiration\":\"%s\"}}' \
         \"$n\" \"$(date -u -d \"+$life seconds\" +%Y-%m-%dT%H:%M:%SZ)\"\n",
        runs = runs.display()
    );
    let script = write(&folder.path().join("process.sh"), &script);
    let (_home, variables) = home(&format!("[profile process]\ncredential_process = sh {script}\n"), "");
    let identity = Identity { profile: text("process"), ..Identity::default() };
    let credentials = open(identity, &Sources::of(variables)).await;
    becomes(&credentials, "ASIAPROCESS2").await;
}

#[tokio::test]
async fn a_failing_credential_process_is_an_error() {
    let (_home, variables) = home("[default]\ncredential_process = sh -c 'echo no ticket >&2; exit 3'\n", "");
    let credentials = open(Identity::default(), &Sources::of(variables)).await;
    let cause = failure(&credentials).await;
    assert!(cause.contains("profile `default`") && cause.contains("no ticket"), "{cause}");
}

#[tokio::test]
async fn profiles_that_cannot_serve_are_refused_by_name() {
    let config = "[profile sso]\nsso_session = corp\nsso_account_id = 1\nsso_role_name = x\n[profile over]\nrole_arn = arn\nsource_profile = sso\n\
                  [profile only-region]\nregion = eu-west-1\n[profile login]\nlogin_session = arn\n[profile half]\naws_access_key_id = A\n";
    let (home, variables) = home(config, "");
    let borrowed: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let of = |name: &str| Identity { profile: text(name), ..Identity::default() };
    for (name, words) in [
        ("sso", "profile `sso` has `sso_session`, which asks for a person to sign in and is not supported"),
        ("over", "profile `sso` has `sso_session`"),
        ("login", "`login_session`"),
        ("only-region", "holds no credentials and no way to get them"),
        ("absent", "there is no profile `absent`"),
    ] {
        let what = refusal(of(name), &borrowed).await;
        assert!(what.contains(&format!("the AWS identity is profile `{name}`")) && what.contains(words), "{what}");
    }
    let cause = failure(&open(of("half"), &Sources::of(variables.clone())).await).await;
    assert!(cause.contains("aws_secret_access_key"), "{cause}");
    drop(home);
    let what = refusal(of("any"), &[]).await;
    assert!(what.contains("there is neither a shared credentials file nor a shared config file"), "{what}");
}

#[tokio::test]
async fn a_default_profile_without_credentials_is_passed_over() {
    let node = services::imds(3600.0).await;
    let (_home, mut variables) = home("[default]\nregion = eu-west-1\n", "");
    variables.retain(|(name, _)| name != "AWS_EC2_METADATA_DISABLED");
    variables.push(("AWS_EC2_METADATA_SERVICE_ENDPOINT".to_owned(), node.url.clone()));
    assert_eq!(got(Identity::default(), &variables).await, "ASIA1");
}
