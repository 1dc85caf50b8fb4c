use std::sync::{Arc, Mutex};

use super::server::Server;
use super::services::{Trust, sts};
use super::*;

const ARN: &str = "arn:aws:iam::111122223333:role/cofferdam";
const POD: &str = "arn:aws:iam::444455556666:role/pod";

/// A pod of EKS with a token file, and STS that trusts the token.
struct Pod {
    folder: tempfile::TempDir,
    token: Arc<Mutex<String>>,
    sts: Server,
}

impl Pod {
    async fn new(trust: Trust) -> Pod {
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("token"), "jwt-one\n");
        "jwt-one".clone_into(&mut trust.token.lock().unwrap());
        let token = trust.token.clone();
        Pod { folder, token, sts: sts(trust).await }
    }

    fn file(&self) -> String {
        self.folder.path().join("token").to_str().unwrap().to_owned()
    }

    fn sources(&self, more: &[(&str, &str)]) -> Sources {
        let file = self.file();
        let own = [("AWS_WEB_IDENTITY_TOKEN_FILE", file.as_str()), ("AWS_ROLE_ARN", POD), ("AWS_ENDPOINT_URL_STS", &self.sts.url)];
        Sources::of(own.iter().chain(more).copied())
    }
}

fn lasting(life: f64) -> Trust {
    Trust { life, ..Trust::default() }
}

#[tokio::test]
async fn a_token_is_exchanged_and_read_anew() {
    let pod = Pod::new(lasting(3600.0)).await;
    let credentials = open(Identity::default(), &pod.sources(&[("AWS_ROLE_SESSION_NAME", "pod-7")])).await;
    let first = credentials.get().await.unwrap();
    assert_eq!(shown(&first), ("ASIASTS1", "sts-secret-1", Some("sts-token-1")));
    write(&pod.folder.path().join("token"), "jwt-two");
    "jwt-two".clone_into(&mut pod.token.lock().unwrap());
    assert!(credentials.refresh_now(&first).await);
    assert_eq!(credentials.get().await.unwrap().access_key_id(), "ASIASTS2");
    let asked = pod.sts.asked();
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[0].field("RoleArn").as_deref(), Some(POD));
    assert_eq!(asked[0].field("RoleSessionName").as_deref(), Some("pod-7"));
    assert_eq!(asked[1].field("WebIdentityToken").as_deref(), Some("jwt-two"));
    assert!(credentials.source().contains(POD) && credentials.source().contains(&pod.file()), "{}", credentials.source());
}

#[tokio::test]
async fn a_refused_token_is_an_error_and_nothing_weaker_is_used() {
    let pod = Pod::new(lasting(3600.0)).await;
    "another".clone_into(&mut pod.token.lock().unwrap());
    let node = services::imds(3600.0).await;
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join(".aws")).unwrap();
    let file = home.path().join(".aws/credentials");
    write(&file, "[default]\naws_access_key_id = AKIAFILE\naws_secret_access_key = x\n");
    let more = [
        ("HOME", home.path().to_str().unwrap()),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", node.url.as_str()),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", node.url.as_str()),
    ];
    let credentials = open(Identity::default(), &pod.sources(&more)).await;
    let cause = failure(&credentials).await;
    assert!(cause.contains("InvalidIdentityToken: the token is not the one that was issued"), "{cause}");
    assert!(cause.contains(POD) && cause.contains(&pod.sts.url) && !cause.contains("jwt-one"), "{cause}");
    assert!(node.asked().is_empty());
    std::fs::remove_file(pod.file()).unwrap();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let cause = failure(&credentials).await;
    assert!(cause.contains("cannot read the web identity token file"), "{cause}");
    assert!(node.asked().is_empty());
}

#[tokio::test]
async fn the_stanzas_role_and_file_are_the_tokens() {
    let pod = Pod::new(lasting(3600.0)).await;
    let stanza = Identity {
        role_arn: text(ARN),
        role_session_name: text("vault"),
        web_identity_token_file: Some(pod.file()),
        ..Identity::default()
    };
    let elsewhere = [("AWS_ENDPOINT_URL_STS", pod.sts.url.as_str()), ("AWS_WEB_IDENTITY_TOKEN_FILE", "/nowhere"), ("AWS_ROLE_ARN", POD)];
    open(stanza, &sources(&elsewhere)).await.get().await.unwrap();
    let asked = &pod.sts.asked()[0];
    assert_eq!((asked.field("RoleArn").unwrap(), asked.field("RoleSessionName").unwrap()), (ARN.to_owned(), "vault".to_owned()));
    // With the pod's file too.
    open(Identity { role_arn: text(ARN), ..Identity::default() }, &pod.sources(&[])).await.get().await.unwrap();
    let asked = &pod.sts.asked()[1];
    assert_eq!((asked.field("Action").unwrap(), asked.field("RoleArn").unwrap()), ("AssumeRoleWithWebIdentity".to_owned(), ARN.to_owned()));
    assert!(asked.field("RoleSessionName").unwrap().starts_with("cofferdam-"));
}

