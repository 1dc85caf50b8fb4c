//! Arguments of `coffer migrate`.

use crate::config::Level;
use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Args)]
#[command(
    after_help = "The file has one block storage_source and one block storage_destination, each as storage in the server's configuration or raft_snapshot { path = … },
and the server's plugin blocks, plugin_directory, plugin_trusted_keys and aws. Environment: as for coffer server; BAO_MIGRATE_CONFIG_PATH or VAULT_MIGRATE_CONFIG_PATH
names the file.

No server may run on either end. Killed or interrupted at any moment, the same command goes on where it stopped.

Exit codes: 0 all was copied and compared; 1 the command line, the file or a local file is wrong; 2 it failed or was interrupted: the destination is not to be used;
3 all was copied and compared, but for entries that the destination has no keys for, which are named."
)]
pub(crate) struct MigrateArguments {
    /// The file that names both ends
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Only copy keys that sort at or after this one; others are left alone at both ends
    #[arg(long, value_name = "KEY")]
    pub(crate) start: Option<String>,
    /// Remove the lock of a migration from the source, and copy nothing
    #[arg(long, conflicts_with_all = ["start", "overwrite", "verify_only", "skip_count"])]
    pub(crate) reset: bool,
    /// How many batches are written at once; the source is read in as many parts, at most 8
    #[arg(long, value_name = "NUMBER", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) max_parallel: u16,
    /// Remove what the destination holds, and copy then
    #[arg(long, conflicts_with = "verify_only")]
    pub(crate) overwrite: bool,
    /// Compare both ends, and change nothing
    #[arg(long)]
    pub(crate) verify_only: bool,
    /// Read the source only once: nothing is counted, and what is too large for the destination is found while copying
    #[arg(long, conflicts_with = "verify_only")]
    pub(crate) skip_count: bool,
    /// trace, debug (every key that is copied), info, warn or error [default: warn; BAO_LOG_LEVEL, VAULT_LOG_LEVEL]
    #[arg(long, value_enum, ignore_case = true)]
    pub(crate) log_level: Option<Level>,
}
