//! `coffer operator init`: a new vault, whose keys are printed once.

use super::share::{SHARES, THRESHOLD, doing, take};
use crate::args::{InitArguments, OutputFormat};
use crate::client::Client;
use crate::config::Environment;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{print, print_json};
use base64::Engine;
use http::Method;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

/// `operator init`: prints shares and root token once; nobody can show them again.
pub(crate) async fn init(arguments: &InitArguments, environment: &Environment) -> Outcome {
    let format = arguments.client.format.resolve(environment)?;
    let client = Client::new(&arguments.client, environment)?;
    if arguments.status {
        return status(&client, format).await;
    }
    // What the seal is decides whose shares there will be.
    let seal = client.send(Method::GET, "sys/seal-status", None).await.map_err(doing("checking seal status"))?;
    let asked = Asked::new(arguments, seal.get("recovery_seal").and_then(Value::as_bool) == Some(true));
    let mut made = client.send(Method::PUT, "sys/init", Some(&asked.body)).await.map_err(doing("initializing"))?;
    let (unseal, recovery) = (Keys::new(&mut made, "keys", "keys_base64")?, Keys::new(&mut made, "recovery_keys", "recovery_keys_base64")?);
    let Some(Value::String(token)) = made.get_mut("root_token").map(Value::take) else {
        return Err(Failure::failed("the server's answer has no root_token: the vault may be initialized, but its token did not arrive"));
    };
    let token = Zeroizing::new(token);
    let missing = |keys: &Keys, wanted: u64| wanted > 0 && keys.base64.is_empty();
    if missing(if asked.service { &recovery } else { &unseal }, asked.shares) {
        return Err(Failure::failed("the server's answer has no keys: the vault may be initialized, but its keys did not arrive"));
    }
    match format {
        OutputFormat::Json => {
            let unsealing = if asked.service { (1, 1) } else { (asked.shares, asked.threshold) };
            let recovering = if asked.service { (asked.shares, asked.threshold) } else { (0, 0) };
            print_json(&json!({
                "unseal_keys_b64": *unseal.base64, "unseal_keys_hex": *unseal.hex, "unseal_shares": unsealing.0, "unseal_threshold": unsealing.1,
                "recovery_keys_b64": *recovery.base64, "recovery_keys_hex": *recovery.hex,
                "recovery_keys_shares": recovering.0, "recovery_keys_threshold": recovering.1,
                "root_token": *token,
            }))?;
        }
        OutputFormat::Table => {
            let mut text = Zeroizing::new(String::new());
            for (kind, keys) in [("Unseal", &unseal), ("Recovery", &recovery)] {
                for (index, key) in keys.base64.iter().enumerate() {
                    text.push_str(&format!("{kind} Key {}: {key}\n", index + 1));
                }
            }
            text.push_str(&format!("\nInitial Root Token: {}\n\n{}", *token, asked.distribution()));
            print(&text)?;
        }
    }
    Ok(Exit::Success)
}

/// What is asked of the server.
struct Asked {
    /// A key service unseals, so that the shares are the recovery key's.
    service: bool,
    shares: u64,
    threshold: u64,
    body: Value,
}

impl Asked {
    /// The numbers of the kind of key that this seal has, Vault's where none are given; numbers for the other kind only if given, which the server refuses.
    fn new(arguments: &InitArguments, service: bool) -> Self {
        let (shares, threshold) = match service {
            true => (arguments.recovery_shares, arguments.recovery_threshold),
            false => (arguments.key_shares, arguments.key_threshold),
        };
        let shares = shares.unwrap_or(SHARES);
        let threshold = threshold.unwrap_or(if shares == 0 { 0 } else { THRESHOLD });
        let mut body = Map::new();
        let mut set = |name: &str, number: Option<u64>| body.extend(number.map(|number| (name.to_owned(), number.into())));
        set("secret_shares", if service { arguments.key_shares } else { Some(shares) });
        set("secret_threshold", if service { arguments.key_threshold } else { Some(threshold) });
        set("recovery_shares", if service { Some(shares) } else { arguments.recovery_shares });
        set("recovery_threshold", if service { Some(threshold) } else { arguments.recovery_threshold });
        Self { service, shares, threshold, body: Value::Object(body) }
    }

    fn distribution(&self) -> String {
        let (shares, threshold) = (self.shares, self.threshold);
        match (self.service, shares) {
            (false, _) => format!(
                "The vault is initialized with {shares} key shares and a threshold of {threshold}. Hand the shares\n\
                 to different people and keep none of this output: the shares cannot be shown again.\n\
                 Whenever the vault is sealed or the server is started, {threshold} of them are needed to unseal it.\n\
                 Without {threshold} of them the data is lost for good.\n"
            ),
            (true, 0) => "Success! Vault is initialized\n\n\
                 The key service unseals it. There is no recovery key: without a token nobody can make a new root token.\n\
                 A recovery key can be made later, with coffer operator rekey -init -target=recovery.\n\
                 If the key of the key service is lost, the data is lost for good.\n"
                .to_owned(),
            (true, _) => format!(
                "Success! Vault is initialized\n\n\
                 The key service unseals it. The recovery key has {shares} shares and a threshold of {threshold}. Hand the shares\n\
                 to different people and keep none of this output: the shares cannot be shown again.\n\
                 {threshold} of them agree to a new root token, a rekey or another seal; without the key service they open nothing.\n\
                 If the key of the key service is lost, the data is lost for good.\n"
            ),
        }
    }
}

