//! `coffer operator`: unseal, seal, step-down and rotate here, the longer commands in files of their own.

mod generate_root;
mod init;
mod rekey;
mod share;
#[cfg(test)]
mod tests;

use crate::args::{ClientArguments, OperatorCommand, OutputFormat, UnsealArguments};
use crate::client::Client;
use crate::config::Environment;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{print, print_json, table};
use crate::{server, status};
use http::Method;
use serde_json::{Value, json};
use share::{doing, secret};

/// Runs a command.
pub(crate) async fn run(command: &OperatorCommand, environment: &Environment) -> Outcome {
    match command {
        OperatorCommand::Init(arguments) => init::init(arguments, environment).await,
        OperatorCommand::Unseal(arguments) => unseal(arguments, environment).await,
        OperatorCommand::Seal(arguments) => seal(arguments, environment).await,
        OperatorCommand::StepDown(arguments) => step_down(arguments, environment).await,
        OperatorCommand::Rotate(arguments) => rotate(arguments, environment).await,
        OperatorCommand::GenerateRoot(arguments) => generate_root::run(arguments, environment).await,
        OperatorCommand::MigrateSeal(arguments) => server::migrate_seal(arguments, environment).await,
        OperatorCommand::Rekey(arguments) => rekey::run(arguments, environment).await,
    }
}

/// `operator unseal`: one share, or a new start with `-reset`.
async fn unseal(arguments: &UnsealArguments, environment: &Environment) -> Outcome {
    let format = arguments.client.format.resolve(environment)?;
    let client = Client::new(&arguments.client, environment)?;
    let body = if arguments.reset { json!({"reset": true}) } else { share_body(arguments)? };
    let status = client.send(Method::PUT, "sys/unseal", Some(&body)).await.map_err(doing("unsealing"))?;
    status::show(&client, status, format).await?;
    Ok(Exit::Success)
}

fn share_body(arguments: &UnsealArguments) -> Result<Value, Failure> {
    let key = secret(arguments.key.as_ref().map(|key| key.as_str()), "Unseal Key")?;
    Ok(if arguments.migrate { json!({"key": *key, "migrate": true}) } else { json!({"key": *key}) })
}

/// `operator seal`.
async fn seal(arguments: &ClientArguments, environment: &Environment) -> Outcome {
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
async fn step_down(arguments: &ClientArguments, environment: &Environment) -> Outcome {
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
async fn rotate(arguments: &ClientArguments, environment: &Environment) -> Outcome {
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
