//! Arguments of `coffer snapshot`.

use super::{ClientArguments, FormatArguments};
use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum SnapshotCommand {
    /// Save all that a running server holds, as it is at one moment, in a file that Vault and OpenBao restore too
    Save(SaveArguments),
    /// Replace all that a running server holds by a snapshot; the server is sealed afterwards, and opens with the snapshot's keys
    Restore(RestoreArguments),
    /// Check a snapshot file, and show what is in it; needs no key and no server
    Inspect(InspectSnapshotArguments),
    /// Write a snapshot whose vault a key service unseals anew, under shares of a new key
    Convert(ConvertArguments),
}

#[derive(Debug, Args)]
pub(crate) struct SaveArguments {
    /// The file to write; one that is there is replaced once the snapshot is whole
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) client: ClientArguments,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Answers once all is replaced. If the server is cut off meanwhile it says so and opens with no key: restore the same file again, which needs no token then."
)]
pub(crate) struct RestoreArguments {
    /// The snapshot
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Take a snapshot of another vault, with other keys
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) client: ClientArguments,
}

#[derive(Debug, Args)]
pub(crate) struct InspectSnapshotArguments {
    /// The snapshot
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// How many of the largest entries are named
    #[arg(long, value_name = "NUMBER", default_value_t = 10)]
    pub(crate) largest: usize,
    #[command(flatten)]
    pub(crate) format: FormatArguments,
}

#[derive(Debug, Args)]
#[command(
    after_help = "The key service that unseals the snapshot's vault is the seal of the configuration; it is asked for the root key, and nothing else of the configuration is used.
The file that is written is restored with -force, into a server without that seal; its vault opens with the shares that are printed here, once, and only here."
)]
pub(crate) struct ConvertArguments {
    /// The snapshot to read
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The file to write; there must be none
    #[arg(value_name = "NEW")]
    pub(crate) new: PathBuf,
    /// The new seal: shares of a key, as operator init makes them
    #[arg(long, required = true)]
    pub(crate) to_shamir: bool,
    /// I know that whoever has enough of the shares opens the new file, without the key service
    #[arg(long, required = true)]
    pub(crate) without_key_service: bool,
    /// The server's configuration; may be given several times
    #[arg(long, value_name = "FILE|DIR")]
    pub(crate) config: Vec<PathBuf>,
    /// Number of shares that the new key is split into
    #[arg(long, short = 'n', default_value_t = 5)]
    pub(crate) key_shares: i64,
    /// Number of shares that unseal
    #[arg(long, short = 't', default_value_t = 3)]
    pub(crate) key_threshold: i64,
    #[command(flatten)]
    pub(crate) format: FormatArguments,
}
