//! `coffer operator migrate-seal`: another seal without shares, while no server runs. For a vault that a key service unseals and that has no recovery
//! key, or whose shares are lost.
//!
//! The rule: the new shares are shown before they count, and the seal that is given up has to answer: who may use its key may do this.

use super::{Durable, configuration_paths, logging, options, seal, storage};
use crate::args::{MigrateSealArguments, OutputFormat};
use crate::config::{self, Config, Environment};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{print, print_json};
use cofferdam_aws::{Providers, Sources};
use cofferdam_vault::core::{Core, SealMigration};
use serde_json::json;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Vault's numbers where none are given.
const SHARES: i64 = 5;
const THRESHOLD: i64 = 3;

/// Migrates the seal as the configuration says.
pub(crate) async fn run(arguments: &MigrateSealArguments, environment: &Environment) -> Outcome {
    let format = arguments.format.resolve(environment)?;
    let paths = configuration_paths(&arguments.config, environment)?;
    let config = config::load(&paths, environment).map_err(|error| Failure::usage(format!("error loading configuration: {error}")))?;
    let counts = counts(arguments, &config)?;
    let state = seal::state(&config, false)?;
    logging::start(&config.log, None)?;
    let runtime = storage::runtime()?;
    let providers = Arc::new(Providers::new(Sources::system()));
    let storage = storage::open(&config, &runtime, &providers, Durable::ByGuest).await?;
    storage::refuse_migration(storage.storage.as_ref()).await?;
    let seals = seal::open(&config, state, &runtime, &providers).await?;
    let core = Core::new(storage.storage.clone(), options(&config, &storage, &seals));
    let made = core.migrate_seal(counts, |migration| show(migration, format).map_err(std::io::Error::other)).await;
    core.shutdown().await;
    match (made.map_err(|error| Failure::failed(format!("Error migrating the seal: {error}")))?, format) {
        (Some(_), OutputFormat::Json) => {}
        (Some(migration), OutputFormat::Table) => print(&done(&migration))?,
        (None, OutputFormat::Json) => print_json(&json!({"migrated": false}))?,
        (None, OutputFormat::Table) => print("Nothing to migrate: the vault is under the configured seal.")?,
    }
    Ok(Exit::Success)
}

/// The numbers of the new shares: wanted if the new seal is Shamir's, and only then.
fn counts(arguments: &MigrateSealArguments, config: &Config) -> Result<Option<(i64, i64)>, Failure> {
    let given = (arguments.key_shares, arguments.key_threshold);
    match (config.seals.active.first(), &config.seals.disabled) {
        (_, None) => Err(Failure::usage(
            "no seal is given up in the configuration: set disabled = true in the stanza of the seal that the vault is under. From key shares to a key \
             service the shares have to agree: start the server with the new seal, and run coffer operator unseal -migrate",
        )),
        (Some(seal), _) if given != (None, None) => {
            let message = "the new seal is a key service, which has no shares: leave --key-shares and --key-threshold out";
            Err(Failure::usage(seal.origin.error("seal", message)))
        }
        (Some(_), _) => Ok(None),
        (None, _) => Ok(Some((given.0.unwrap_or(SHARES), given.1.unwrap_or(THRESHOLD)))),
    }
}

/// Prints the new shares, if there are any. They count only afterwards.
fn show(migration: &SealMigration, format: OutputFormat) -> Result<(), String> {
    let shown = match format {
        OutputFormat::Json => print_json(&json!({
            "migrated": true, "from": migration.from, "to": migration.to,
            "keys": texts(&migration.keys), "keys_base64": texts(&migration.keys_base64),
        })),
        OutputFormat::Table => {
            let mut text = Zeroizing::new(String::new());
            for (index, key) in migration.keys_base64.iter().enumerate() {
                text.push_str(&format!("Unseal Key {}: {}\n", index + 1, key.as_str()));
            }
            print(&text)
        }
    };
    shown.map_err(|failure| failure.message)
}

fn texts(keys: &[Zeroizing<String>]) -> Vec<&str> {
    keys.iter().map(|key| key.as_str()).collect()
}

fn done(migration: &SealMigration) -> String {
    let SealMigration { from, to, recovery, .. } = migration;
    let shares = match (migration.keys.is_empty(), recovery) {
        (false, true) => "The shares above unseal it; those of the recovery key are of no use any more.\n",
        (false, false) => "The shares above unseal it. They cannot be shown again.\n",
        (true, _) => "",
    };
    format!(
        "\nSuccess! The seal is migrated from {from} to {to}.\n{shares}Remove the stanza that is disabled from the configuration, and start the server.\n"
    )
}

#[cfg(test)]
mod tests {
    use super::counts;
    use crate::args::{Arguments, Command, MigrateSealArguments, OperatorCommand};
    use crate::config::{self, Config, Environment};
    use clap::Parser;

    fn config(seals: &str) -> Config {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("c.hcl");
        std::fs::write(&path, format!("{seals}\nstorage \"file\" {{ path = \"/d\" }}\nlistener \"tcp\" {{ tls_disable = true }}")).unwrap();
        config::load(&[path], &Environment::default()).unwrap()
    }

    fn arguments(line: &str) -> MigrateSealArguments {
        let line = ["coffer", "operator", "migrate-seal", "--config=x"].into_iter().chain(line.split_whitespace());
        let Arguments { command: Command::Operator(OperatorCommand::MigrateSeal(arguments)) } = Arguments::try_parse_from(line).unwrap()
        else {
            panic!()
        };
        arguments
    }

    #[test]
    fn shares_are_for_a_seal_of_shares() {
        let old = "seal \"awskms\" { kms_key_id = \"k\" disabled = true }\n";
        let both = config(&format!("{old}seal \"awskms\" {{ kms_key_id = \"l\" }}"));
        assert_eq!(counts(&arguments(""), &config(old)).unwrap(), Some((5, 3)));
        assert_eq!(counts(&arguments("-n 1 -t 1"), &config(old)).unwrap(), Some((1, 1)));
        assert_eq!(counts(&arguments(""), &both).unwrap(), None);
        assert!(counts(&arguments("-n 1"), &both).unwrap_err().message.contains("leave --key-shares and --key-threshold out"));
        for seals in ["", "seal \"awskms\" { kms_key_id = \"k\" }"] {
            assert!(counts(&arguments(""), &config(seals)).unwrap_err().message.contains("coffer operator unseal -migrate"), "{seals}");
        }
    }
}
