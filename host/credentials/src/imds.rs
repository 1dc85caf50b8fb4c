//! The metadata of the instance (IMDSv2): its credentials and its region.
//!
//! The rule: one attempt, all its requests and retries included, ends within [`LIMIT`]; what one attempt found out, that nobody answers,
//! holds for the next few seconds, so that region and credentials do not wait one after the other. There is no way back to version 1.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use aws_config::imds::Client;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials;
use tokio::sync::Mutex as AsyncMutex;

use crate::Sources;
use crate::error::chain;
use crate::network;
use crate::sources::variable;

/// How long one attempt may take. Tests leave time for a machine that stands still meanwhile.
pub(crate) const LIMIT: Duration = Duration::from_secs(if cfg!(test) { 4 } else { 2 });
/// How long nobody asks again after nobody answered.
const SILENCE: Duration = Duration::from_secs(5);

const REGION: &str = "/latest/meta-data/placement/region";
const IPV4: &str = "http://169.254.169.254";
const IPV6: &str = "http://[fd00:ec2::254]";

/// What all users of one [`Sources`] share of the instance metadata.
#[derive(Debug, Default)]
pub(crate) struct Imds {
    /// One attempt at a time: who waits for it learns from it.
    attempt: AsyncMutex<()>,
    client: Mutex<Option<Client>>,
    silent: Mutex<Option<(Instant, String)>>,
}

/// Whether the operator has turned it off.
pub(crate) fn disabled(sources: &Sources) -> bool {
    sources.get(variable::IMDS_DISABLED).is_some_and(|value| value.trim().eq_ignore_ascii_case("true"))
}

/// Its address.
pub(crate) fn endpoint(sources: &Sources) -> String {
    let by_mode = || match sources.get(variable::IMDS_MODE) {
        Some(mode) if mode.trim().eq_ignore_ascii_case("ipv6") => IPV6.to_owned(),
        _ => IPV4.to_owned(),
    };
    sources.get(variable::IMDS_ENDPOINT).unwrap_or_else(by_mode)
}

/// The instance role's credentials.
pub(crate) async fn credentials(sources: &Sources) -> Result<Credentials, String> {
    let ask = |client: Client| async move {
        // A provider of its own for each attempt: an old one would give its last credentials in place of an error.
        let provider = ImdsCredentialsProvider::builder().imds_client(client).configure(&config()).build();
        provider.provide_credentials().await.map_err(|error| chain(&error))
    };
    attempt(sources, ask).await
}

/// The instance's region.
pub(crate) async fn region(sources: &Sources) -> Result<String, String> {
    let ask = |client: Client| async move { client.get(REGION).await.map_err(|error| chain(&error)) };
    let wrong = |cause| format!("the instance metadata at {}: {cause}", endpoint(sources));
    Ok(attempt(sources, ask).await.map_err(wrong)?.as_ref().trim().to_owned())
}

async fn attempt<T, F, R>(sources: &Sources, ask: F) -> Result<T, String>
where
    F: FnOnce(Client) -> R,
    R: Future<Output = Result<T, String>>,
{
    let imds = sources.imds();
    let _one = imds.attempt.lock().await;
    if let Some((when, cause)) = &*held(&imds.silent)
        && when.elapsed() < SILENCE
    {
        return Err(cause.clone());
    }
    let endpoint = endpoint(sources);
    let shared = held(&imds.client).clone();
    let client = match shared {
        Some(client) => client,
        None => build(&endpoint)?,
    };
    let (cause, silent) = match tokio::time::timeout(LIMIT, ask(client.clone())).await {
        Ok(Ok(answer)) => {
            *held(&imds.client) = Some(client);
            return Ok(answer);
        }
        Ok(Err(cause)) => (cause, false),
        Err(_) => (silence(), true),
    };
    // Its session token may be what was refused.
    *held(&imds.client) = None;
    *held(&imds.silent) = silent.then(|| (Instant::now(), cause.clone()));
    Err(cause)
}

fn silence() -> String {
    format!(
        "no answer within {} s. In a container on EC2 the metadata's hop limit must be 2 \
         (`aws ec2 modify-instance-metadata-options --http-put-response-hop-limit 2`); elsewhere there is none, and another source must be set",
        LIMIT.as_secs()
    )
}

fn build(endpoint: &str) -> Result<Client, String> {
    let builder = Client::builder().configure(&config()).endpoint(endpoint);
    let invalid = |_| format!("{} is not an address such as {IPV4}: {endpoint}", variable::IMDS_ENDPOINT);
    // A server's error is asked about again; silence ends with the limit.
    Ok(builder.map_err(invalid)?.max_attempts(2).build())
}

fn config() -> ProviderConfig {
    ProviderConfig::empty().with_http_client(network::plain()).with_sleep_impl(network::sleep())
}

/// A lock that a panic elsewhere does not take away: what it guards is whole at any time.
fn held<T>(lock: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
