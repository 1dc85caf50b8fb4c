//! The command line of `coffer operator`.

use super::{ClientArguments, FormatArguments};
use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use std::path::PathBuf;
use zeroize::Zeroizing;

#[derive(Debug, Subcommand)]
pub(crate) enum OperatorCommand {
    /// Make a new vault; prints the shares of its unseal or recovery key and the root token once
    Init(InitArguments),
    /// Give one share of the unseal key
    Unseal(UnsealArguments),
    /// Seal the vault
    Seal(ClientArguments),
    /// Make the active server a standby, so that another one takes over
    StepDown(ClientArguments),
    /// Add a new key to the keyring, for what is written from now on
    Rotate(ClientArguments),
    /// Make a new root token where there is none: enough shares have to agree
    GenerateRoot(GenerateRootArguments),
    /// Without a server: put the vault under the configured seal by way of the one that is given up, without shares
    MigrateSeal(MigrateSealArguments),
    /// Replace the shares of the unseal or the recovery key: enough of those of today have to agree
    Rekey(RekeyArguments),
}

#[derive(Debug, Args)]
pub(crate) struct InitArguments {
    /// Number of shares that the unseal key is split into [default: 5; none where a key service unseals]
    #[arg(long, short = 'n')]
    pub(crate) key_shares: Option<u64>,
    /// Number of shares that unseal [default: 3; none where a key service unseals]
    #[arg(long, short = 't')]
    pub(crate) key_threshold: Option<u64>,
    /// Number of shares that the recovery key is split into, where a key service unseals; 0 makes no recovery key [default: 5]
    #[arg(long)]
    pub(crate) recovery_shares: Option<u64>,
    /// Number of shares that stand for the recovery key [default: 3; 0 without shares]
    #[arg(long)]
    pub(crate) recovery_threshold: Option<u64>,
    /// Only show whether there is a vault: exit code 0 if there is, 2 if not
    #[arg(long)]
    pub(crate) status: bool,
    #[command(flatten)]
    pub(crate) client: ClientArguments,
}

#[derive(Debug, Args)]
pub(crate) struct UnsealArguments {
    /// A share of the unseal key; `-` reads it from standard input. Left out, it is asked for, which keeps it out of the shell's history
    pub(crate) key: Option<Zeroizing<String>>,
    /// Forget the shares given so far
    #[arg(long, conflicts_with = "key")]
    pub(crate) reset: bool,
    /// Have the seal migrated: the share is one of the seal that is given up
    #[arg(long, conflicts_with = "reset")]
    pub(crate) migrate: bool,
    #[command(flatten)]
    pub(crate) client: ClientArguments,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").args(["init", "status", "cancel", "decode", "generate_otp", "key"]))]
pub(crate) struct GenerateRootArguments {
    /// A share of the unseal or the recovery key; `-` reads it from standard input. Left out, it is asked for
    pub(crate) key: Option<Zeroizing<String>>,
    /// Begin; prints the nonce for the holders of the shares, and the one-time password (OTP) for decoding the token
    #[arg(long)]
    pub(crate) init: bool,
    /// Show how many shares were given
    #[arg(long)]
    pub(crate) status: bool,
    /// Give up, and forget the shares given so far
    #[arg(long)]
    pub(crate) cancel: bool,
    /// Decode the encoded token that the last share brought, with --otp; `-` reads it from standard input
    #[arg(long, value_name = "TOKEN", requires = "otp")]
    pub(crate) decode: Option<Zeroizing<String>>,
    /// Print a one-time password for --init
    #[arg(long)]
    pub(crate) generate_otp: bool,
    /// The one-time password
    #[arg(long, value_name = "OTP", conflicts_with_all = ["status", "cancel", "generate_otp", "key"])]
    pub(crate) otp: Option<Zeroizing<String>>,
    /// What --init printed; needed unless the share is asked for
    #[arg(long, value_name = "NONCE", conflicts_with_all = ["init", "status", "cancel", "decode", "generate_otp"])]
    pub(crate) nonce: Option<String>,
    #[command(flatten)]
    pub(crate) client: ClientArguments,
}

#[derive(Debug, Args)]
#[command(
    after_help = "No server may run on the storage. The configuration says what to do: the stanza of the seal that the vault is under has
disabled = true, and the one that it shall be under stands beside it, or none for key shares. With shares of the recovery key a
running server migrates by itself: coffer operator unseal -migrate."
)]
pub(crate) struct MigrateSealArguments {
    /// Configuration file, or directory of *.hcl and *.json files; may be given several times
    #[arg(long, value_name = "FILE|DIR")]
    pub(crate) config: Vec<PathBuf>,
    /// Number of shares that the new unseal key is split into [default: 5]
    #[arg(long, short = 'n')]
    pub(crate) key_shares: Option<i64>,
    /// Number of shares that unseal [default: 3]
    #[arg(long, short = 't')]
    pub(crate) key_threshold: Option<i64>,
    #[command(flatten)]
    pub(crate) format: FormatArguments,
}

/// Which key gets new shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RekeyTarget {
    /// The key that unseals; where a key service unseals, the root key alone, and the shares of the recovery key agree to it.
    Barrier,
    /// The recovery key of a vault that a key service unseals.
    Recovery,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").args(["init", "status", "cancel", "key"]))]
pub(crate) struct RekeyArguments {
    /// A share of today; with --verify a new one. `-` reads it from standard input. Left out, it is asked for
    pub(crate) key: Option<Zeroizing<String>>,
    /// Begin; prints the nonce for the holders of the shares
    #[arg(long)]
    pub(crate) init: bool,
    /// Show how many shares were given
    #[arg(long)]
    pub(crate) status: bool,
    /// Give up; with --verify, begin the verification anew
    #[arg(long)]
    pub(crate) cancel: bool,
    /// With --init: new shares count only once enough of them were given. Without: give, show or restart that
    #[arg(long)]
    pub(crate) verify: bool,
    /// Which key gets new shares
    #[arg(long, value_enum, ignore_case = true, default_value = "barrier")]
    pub(crate) target: RekeyTarget,
    /// Number of new shares [default: 5; 1 for the root key of a vault that a key service unseals]
    #[arg(long, short = 'n', requires = "init")]
    pub(crate) key_shares: Option<u64>,
    /// Number of new shares that will be needed [default: 3; 1 for the root key of a vault that a key service unseals]
    #[arg(long, short = 't', requires = "init")]
    pub(crate) key_threshold: Option<u64>,
    /// What --init printed, or the last share with a verification to come; needed unless the share is asked for
    #[arg(long, value_name = "NONCE", conflicts_with_all = ["init", "status", "cancel"])]
    pub(crate) nonce: Option<String>,
    #[command(flatten)]
    pub(crate) client: ClientArguments,
}
