use std::io;
use std::sync::{Arc, Mutex};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use super::services::{Trust, sts};
use super::*;
use crate::LOG_FILTER_DENY;

/// Everything that is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Log;

    fn make_writer(&self) -> Log {
        self.clone()
    }
}

/// All sources, successes and failures, on the one thread that the log is set for.
async fn everything() {
    let node = services::imds(3600.0).await;
    let base = Some(("ASIA1".to_owned(), text("temporary-token-1")));
    let trust = Trust { base, life: 3600.0, external_id: text("hidden-word"), ..Trust::default() };
    "hidden-jwt".clone_into(&mut trust.token.lock().unwrap());
    let (token, server) = (trust.token.clone(), sts(trust).await);
    let folder = tempfile::tempdir().unwrap();
    let file = write(&folder.path().join("token"), "hidden-jwt");
    let role = || Identity { role_arn: text("arn:shown"), external_id: text("hidden-word"), ..Identity::default() };
    let on_node = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", node.url.as_str()), ("AWS_ENDPOINT_URL_STS", &server.url)];
    let assumed = open(role(), &sources(&on_node)).await;
    let keys = assumed.get().await.unwrap();
    assumed.refresh_now(&keys).await;
    let pod = [("AWS_WEB_IDENTITY_TOKEN_FILE", file.as_str()), ("AWS_ROLE_ARN", "arn:pod"), ("AWS_ENDPOINT_URL_STS", &server.url)];
    open(Identity::default(), &sources(&pod)).await.get().await.unwrap();
    "another".clone_into(&mut token.lock().unwrap());
    failure(&open(Identity::default(), &sources(&pod)).await).await;
    let container =
        [("AWS_CONTAINER_CREDENTIALS_FULL_URI", node.url.as_str()), ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "hidden-authorization")];
    failure(&open(Identity::default(), &sources(&container)).await).await;
    let process = "echo '{\"Version\":1,\"AccessKeyId\":\"AKIA\",\"SecretAccessKey\":\"hidden-secret\"}' --password hidden-password";
    let config = write(&folder.path().join("config"), &format!("[profile process]\ncredential_process = sh -c \"{process}\"\n"));
    let file = Identity { shared_config_file: Some(config), profile: text("process"), ..Identity::default() };
    let _ = open(file, &sources(&[])).await.get().await;
    let keys = Identity { secret_key: secret("hidden-secret"), ..stanza_keys() };
    open(keys, &sources(&[])).await.get().await.unwrap();
}

/// Two subscribers that want nothing, beside the one that the test sets. If it were the only one, a line that the thread of another test is the first to
/// log would be taken for one that nobody wants, also here.
fn others() -> [tracing::Dispatch; 2] {
    [(); 2].map(|()| tracing::Dispatch::new(tracing::subscriber::NoSubscriber::new()))
}

/// The log of `everything` at the level that shows most.
async fn log(directives: String) -> String {
    let log = Log::default();
    let filter = EnvFilter::try_new(directives).unwrap();
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(log.clone()).with_ansi(false).finish();
    let _others = others();
    let _set = tracing::subscriber::set_default(subscriber);
    everything().await;
    String::from_utf8(log.0.lock().unwrap().clone()).unwrap()
}

const SECRETS: [&str; 9] = [
    "hidden-word",
    "hidden-jwt",
    "hidden-authorization",
    "hidden-secret",
    "hidden-password",
    "stanza-secret",
    "temporary-secret",
    "temporary-token",
    "sts-secret",
];

#[tokio::test]
async fn no_secret_is_logged_at_any_level() {
    let capped: Vec<String> = LOG_FILTER_DENY.iter().map(|target| format!("{target}=warn")).collect();
    let log = log(format!("trace,{}", capped.join(","))).await;
    for words in ["new AWS credentials", "arn:shown", "InvalidIdentityToken", "AWS has refused the credentials"] {
        assert!(log.contains(words), "{words:?} is not in the log:\n{log}");
    }
    for hidden in SECRETS.iter().chain(&["sts-token"]) {
        assert!(!log.contains(hidden), "{hidden:?} is in the log:\n{log}");
    }
}
