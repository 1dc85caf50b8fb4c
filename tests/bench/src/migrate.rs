//! `coffer migrate` beside `bao operator migrate`, each with the forms of a store that it knows, and from table to table beside a plain loop
//! over the SDK.
//!
//! The budget demands nothing of these rows: they are shown. Ours count, copy and compare; the others copy.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{PutRequest, WriteRequest};
use cofferdam_emulator::{Dynalite, free_port};
use cofferdam_snapshot::{Meta, Writer};

use crate::Bench;
use crate::dynamodb::{ACCESS_KEY, REGION, SECRET_KEY, sdk};
use crate::row::Row;
use crate::sample::median;

/// Items in one request of the loop: the service takes no more.
const BATCH: usize = 25;

/// The place of a run: what is copied, and the files that say so.
struct Place<'a> {
    bench: &'a Bench,
    dir: PathBuf,
    entries: u32,
}

impl Place<'_> {
    fn path(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }

    /// An empty directory, for its owner only, as our server wants it.
    fn fresh(&self, name: &str) -> Result<String> {
        let dir = self.dir.join(name);
        if dir.exists() {
            fs::remove_dir_all(&dir)?;
        }
        fs::DirBuilder::new().mode(0o700).create(&dir)?;
        Ok(self.path(name))
    }

    /// The entries as a snapshot, to begin from.
    fn snapshot(&self, name: &str) -> Result<()> {
        let mut writer = Writer::create(self.dir.join(name), Meta::default())?;
        for number in 0..self.entries {
            writer.put(&format!("logical/bench/{}/{number}", number / 100), vec![7; 300])?;
        }
        Ok(writer.finish()?)
    }

    /// Entries per second of a run from one end to another.
    fn run(&self, program: &Path, arguments: &[&str], source: &str, destination: &str) -> Result<f64> {
        let config = self.dir.join("migrate.hcl");
        let text =
            format!("storage_source {source}\nstorage_destination {destination}\ncluster_addr = \"http://127.0.0.1:{}\"\n", free_port()?);
        fs::write(&config, text)?;
        let mut command = Command::new(program);
        command.args(arguments).arg(&config).env("HOME", &self.dir).env("COFFER_CACHE_DIR", self.dir.join("cache"));
        let begin = Instant::now();
        let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
        let took = begin.elapsed().as_secs_f64();
        ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(f64::from(self.entries) / took)
    }

    fn ours(&self, source: &str, destination: &str) -> Result<f64> {
        self.run(&self.bench.coffer, &["migrate", "--config"], source, destination)
    }

    fn theirs(&self, source: &str, destination: &str) -> Result<f64> {
        self.run(&self.bench.bao, &["operator", "migrate", "-config"], source, destination)
    }
}

fn snapshot(path: &str) -> String {
    format!("\"raft_snapshot\" {{\n  path = {path:?}\n}}")
}

fn directory(path: &str) -> String {
    format!("\"file\" {{\n  path = {path:?}\n}}")
}

fn raft(path: &str) -> String {
    format!("\"raft\" {{\n  path = {path:?}\n  node_id = \"n\"\n}}")
}

fn table(endpoint: &str, name: &str) -> String {
    format!(
        "\"dynamodb\" {{\n  endpoint = {endpoint:?}\n  region = \"{REGION}\"\n  table = \"{name}\"\n  access_key = \"{ACCESS_KEY}\"\n  \
         secret_key = \"{SECRET_KEY}\"\n}}"
    )
}

/// The rows of migrations.
pub(crate) async fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let work = tempfile::tempdir_in(&bench.scratch)?;
    let place = Place { bench, dir: work.path().to_owned(), entries: if bench.quick { 1_000 } else { 5_000 } };
    place.snapshot("begin.snap")?;
    let begin = snapshot(&place.path("begin.snap"));
    let source = directory(&place.fresh("source")?);
    place.ours(&begin, &source)?;

    let mut figures: [Vec<f64>; 6] = Default::default();
    let dynalite = Dynalite::start(0)?;
    let tables = Tables::new(dynalite.endpoint());
    tables.create("begin").await?;
    place.ours(&begin, &table(dynalite.endpoint(), "begin"))?;
    for round in 0..bench.rounds(3) {
        let exported = place.path(&format!("{round}.snap"));
        let raft = raft(&place.fresh("raft")?);
        let (ours, sdk) = (format!("ours-{round}"), format!("loop-{round}"));
        tables.create(&ours).await?;
        tables.create(&sdk).await?;
        let found = [
            place.ours(&source, &snapshot(&exported))?,
            place.theirs(&source, &raft)?,
            place.ours(&snapshot(&exported), &directory(&place.fresh("ours")?))?,
            place.theirs(&raft, &directory(&place.fresh("theirs")?))?,
            place.ours(&table(dynalite.endpoint(), "begin"), &table(dynalite.endpoint(), &ours))?,
            tables.copy("begin", &sdk, place.entries).await?,
        ];
        for (figures, found) in figures.iter_mut().zip(found) {
            figures.push(found);
        }
    }
    let [out, raft_out, inward, raft_in, ours, sdk] = figures.map(median);
    Ok(vec![
        Row::shown("export, directory to snapshot", "/s", out, ("bao, directory to raft", raft_out)),
        Row::shown("import, snapshot to directory", "/s", inward, ("bao, raft to directory", raft_in)),
        Row::shown("migration, table to table", "/s", ours, ("loop over the SDK", sdk)),
    ])
}

/// The SDK at the emulator.
struct Tables {
    client: Client,
    maker: cofferdam_emulator::Client,
}

impl Tables {
    fn new(endpoint: &str) -> Self {
        Self { client: sdk(endpoint), maker: cofferdam_emulator::Client::new(endpoint) }
    }

    async fn create(&self, name: &str) -> Result<()> {
        self.maker.create_table(name).await.map(drop).map_err(|error| anyhow::anyhow!("{name}: {error}"))
    }

    /// Items per second of a loop: a page is read, and written in batches, one after another.
    async fn copy(&self, from: &str, to: &str, entries: u32) -> Result<f64> {
        let begin = Instant::now();
        let (mut after, mut copied) = (None, 0_u32);
        loop {
            let page = self.client.scan().table_name(from).consistent_read(true).set_exclusive_start_key(after).send().await?;
            let items = page.items.unwrap_or_default();
            copied += u32::try_from(items.len())?;
            for batch in items.chunks(BATCH) {
                self.write(to, batch).await?;
            }
            after = page.last_evaluated_key;
            if after.is_none() {
                break;
            }
        }
        // The marks of folders are items too.
        ensure!(copied >= entries, "{copied} items of {entries} entries were copied");
        Ok(f64::from(entries) / begin.elapsed().as_secs_f64())
    }

    async fn write(&self, to: &str, items: &[HashMap<String, aws_sdk_dynamodb::types::AttributeValue>]) -> Result<()> {
        let put = |item: &HashMap<_, _>| {
            anyhow::Ok(WriteRequest::builder().put_request(PutRequest::builder().set_item(Some(item.clone())).build()?).build())
        };
        let mut left = items.iter().map(put).collect::<Result<Vec<_>>>()?;
        while !left.is_empty() {
            let done = self.client.batch_write_item().request_items(to, left).send().await?;
            left = done.unprocessed_items.and_then(|mut tables| tables.remove(to)).unwrap_or_default();
        }
        Ok(())
    }
}
