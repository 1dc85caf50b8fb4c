//! Servers with this seal: from the start to unsealed, beside the same store with Shamir's shares, and how often they ask KMS.
//!
//! The floor of the counts is Vault, by its published behaviour and not measured: a DescribeKey when the seal is configured, a Decrypt of the
//! stored keys and an Encrypt that learns the key of today at each start; an Encrypt and a Decrypt every ten minutes; and after the key has
//! changed a Decrypt and an Encrypt for each of its two stored entries.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use cofferdam_emulator::free_port;
use cofferdam_vault::seal::HealthTimes;
use serde_json::{Value, json};

use super::endpoint::{Counts, Endpoint};
use super::{ACCESS_KEY, ALIAS, REGION, SECRET_KEY};
use crate::Bench;
use crate::process::Server;
use crate::row::Row;
use crate::sample::median;

const VAULT: &str = "Vault";
const VAULT_START: f64 = 3.0;
const VAULT_DAY: f64 = 288.0;
const VAULT_ROTATION: f64 = 4.0;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// The interval of health checks while they are counted.
const SHORT: Duration = Duration::from_secs(1);
/// A server that has not asked KMS for so long is done with what it had to ask.
const QUIET: Duration = Duration::from_millis(400);
/// The longest to wait for anything.
const WAIT: Duration = Duration::from_secs(30);

/// A store with its seal.
struct Place<'a> {
    bench: &'a Bench,
    dir: PathBuf,
    cache: PathBuf,
    seal: String,
    /// The one unseal key, where there is one.
    share: Option<Value>,
    token: String,
}

/// The rows of the servers.
pub(super) async fn measure(bench: &Bench, kms: &mut Endpoint) -> Result<Vec<Row>> {
    let work = tempfile::tempdir_in(&bench.scratch)?;
    let auto = Place::new(bench, work.path(), "auto", stanza(kms.url(), None)).await?;
    let shamir = Place::new(bench, work.path(), "shamir", String::new()).await?;

    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..bench.rounds(9) {
        ours.push(auto.start().await?.1);
        theirs.push(shamir.start().await?.1);
    }
    let mut rows = vec![Row::shown("start to unsealed, seal awskms", "ms", median(ours), ("Shamir, share given at once", median(theirs)))];

    let before = settled(kms).await?;
    let (mut server, _) = auto.start().await?;
    let after = settled(kms).await?;
    let start = made(&before, &after)?;
    rows.push(Row::shown("KMS requests per start", "", start, (VAULT, VAULT_START)));

    server.token.clone_from(&auto.token);
    server.done("PUT", "sys/rotate", None).await?;
    ensure!(settled(kms).await? == after, "sys/rotate asked KMS");
    drop(server);

    // What the start after it asks beyond what any start does.
    kms.rotate()?;
    let before = settled(kms).await?;
    let (server, _) = auto.start().await?;
    let rotation = made(&before, &settled(kms).await?)? - start;
    drop(server);
    rows.push(Row::shown("KMS requests per key rotation", "", rotation, (VAULT, VAULT_ROTATION)));

    let idle = Place { seal: stanza(kms.url(), Some(SHORT)), ..auto };
    rows.push(Row::shown("KMS requests per idle day", "", idle.day(kms).await?, (VAULT, VAULT_DAY)));
    Ok(rows)
}

/// The stanza of the seal.
fn stanza(endpoint: &str, interval: Option<Duration>) -> String {
    let interval = interval.map(|time| format!("  health_check_interval = \"{}ms\"\n", time.as_millis())).unwrap_or_default();
    format!(
        "seal \"awskms\" {{\n  kms_key_id = \"{ALIAS}\"\n  region = \"{REGION}\"\n  endpoint = \"{endpoint}\"\n  \
         access_key = \"{ACCESS_KEY}\"\n  secret_key = \"{SECRET_KEY}\"\n  disallow_env_vars = true\n{interval}}}\n"
    )
}

/// How many requests lie between two counts; says which.
fn made(before: &Counts, after: &Counts) -> Result<f64> {
    let made: Counts = after.iter().map(|(name, count)| (name.clone(), count - before.get(name).unwrap_or(&0))).collect();
    eprintln!("    KMS was asked: {made:?}");
    Ok(f64::from(u32::try_from(made.values().sum::<u64>())?))
}

