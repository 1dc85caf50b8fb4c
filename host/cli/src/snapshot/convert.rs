//! `coffer snapshot convert --to-shamir`: a snapshot whose vault a key service unseals, under shares of a new key.
//!
//! The rule: the file that is read stays as it is, and the new one gets its name after the shares were printed: shares that nobody saw open nothing.

use super::open;
use crate::args::{ConvertArguments, OutputFormat};
use crate::config::{self, Environment};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{print, print_json};
use crate::server;
use cofferdam_snapshot::{Meta, Snapshot, Writer};
use cofferdam_vault::unseal::{UnderShares, under_shares};
use serde_json::json;
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// Below it is all that is of the seal and the keyring.
const CORE: &str = "core/";
/// The most that is held in memory of it.
const MOST: usize = 256 << 20;

/// Writes the new file.
pub(super) async fn run(arguments: &ConvertArguments, environment: &Environment) -> Outcome {
    let format = arguments.format.resolve(environment)?;
    let paths = server::configuration_paths(&arguments.config, environment)?;
    let config = config::load(&paths, environment).map_err(|error| Failure::usage(format!("error loading configuration: {error}")))?;
    if arguments.new.exists() {
        return Err(Failure::usage(format!("{}: there is such a file: choose another name", arguments.new.display())));
    }
    let snapshot = open(&arguments.file)?;
    let core = core_of(&snapshot)?;
    let seals = server::open_seals(&config).await?;
    let failed = |error: &dyn std::fmt::Display| Failure::failed(format!("Error converting the snapshot: {error}"));
    let made = under_shares(core, seals, (arguments.key_shares, arguments.key_threshold)).await.map_err(|error| failed(&error))?;

    let meta = Meta { size: 0, ..snapshot.meta().clone() };
    let mut writer = Writer::create(&arguments.new, meta).map_err(|error| failed(&error))?;
    for entry in snapshot.entries().map_err(|error| failed(&error))? {
        let (key, value) = entry.map_err(|error| failed(&error))?;
        if !key.starts_with(CORE) {
            writer.put(&key, value).map_err(|error| failed(&error))?;
        }
    }
    for (key, value) in &made.entries {
        writer.put(key, value.clone()).map_err(|error| failed(&error))?;
    }
    let mut finished = writer.ended().map_err(|error| failed(&error))?;
    let sealed = made.seal_sums(finished.sums()).map_err(|error| failed(&error))?;
    finished.seal(sealed).map_err(|error| failed(&error))?;
    show(&made, format)?;
    finished.persist().map_err(|error| failed(&error))?;
    if let OutputFormat::Table = format {
        print(&format!(
            "\nSuccess! {} is a snapshot of the same vault under these shares. They cannot be shown again. Restore it with -force.",
            arguments.new.display()
        ))?;
    }
    Ok(Exit::Success)
}

fn core_of(snapshot: &Snapshot) -> Result<BTreeMap<String, Vec<u8>>, Failure> {
    let (mut core, mut bytes) = (BTreeMap::new(), 0);
    for entry in snapshot.entries().map_err(Failure::usage)? {
        let (key, value) = entry.map_err(Failure::usage)?;
        if key.starts_with(CORE) {
            bytes += key.len() + value.len();
            if bytes > MOST {
                return Err(Failure::usage(format!("the snapshot has more than {MOST} bytes below {CORE}: this is no vault")));
            }
            core.insert(key, value);
        }
    }
    Ok(core)
}

fn show(made: &UnderShares, format: OutputFormat) -> Result<(), Failure> {
    match format {
        OutputFormat::Json => {
            let texts = |keys: &[Zeroizing<String>]| keys.iter().map(|key| key.as_str().to_owned()).collect::<Vec<_>>();
            print_json(&json!({"from": made.from, "to": "shamir", "keys": texts(&made.keys), "keys_base64": texts(&made.keys_base64)}))
        }
        OutputFormat::Table => {
            let mut text = Zeroizing::new(String::new());
            for (index, key) in made.keys_base64.iter().enumerate() {
                text.push_str(&format!("Unseal Key {}: {}\n", index + 1, key.as_str()));
            }
            print(&text)
        }
    }
}
