//! The project's own commands: `cargo xtask build | fetch | test | bench | demo`.
//!
//! Rule: each works from a fresh clone with nothing but a Rust toolchain, python3, Node.js (for the tests' tools alone) and the
//! package registries, says which stage it is in, and prints how long every stage took.

mod bench;
mod build;
mod demo;
mod fetch;
mod stage;
mod test;

use clap::{Parser, Subcommand};
use stage::Stages;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Builds, tests, measures and shows Cofferdam")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Builds the guests, then the server and the proxy: target/guests/*.wasm, target/release/coffer and target/release/coffer-proxy
    Build {
        /// Only the proxy, as small as can be, for a Lambda layer or an image: target/small/coffer-proxy
        #[arg(long)]
        small: bool,
    },
    /// Installs the pinned tools that tests and benchmarks use into .tools
    Fetch,
    /// Builds and runs every test
    Test {
        /// Longer crash and fault runs
        #[arg(long)]
        full: bool,
        /// Handed to the test binaries: a part of a test's name, or their flags
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        filter: Vec<String>,
    },
    /// Measures the performance budget; fails below what it demands
    Bench {
        /// Fewer rounds: a quick look, with more noise
        #[arg(long)]
        quick: bool,
        /// Only the rows of these groups: runtime, filesystem, dynamodb, seal, server, start, migrate, proxy
        #[arg(long)]
        only: Vec<String>,
    },
    /// From nothing to a secret that survives a hard kill, shown step by step
    Demo {
        /// Where the server keeps its data
        #[arg(long, value_enum, default_value_t = demo::Storage::Filesystem)]
        storage: demo::Storage,
        /// What unseals the server
        #[arg(long, value_enum, default_value_t = demo::Seal::Shamir)]
        seal: demo::Seal,
    },
}

fn main() -> anyhow::Result<()> {
    let mut stages = Stages::new()?;
    let outcome = match Arguments::parse().command {
        Command::Build { small: true } => build::small(&mut stages),
        Command::Build { small: false } => build::run(&mut stages),
        Command::Fetch => fetch::run(&mut stages).and_then(|()| fetch::servers(&mut stages)),
        Command::Test { full, filter } => test::run(&mut stages, full, &filter),
        Command::Bench { quick, only } => bench::run(&mut stages, quick, &only),
        Command::Demo { storage, seal } => demo::run(&mut stages, storage, seal),
    };
    stages.report();
    outcome
}
