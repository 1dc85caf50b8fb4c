//! `coffer plugin pull`: fetches a component from an OCI registry into the plugin directory.

use crate::args::{OutputFormat, PullArguments};
use crate::config::Environment;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{print, print_json};
use cofferdam_plugins::pull::{self, Credentials, Options, PullError, Pulled};
use serde_json::json;

/// `plugin pull`.
pub(super) async fn run(arguments: &PullArguments, environment: &Environment) -> Outcome {
    let format = arguments.format.resolve(environment)?;
    let config = super::configuration(&arguments.place.config, environment)?;
    let directory = super::directory(arguments.place.directory.as_ref(), config.as_ref())?;
    let variable = |name: &str| std::env::var(name).ok();
    let options = Options {
        name: arguments.name.clone(),
        force: arguments.force,
        pin: arguments.pin,
        insecure: arguments.insecure,
        ca_cert: arguments.ca_cert.clone(),
        credentials: Credentials::from_environment(variable).map_err(failure)?,
        docker_config: pull::docker_config(variable),
        token_hosts: arguments.token_host.clone(),
        signature: arguments.signature.clone(),
        ..Options::new(directory)
    };
    let pulled = pull::pull(&arguments.reference, &options, &super::check).await.map_err(failure)?;
    match format {
        OutputFormat::Json => print_json(&json!({
            "file": pulled.file, "sha256": pulled.sha256, "size": pulled.size, "reference": pulled.reference,
            "signature": pulled.signature, "pinned": pulled.pinned, "unchanged": pulled.unchanged,
        }))?,
        OutputFormat::Table => print(&said(&pulled))?,
    }
    Ok(Exit::Success)
}

fn said(pulled: &Pulled) -> String {
    let file = pulled.file.display();
    let what = if pulled.unchanged { "has this content already" } else { "is written" };
    let mut text = format!("{file} {what}: {} bytes, SHA-256 {}\nfrom {}\n", pulled.size, pulled.sha256, pulled.reference);
    if let Some(signature) = &pulled.signature {
        text.push_str(&format!("with the signature {}\n", signature.display()));
    }
    text.push_str(&match pulled.pinned {
        true => "It is pinned.\n".to_owned(),
        false => format!("Look at it with `coffer plugin inspect {file}`; it loads once it is pinned (`coffer plugin pin {file}`), or signed by a trusted key.\n"),
    });
    text
}

fn failure(error: PullError) -> Failure {
    match error {
        PullError::Reference(_)
        | PullError::NoDigest { .. }
        | PullError::Name(_)
        | PullError::Authorities(_)
        | PullError::Credentials(_) => Failure::usage(error),
        error => Failure::failed(error),
    }
}
