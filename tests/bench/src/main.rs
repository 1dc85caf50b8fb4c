//! Measures the performance budget of the design, each row as a ratio to a floor that is measured in the same run.
//!
//! Rule: both sides of a row are measured in turns, round by round, so that what else the machine does hits both; a row
//! is the median of its rounds. The program ends non-zero when a row is below what the budget demands.

mod dynamodb;
mod filesystem;
mod grpc;
mod load;
mod migrate;
mod process;
mod proxy;
mod row;
mod runtime;
mod sample;
mod seal;
mod server;
mod supervised;
mod traces;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cofferdam-bench", about = "Measures the performance budget")]
struct Arguments {
    #[command(subcommand)]
    role: Option<Role>,
    /// Where to write the figures
    #[arg(long)]
    json: Option<PathBuf>,
    /// Fewer rounds, with more noise
    #[arg(long)]
    quick: bool,
    /// Only these groups: runtime, filesystem, dynamodb, seal, server, start, migrate, proxy
    #[arg(long)]
    only: Vec<String>,
}

#[derive(Subcommand)]
enum Role {
    /// The process on the other side of the gRPC floor
    #[command(hide = true)]
    Echo { socket: PathBuf },
    /// The endpoint of the DynamoDB rows
    #[command(hide = true)]
    Dynamodb,
    /// The endpoint of the seal rows
    #[command(hide = true)]
    Kms,
}

/// What every group needs to know.
struct Bench {
    guests: PathBuf,
    coffer: PathBuf,
    /// As it is built for a layer (`cargo xtask build --small`).
    proxy: PathBuf,
    bao: PathBuf,
    /// On the checkout's disk: a sync on a memory file system measures nothing.
    scratch: PathBuf,
    quick: bool,
}

impl Bench {
    fn find(quick: bool) -> Result<Self> {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
        let given = |variable, usual: &str| std::env::var_os(variable).map_or_else(|| root.join(usual), PathBuf::from);
        let scratch = root.join("target/bench");
        std::fs::create_dir_all(&scratch)?;
        Ok(Self {
            guests: given("GUESTS_DIR", "target/guests"),
            coffer: given("COFFER_BIN", "target/release/coffer"),
            proxy: given("COFFER_PROXY_BIN", "target/small/coffer-proxy"),
            bao: given("TOOLS_DIR", ".tools").join("bin/bao"),
            scratch,
            quick,
        })
    }

    fn rounds(&self, full: usize) -> usize {
        if self.quick { full.div_ceil(4) } else { full }
    }
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let tokio = tokio::runtime::Runtime::new()?;
    match arguments.role {
        Some(Role::Echo { socket }) => return tokio.block_on(grpc::echo(&socket)),
        Some(Role::Dynamodb) => return tokio.block_on(dynamodb::endpoint::serve()),
        Some(Role::Kms) => return tokio.block_on(seal::endpoint::serve()),
        None => {}
    }
    let bench = Bench::find(arguments.quick)?;
    let wanted = |group: &str| arguments.only.is_empty() || arguments.only.iter().any(|only| only == group);
    let mut rows = Vec::new();
    if wanted("runtime") {
        eprintln!("measuring: runtime");
        rows.extend(tokio.block_on(runtime::measure(&bench)).context("runtime")?);
        rows.push(tokio.block_on(supervised::measure(&bench)).context("supervised")?);
        rows.push(tokio.block_on(traces::measure(&bench)).context("traces")?);
    }
    if wanted("filesystem") {
        eprintln!("measuring: filesystem");
        rows.extend(tokio.block_on(filesystem::measure(&bench)).context("filesystem")?);
    }
    if wanted("dynamodb") {
        eprintln!("measuring: dynamodb");
        rows.extend(tokio.block_on(dynamodb::measure(&bench)).context("dynamodb")?);
    }
    if wanted("seal") {
        eprintln!("measuring: seal");
        rows.extend(tokio.block_on(seal::measure(&bench)).context("seal")?);
    }
    if wanted("server") {
        eprintln!("measuring: server");
        rows.extend(tokio.block_on(server::measure(&bench)).context("server")?);
    }
    if wanted("start") {
        eprintln!("measuring: start");
        rows.push(tokio.block_on(server::start(&bench)).context("start")?);
    }
    if wanted("migrate") {
        eprintln!("measuring: migrate");
        rows.extend(tokio.block_on(migrate::measure(&bench)).context("migrate")?);
    }
    if wanted("proxy") {
        eprintln!("measuring: proxy");
        rows.extend(tokio.block_on(proxy::measure(&bench)).context("proxy")?);
    }
    if rows.is_empty() {
        bail!("no group is called {:?}: runtime, filesystem, dynamodb, seal, server, start, migrate, proxy", arguments.only);
    }
    row::print(&rows);
    if let Some(path) = arguments.json {
        std::fs::write(&path, serde_json::to_vec_pretty(&rows)?).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let below: Vec<_> = rows.iter().filter(|row| !row.met()).map(|row| row.what.as_str()).collect();
    if !below.is_empty() {
        bail!("below what the budget demands: {}", below.join("; "));
    }
    Ok(())
}
