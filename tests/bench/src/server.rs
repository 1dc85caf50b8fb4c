//! The server under ten clients, beside the real `bao` on raft and in memory; its memory after that; its start.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use cofferdam_emulator::free_port;
use serde_json::json;

use crate::Bench;
use crate::load::{Load, SECRETS, drive};
use crate::process::Server;
use crate::row::{Judge, Row};
use crate::sample::median;

const CLIENTS: usize = 10;

/// What a server does after the last answer is done after this time: its journal is emptied every two seconds.
const SETTLED: Duration = Duration::from_secs(3);

/// The loads, with the names of their rows.
const LOADS: [(&str, Load); 3] =
    [("kv v2 write, 10 clients", Load::Write), ("kv v2 read, 10 clients", Load::Read), ("approle login, 10 clients", Load::Login)];

/// What each connection asks of each server before its memory is looked at: the same of all, as what a server keeps of a login or a version grows with their
/// number. Every secret is written many times, so that reads find it.
const SAME: [(Load, u32); 3] = [(Load::Write, 20 * SECRETS), (Load::Read, 40 * SECRETS), (Load::Login, 6 * SECRETS)];

/// Where files are in memory.
const MEMORY: &str = "/dev/shm";

/// Gives a server the role and the secret id that logins are with.
async fn approle(server: &Server) -> Result<()> {
    server.done("POST", "sys/auth/approle", Some(json!({"type": "approle"}))).await?;
    let role = json!({"role_id": "bench", "token_policies": "default", "token_ttl": "1h"});
    server.done("POST", "auth/approle/role/bench", Some(role)).await?;
    server.done("POST", "auth/approle/role/bench/custom-secret-id", Some(json!({"secret_id": "bench"}))).await?;
    Ok(())
}

/// Writes, reads, logins and resident memory, against both of the real server's storages: on the disk, every write synced, against raft, and in memory
/// against in memory. Writes that are synced are shown against memory, too, and those of a server without a journal.
pub(crate) async fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let work = tempfile::tempdir_in(&bench.scratch)?;
    let place = |name: &str| -> Result<_> {
        let dir = work.path().join(name);
        fs::create_dir(&dir)?;
        Ok(dir)
    };
    let shared = tempfile::tempdir_in(MEMORY).with_context(|| format!("{MEMORY} is needed for files in memory"))?;
    let (ours, raft, memory, synced) = (place("ours")?, place("raft")?, place("memory")?, place("synced")?);
    fs::create_dir(raft.join("data"))?;
    let files = |dir: &Path, more: &str| format!("storage \"filesystem\" {{\n  path = \"{}/data\"\n  {more}\n}}", dir.display());
    let servers = [
        Server::ready(&bench.coffer, &ours, &files(&ours, "")).await?,
        Server::ready(&bench.bao, &raft, &format!("storage \"raft\" {{\n  path = \"{}/data\"\n  node_id = \"one\"\n}}", raft.display()))
            .await?,
        Server::ready(&bench.coffer, shared.path(), &files(shared.path(), "")).await?,
        Server::ready(&bench.bao, &memory, "storage \"inmem\" {}").await?,
        Server::ready(&bench.coffer, &synced, &files(&synced, "journal = \"false\"")).await?,
    ];
    let time = Duration::from_secs(if bench.quick { 1 } else { 3 });
    let mut samples: [[Vec<f64>; 5]; LOADS.len()] = Default::default();
    let mut resident = [0.0; 5];
    for (server, resident) in servers.iter().zip(&mut resident) {
        approle(server).await?;
        for (load, requests) in SAME {
            drive(&server.address, &server.token, CLIENTS, (Duration::ZERO, requests), load).await?;
        }
        tokio::time::sleep(SETTLED).await;
        *resident = server.resident()?;
    }
    for _ in 0..bench.rounds(5) {
        for ((_, load), samples) in LOADS.into_iter().zip(&mut samples) {
            for (server, samples) in servers.iter().zip(samples) {
                // What the one before still does with its files is not this one's.
                tokio::time::sleep(SETTLED).await;
                samples.push(drive(&server.address, &server.token, CLIENTS, (time, 0), load).await?);
            }
        }
    }
    let mut rows = Vec::new();
    let (faster, smaller) = ((2.0, 5.0), (0.5, 0.25));
    for ((what, _), samples) in LOADS.into_iter().zip(samples) {
        let [ours, raft, in_memory, memory, synced] = samples.map(median);
        rows.push(Row::new(what, "/s", ours, ("bao, raft", raft), Judge::AtLeast, faster));
        rows.push(Row::new(format!("{what}, in memory"), "/s", in_memory, ("bao, in memory", memory), Judge::AtLeast, faster));
        rows.push(Row::shown(format!("{what}, synced or not"), "/s", ours, ("bao, in memory", memory)));
        rows.push(Row::shown(format!("{what}, no journal"), "/s", synced, ("bao, raft", raft)));
    }
    let [ours, raft, _, memory, _] = resident;
    for floor in [("bao, raft", raft), ("bao, in memory", memory)] {
        rows.push(Row::new("resident memory, same load", "MiB", ours, floor, Judge::AtMost, smaller));
    }
    Ok(rows)
}

/// From the start of the process to the first healthy answer, with compiled code cached.
pub(crate) async fn start(bench: &Bench) -> Result<Row> {
    let work = tempfile::tempdir_in(&bench.scratch)?;
    // Fills the cache of compiled code.
    once(&bench.coffer, work.path()).await?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..bench.rounds(9) {
        ours.push(once(&bench.coffer, work.path()).await?);
        theirs.push(once(&bench.bao, work.path()).await?);
    }
    Ok(Row::new("start to first healthy answer", "ms", median(ours), ("bao server -dev", median(theirs)), Judge::AtMost, (1.0, 0.25)))
}

/// Milliseconds of one start in development mode.
async fn once(program: &Path, home: &Path) -> Result<f64> {
    let port = free_port()?;
    let dashes = if program.ends_with("coffer") { "--" } else { "-" };
    let mut command = Command::new(program);
    command.args(["server", &format!("{dashes}dev"), &format!("{dashes}dev-root-token-id=root"), &format!("{dashes}dev-no-store-token")]);
    command.arg(format!("{dashes}dev-listen-address=127.0.0.1:{port}")).env("HOME", home).env("COFFER_CACHE_DIR", home.join("cache"));
    let (_server, seconds) = Server::start(command, port, &home.join("log"), &[200]).await?;
    Ok(seconds * 1e3)
}
