//! The server under ten clients, beside the real `bao` on raft and in memory; its memory after that; its start.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use cofferdam_emulator::free_port;
use serde_json::json;

use crate::Bench;
use crate::load::{Load, drive};
use crate::process::Server;
use crate::row::{Judge, Row};
use crate::sample::median;

const CLIENTS: usize = 10;

/// The loads, with the names of their rows.
const LOADS: [(&str, Load); 3] =
    [("kv v2 write, 10 clients", Load::Write), ("kv v2 read, 10 clients", Load::Read), ("approle login, 10 clients", Load::Login)];

/// What a row of ours with the journal says after its name.
const WITH_A_JOURNAL: &str = ", journal";

/// Gives a server the role and the secret id that logins are with.
async fn approle(server: &Server) -> Result<()> {
    server.done("POST", "sys/auth/approle", Some(json!({"type": "approle"}))).await?;
    let role = json!({"role_id": "bench", "token_policies": "default", "token_ttl": "1h"});
    server.done("POST", "auth/approle/role/bench", Some(role)).await?;
    server.done("POST", "auth/approle/role/bench/custom-secret-id", Some(json!({"secret_id": "bench"}))).await?;
    Ok(())
}

/// Writes, reads, logins and resident memory, against both of the real server's storages.
pub(crate) async fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let work = tempfile::tempdir_in(&bench.scratch)?;
    let place = |name: &str| -> Result<_> {
        let dir = work.path().join(name);
        fs::create_dir(&dir)?;
        Ok(dir)
    };
    let (ours, raft, memory, journal) = (place("ours")?, place("raft")?, place("memory")?, place("journal")?);
    fs::create_dir(raft.join("data"))?;
    let servers = [
        Server::ready(&bench.coffer, &ours, &format!("storage \"filesystem\" {{ path = \"{}/data\" }}", ours.display())).await?,
        Server::ready(&bench.bao, &raft, &format!("storage \"raft\" {{\n  path = \"{}/data\"\n  node_id = \"one\"\n}}", raft.display()))
            .await?,
        Server::ready(&bench.bao, &memory, "storage \"inmem\" {}").await?,
        Server::ready(
            &bench.coffer,
            &journal,
            &format!("storage \"filesystem\" {{\n  path = \"{}/data\"\n  journal = \"true\"\n}}", journal.display()),
        )
        .await?,
    ];
    let time = Duration::from_secs(if bench.quick { 1 } else { 3 });
    let mut samples: [[Vec<f64>; 4]; LOADS.len()] = Default::default();
    for server in &servers {
        approle(server).await?;
        // Every secret once, so that reads find them.
        drive(&server.address, &server.token, CLIENTS, time, Load::Write).await?;
    }
    for _ in 0..bench.rounds(5) {
        for ((_, load), samples) in LOADS.into_iter().zip(&mut samples) {
            for (server, samples) in servers.iter().zip(samples) {
                samples.push(drive(&server.address, &server.token, CLIENTS, time, load).await?);
            }
        }
    }
    let mut resident = [0.0; 4];
    for (server, resident) in servers.iter().zip(&mut resident) {
        *resident = server.resident()?;
    }
    let mut rows = Vec::new();
    let (faster, smaller) = ((2.0, 5.0), (0.5, 0.25));
    let loads = LOADS.into_iter().zip(samples).map(|((what, _), samples)| (what, "/s", samples.map(median), Judge::AtLeast, faster));
    for (what, unit, [ours, raft, memory, journal], judge, bounds) in
        loads.chain([("resident memory after it", "MiB", resident, Judge::AtMost, smaller)])
    {
        rows.push(Row::new(what, unit, ours, ("bao, raft", raft), judge, bounds));
        rows.push(Row::new(what, unit, ours, ("bao, in memory", memory), judge, bounds));
        let what = format!("{what}{WITH_A_JOURNAL}");
        rows.push(Row::shown(what.clone(), unit, journal, ("bao, raft", raft)));
        rows.push(Row::shown(what, unit, journal, ("bao, in memory", memory)));
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