/// What KMS was asked, once nothing more comes.
async fn settled(kms: &mut Endpoint) -> Result<Counts> {
    let begin = Instant::now();
    let mut counts = kms.counts()?;
    loop {
        tokio::time::sleep(QUIET).await;
        let now = kms.counts()?;
        if now == counts {
            return Ok(counts);
        }
        ensure!(begin.elapsed() < WAIT, "KMS is asked again and again: {now:?}");
        counts = now;
    }
}

impl<'a> Place<'a> {
    /// Makes a store: initialises it and ends the server.
    async fn new(bench: &'a Bench, work: &Path, name: &str, seal: String) -> Result<Self> {
        let dir = work.join(name);
        fs::create_dir(&dir)?;
        let mut place = Place { bench, dir, cache: work.join("cache"), seal, share: None, token: String::new() };
        let (server, _) = place.run(&[501]).await?;
        let auto = !place.seal.is_empty();
        let keys = if auto { "recovery" } else { "secret" };
        let made = server.done("PUT", "sys/init", Some(json!({format!("{keys}_shares"): 1, format!("{keys}_threshold"): 1}))).await?;
        place.token = made.pointer("/root_token").and_then(Value::as_str).context("no root token")?.to_owned();
        place.share = made.pointer("/keys_base64/0").cloned();
        ensure!(place.share.is_none() == auto, "{name}: an unseal key where there should be none, or none where there should be one");
        Ok(place)
    }

    /// Starts a server on it and waits until it is unsealed; gives the milliseconds it took.
    async fn start(&self) -> Result<(Server, f64)> {
        let Some(share) = &self.share else {
            let (server, seconds) = self.run(&[200]).await?;
            return Ok((server, seconds * 1e3));
        };
        let (server, seconds) = self.run(&[503]).await?;
        let begin = Instant::now();
        server.done("PUT", "sys/unseal", Some(json!({"key": share}))).await?;
        while server.call("GET", "sys/health", None).await?.0 != 200 {
            ensure!(begin.elapsed() < WAIT, "the server is not unsealed by its share");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok((server, seconds * 1e3 + begin.elapsed().as_secs_f64() * 1e3))
    }

    /// Starts a server on it and waits for one of these answers to `sys/health`; gives the seconds it took.
    async fn run(&self, codes: &[u16]) -> Result<(Server, f64)> {
        let port = free_port()?;
        let config = self.dir.join("server.hcl");
        let text = format!(
            "storage \"filesystem\" {{ path = \"{}/data\" }}\n{}listener \"tcp\" {{\n  address = \"127.0.0.1:{port}\"\n  tls_disable = true\n}}\napi_addr = \"http://127.0.0.1:{port}\"\n",
            self.dir.display(),
            self.seal
        );
        fs::write(&config, text)?;
        let mut command = Command::new(&self.bench.coffer);
        command.args(["server", "--config"]).arg(&config).env("HOME", &self.dir).env("COFFER_CACHE_DIR", &self.cache);
        Server::start(command, port, &self.dir.join("log"), codes).await
    }

    /// What a day costs on which nothing happens: the requests of some checks, made at a short interval, for as many as a day has at the usual one.
    async fn day(&self, kms: &mut Endpoint) -> Result<f64> {
        let checks = 3_u32;
        let (_server, _) = self.start().await?;
        // What the start asks is over when nothing comes for a while; then the next check begins the count.
        let quiet = settled(kms).await?;
        let begin = Instant::now();
        let mut first = kms.counts()?;
        while first == quiet {
            ensure!(begin.elapsed() < WAIT, "no health check within {WAIT:?} at an interval of {SHORT:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
            first = kms.counts()?;
        }
        tokio::time::sleep(SHORT * checks + SHORT / 2).await;
        let each = made(&first, &kms.counts()?)? / f64::from(checks);
        ensure!(each >= 1.0, "{each} requests per health check at an interval of {SHORT:?}: checks were lost");
        Ok(each * DAY.as_secs_f64() / HealthTimes::default().interval.as_secs_f64())
    }
}
