//! `coffer operator`: init, unseal, seal, step-down, rotate.

use crate::args::{ClientArguments, InitArguments, OutputFormat, UnsealArguments};
use crate::client::Client;
use crate::config::Environment;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{print, print_json, table};
use crate::status;
use base64::Engine;
use http::Method;
use serde_json::{Value, json};
use std::io::Read;
use zeroize::Zeroizing;

fn doing(what: &str) -> impl Fn(crate::client::ClientError) -> Failure + '_ {
    move |error| Failure::failed(format!("Error {what}: {error}"))
}

/// `operator init`: prints shares and root token once; nobody can show them again.
pub(crate) async fn init(arguments: &InitArguments, environment: &Environment) -> Outcome {
    let format = arguments.client.format.resolve(environment)?;
    let client = Client::new(&arguments.client, environment)?;
    if arguments.status {
        return init_status(&client, format).await;
    }
    let (shares, threshold) = (arguments.key_shares, arguments.key_threshold);
    let body = json!({"secret_shares": shares, "secret_threshold": threshold});
    let mut made = client.send(Method::PUT, "sys/init", Some(&body)).await.map_err(doing("initializing"))?;
    let mut strings = |name: &str| -> Result<Zeroizing<Vec<String>>, Failure> {
        match made.get_mut(name).map(Value::take) {
            Some(Value::Array(values)) => Ok(Zeroizing::new(
                values.into_iter().filter_map(|value| if let Value::String(text) = value { Some(text) } else { None }).collect(),
            )),
            _ => Err(Failure::failed(format!(
                "the server's answer has no {name}: the vault may be initialized, but its keys did not arrive"
            ))),
        }
    };
    let hex = strings("keys")?;
    let base64 = match strings("keys_base64") {
        Ok(keys) => keys,
        Err(_) => encode(&hex)?,
    };
    let Some(Value::String(token)) = made.get_mut("root_token").map(Value::take) else {
        return Err(Failure::failed("the server's answer has no root_token: the vault may be initialized, but its token did not arrive"));
    };
    let token = Zeroizing::new(token);
    match format {
        OutputFormat::Json => print_json(&json!({
            "unseal_keys_b64": *base64, "unseal_keys_hex": *hex, "unseal_shares": shares, "unseal_threshold": threshold,
            "recovery_keys_b64": [], "recovery_keys_hex": [], "recovery_keys_shares": 0, "recovery_keys_threshold": 0,
            "root_token": *token,
        }))?,
        OutputFormat::Table => {
            let mut text = Zeroizing::new(String::new());
            for (index, key) in base64.iter().enumerate() {
                text.push_str(&format!("Unseal Key {}: {key}\n", index + 1));
            }
            text.push_str(&format!("\nInitial Root Token: {}\n\n{}", *token, distribution(shares, threshold)));
            print(&text)?;
        }
    }
    Ok(Exit::Success)
}

fn distribution(shares: u64, threshold: u64) -> String {
    format!(
        "The vault is initialized with {shares} key shares and a threshold of {threshold}. Hand the shares\n\
         to different people and keep none of this output: the shares cannot be shown again.\n\
         Whenever the vault is sealed or the server is started, {threshold} of them are needed to unseal it.\n\
         Without {threshold} of them the data is lost for good.\n"
    )
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

async fn init_status(client: &Client, format: OutputFormat) -> Outcome {
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

/// `operator unseal`: one share, or a new start with `-reset`.
pub(crate) async fn unseal(arguments: &UnsealArguments, environment: &Environment) -> Outcome {
    let format = arguments.client.format.resolve(environment)?;
    let client = Client::new(&arguments.client, environment)?;
    let body = if arguments.reset { json!({"reset": true}) } else { json!({"key": share(arguments.key.as_deref())?.trim()}) };
    let status = client.send(Method::PUT, "sys/unseal", Some(&body)).await.map_err(doing("unsealing"))?;
    status::show(&client, status, format).await?;
    Ok(Exit::Success)
}

/// The share from the command line, from standard input, or asked for without echo.
fn share(given: Option<&str>) -> Result<Zeroizing<String>, Failure> {
    match given {
        Some("-") => {
            let mut text = Zeroizing::new(String::new());
            std::io::stdin()
                .read_to_string(&mut text)
                .map_err(|error| Failure::usage(format!("cannot read the key from standard input: {error}")))?;
            Ok(text)
        }
        Some(key) => Ok(Zeroizing::new(key.to_owned())),
        None => rpassword::prompt_password("Unseal Key (will be hidden): ").map(Zeroizing::new).map_err(|error| {
            Failure::usage(format!("cannot ask for the key ({error}): give it as an argument, or `-` to read it from standard input"))
        }),
    }
}

/// `operator seal`.
pub(crate) async fn seal(arguments: &ClientArguments, environment: &Environment) -> Outcome {
    let format = arguments.format.resolve(environment)?;
    let client = Client::new(arguments, environment)?;
    client.send(Method::PUT, "sys/seal", None).await.map_err(doing("sealing"))?;
    match format {
        OutputFormat::Json => print_json(&json!({"sealed": true}))?,
        OutputFormat::Table => print("Success! Vault is sealed.")?,
    }
    Ok(Exit::Success)
}

/// `operator step-down`: another server takes over; this one stays unsealed.
pub(crate) async fn step_down(arguments: &ClientArguments, environment: &Environment) -> Outcome {
    let format = arguments.format.resolve(environment)?;
    let client = Client::new(arguments, environment)?;
    client.send(Method::PUT, "sys/step-down", None).await.map_err(doing("stepping down"))?;
    match format {
        OutputFormat::Json => print_json(&json!({"stepped_down": true}))?,
        OutputFormat::Table => print(&format!("Success! Stepped down: {}", client.address()))?,
    }
    Ok(Exit::Success)
}

/// `operator rotate`: a new key, then what the keyring says of it.
pub(crate) async fn rotate(arguments: &ClientArguments, environment: &Environment) -> Outcome {
    let format = arguments.format.resolve(environment)?;
    let client = Client::new(arguments, environment)?;
    client.send(Method::PUT, "sys/rotate", None).await.map_err(doing("rotating key"))?;
    let answer = client.send(Method::GET, "sys/key-status", None).await.map_err(doing("reading key status"))?;
    let field =
        |name: &str| answer.get("data").and_then(|data| data.get(name)).or_else(|| answer.get(name)).cloned().unwrap_or(Value::Null);
    let (term, time, encryptions) = (field("term"), field("install_time"), field("encryptions"));
    match format {
        OutputFormat::Json => print_json(&json!({"term": term, "install_time": time, "encryptions": encryptions}))?,
        OutputFormat::Table => {
            let time = time.as_str().map_or_else(|| time.to_string(), str::to_owned);
            let rows = [["Key Term", &term.to_string()], ["Install Time", &time], ["Encryption Count", &encryptions.to_string()]]
                .map(|row| row.map(str::to_owned));
            print(&format!("Success! Rotated key\n\n{}", table(["Key", "Value"], &rows)))?;
        }
    }
    Ok(Exit::Success)
}