/// Shares of an answer, in both of their forms.
struct Keys {
    hex: Zeroizing<Vec<String>>,
    base64: Zeroizing<Vec<String>>,
}

impl Keys {
    /// None where the answer has none; the form that an older server does not give is made from the other.
    fn new(answer: &mut Value, hex: &str, base64: &str) -> Result<Self, Failure> {
        let hex = take(answer, hex).unwrap_or_default();
        let base64 = match take(answer, base64) {
            Some(keys) => keys,
            None => encode(&hex)?,
        };
        Ok(Self { hex, base64 })
    }
}

fn encode(keys: &[String]) -> Result<Zeroizing<Vec<String>>, Failure> {
    let encoded: Result<Vec<String>, Failure> = keys
        .iter()
        .map(|key| {
            let bytes = Zeroizing::new(hex::decode(key).map_err(|_| Failure::failed("the server's answer holds a key that is not hex"))?);
            Ok(base64::engine::general_purpose::STANDARD.encode(&*bytes))
        })
        .collect();
    encoded.map(Zeroizing::new)
}

async fn status(client: &Client, format: OutputFormat) -> Outcome {
    let answer =
        client.send(Method::GET, "sys/init", None).await.map_err(|error| Failure::usage(format!("Error checking init status: {error}")))?;
    let initialized = answer.get("initialized").and_then(Value::as_bool) == Some(true);
    match format {
        OutputFormat::Json => print_json(&json!({"Initialized": initialized}))?,
        OutputFormat::Table if initialized => print("Vault is initialized")?,
        OutputFormat::Table => print("Vault is not initialized")?,
    }
    Ok(if initialized { Exit::Success } else { Exit::Failed })
}

#[cfg(test)]
mod tests {
    use super::{Asked, Keys};
    use crate::args::{Arguments, Command, InitArguments, OperatorCommand};
    use clap::Parser;
    use serde_json::json;

    fn arguments(line: &str) -> InitArguments {
        let Arguments { command: Command::Operator(OperatorCommand::Init(init)) } =
            Arguments::try_parse_from(["coffer", "operator", "init"].into_iter().chain(line.split_whitespace())).unwrap()
        else {
            panic!("{line}")
        };
        init
    }

    #[test]
    fn the_seal_decides_whose_shares_are_asked_for() {
        for (line, service, body) in [
            ("", false, json!({"secret_shares": 5, "secret_threshold": 3})),
            ("", true, json!({"recovery_shares": 5, "recovery_threshold": 3})),
            ("-n 1 -t 1", false, json!({"secret_shares": 1, "secret_threshold": 1})),
            ("--recovery-shares=0", true, json!({"recovery_shares": 0, "recovery_threshold": 0})),
            ("--recovery-shares=2 --recovery-threshold=2", true, json!({"recovery_shares": 2, "recovery_threshold": 2})),
            // The server says that these are not this seal's.
            ("-n 1", true, json!({"secret_shares": 1, "recovery_shares": 5, "recovery_threshold": 3})),
            ("--recovery-shares=1", false, json!({"secret_shares": 5, "secret_threshold": 3, "recovery_shares": 1})),
        ] {
            assert_eq!(Asked::new(&arguments(line), service).body, body, "{line}");
        }
    }

    #[test]
    fn what_is_lost_without_the_shares_is_said_of_each_seal() {
        let said = |line: &str, service: bool| Asked::new(&arguments(line), service).distribution();
        assert!(said("", false).contains("5 key shares") && !said("", false).contains("Success!"));
        assert!(said("", true).starts_with("Success! Vault is initialized\n") && said("", true).contains("5 shares and a threshold of 3"));
        assert!(said("--recovery-shares=0", true).contains("There is no recovery key"));
    }

    #[test]
    fn the_form_that_is_missing_is_made() {
        let keys = Keys::new(&mut json!({"keys": ["0102"]}), "keys", "keys_base64").unwrap();
        assert_eq!((keys.hex.as_slice(), keys.base64.as_slice()), (&["0102".to_owned()][..], &["AQI=".to_owned()][..]));
        let none = Keys::new(&mut json!({"keys": [], "keys_base64": []}), "recovery_keys", "recovery_keys_base64").unwrap();
        assert!(none.hex.is_empty() && none.base64.is_empty());
        assert!(Keys::new(&mut json!({"keys": ["xyz"]}), "keys", "keys_base64").is_err());
    }
}