#[tokio::test]
async fn a_role_is_assumed_with_the_stanzas_keys_and_again_before_it_ends() {
    let trust = Trust { base: Some(("AKIASTANZA".to_owned(), None)), external_id: text("shared word"), life: 2.0, ..Trust::default() };
    // The first live for two seconds, those after them for an hour.
    let server = sts(trust).await;
    let sources = sources(&[("AWS_ENDPOINT_URL", &server.url), ("HOSTNAME", "vault-0")]);
    let stanza = Identity { role_arn: text(ARN), external_id: text("shared word"), ..stanza_keys() };
    let credentials = open(stanza.clone(), &sources).await;
    becomes(&credentials, "ASIASTS2").await;
    assert_eq!(shown(&credentials.get().await.unwrap()), ("ASIASTS2", "sts-secret-2", Some("sts-token-2")));
    let names = server.asked().iter().map(|asked| asked.field("RoleSessionName")).collect::<Vec<_>>();
    assert_eq!(names, vec![text("cofferdam-vault-0"); 2]);
    let without = open(Identity { external_id: None, ..stanza }, &sources).await;
    let cause = failure(&without).await;
    assert!(cause.contains(&format!("AssumeRole of {ARN}")) && cause.contains("AccessDenied: the external id"), "{cause}");
    assert!(!cause.contains("stanza-secret"), "{cause}");
}

#[tokio::test]
async fn a_role_is_assumed_with_the_instances_credentials() {
    let base = Some(("ASIA1".to_owned(), text("temporary-token-1")));
    let (server, node) = (sts(Trust { base, ..lasting(3600.0) }).await, services::imds(3600.0).await);
    let variables = [("AWS_ENDPOINT_URL_STS", server.url.as_str()), ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &node.url)];
    let credentials = open(Identity { role_arn: text(ARN), ..Identity::default() }, &sources(&variables)).await;
    assert_eq!(credentials.get().await.unwrap().access_key_id(), "ASIASTS1");
    assert!(credentials.source().contains("assumed with those from the instance metadata"), "{}", credentials.source());
}

#[tokio::test]
async fn an_external_id_assumes_the_stanzas_role_with_the_pods() {
    let base = Some(("ASIASTS1".to_owned(), text("sts-token-1")));
    let pod = Pod::new(Trust { base, external_id: text("word"), ..lasting(3600.0) }).await;
    let stanza = Identity { role_arn: text(ARN), external_id: text("word"), ..Identity::default() };
    assert_eq!(open(stanza, &pod.sources(&[])).await.get().await.unwrap().access_key_id(), "ASIASTS2");
    let roles: Vec<String> = pod.sts.asked().iter().map(|asked| asked.field("RoleArn").unwrap()).collect();
    assert_eq!(roles, [POD, ARN]);
}

#[tokio::test]
async fn what_belongs_to_a_role_needs_one() {
    let word = || text("word");
    for identity in [
        Identity { external_id: word(), ..stanza_keys() },
        Identity { role_session_name: word(), ..stanza_keys() },
        Identity { web_identity_token_file: word(), ..stanza_keys() },
        Identity { web_identity_token_file: word(), ..Identity::default() },
        Identity { external_id: word(), ..Identity::default() },
    ] {
        let what = refusal(identity, &[]).await;
        assert!(what.contains("role_arn"), "{what}");
    }
    let what = refusal(Identity::default(), &[("AWS_WEB_IDENTITY_TOKEN_FILE", "/token")]).await;
    assert!(what.contains("AWS_WEB_IDENTITY_TOKEN_FILE is set, and no role for it") && what.contains("AWS_ROLE_ARN"), "{what}");
    let both = Identity { external_id: word(), role_arn: text(ARN), web_identity_token_file: word(), ..Identity::default() };
    let what = refusal(both, &[]).await;
    assert!(what.contains("`external_id` does not go with `web_identity_token_file`"), "{what}");
}
