//! A component on its way from a registry to a running server, by the command line: what is said of a tag, what a digest brings, what may then run, and the next version.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use cofferdam_emulator::{Registry, RegistryOptions};
use serde_json::{Value, json};

use super::{LONG, Place, digest, plugin, variant};
use crate::e2e::process::{coffer, finish, succeed, text};
use crate::runtime::bytes;

const REPOSITORY: &str = "plugins/memory";

/// Pushes a component as any client does, and gives the digest of its manifest.
fn push(registry: &Registry, tag: &str, component: &[u8]) -> String {
    let at = format!("http://{}", registry.host());
    let blob = |content: &[u8]| {
        let begun = ureq::post(format!("{at}/v2/{REPOSITORY}/blobs/uploads/")).send_empty().unwrap();
        let location = begun.headers()["location"].to_str().unwrap();
        let location = if location.starts_with('/') { format!("{at}{location}") } else { location.to_owned() };
        let sign = if location.contains('?') { '&' } else { '?' };
        let name = format!("sha256:{}", digest(content));
        let put =
            ureq::put(format!("{location}{sign}digest={name}")).header("content-type", "application/octet-stream").send(content).unwrap();
        assert_eq!(put.status(), 201);
        json!({"digest": name, "size": content.len()})
    };
    let typed = |mut descriptor: Value, media_type: &str| {
        descriptor["mediaType"] = json!(media_type);
        descriptor
    };
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": typed(blob(b"{}"), "application/vnd.wasm.config.v0+json"),
        "layers": [typed(blob(component), "application/wasm")],
    });
    let manifest = manifest.to_string();
    let put = ureq::put(format!("{at}/v2/{REPOSITORY}/manifests/{tag}")).header("content-type", media_type).send(&manifest).unwrap();
    assert_eq!(put.status(), 201);
    digest(manifest.as_bytes())
}

/// `coffer plugin pull` into this directory.
fn pull(directory: &Path, reference: &str, more: &[&str]) -> Command {
    let mut command = coffer();
    // Nobody's credentials.
    command.env("DOCKER_CONFIG", directory).args(["plugin", "pull", reference, "--directory"]).arg(directory).args(more);
    command
}

fn refused(mut command: Command, code: i32, parts: &[&str]) {
    let output = finish(&mut command, LONG);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(code), "{said}");
    for part in parts {
        assert!(said.contains(part), "{part:?} is not in\n{said}");
    }
}

fn told(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(output)))
}

#[test]
fn from_a_registry_to_a_running_server_and_to_its_next_version() {
    let Some(registry) = Registry::start(RegistryOptions::default()).unwrap() else { return };
    let versions = [bytes("memory"), variant(&bytes("memory"), 1)];
    let first = push(&registry, "1.0", &versions[0]);
    let place = Place::new("memory", &[]);
    let (directory, file) = (place.path("plugins"), place.path("plugins/memory.wasm"));
    fs::remove_file(&file).unwrap();
    let named = |digest: &str| format!("{}/{REPOSITORY}@sha256:{digest}", registry.host());
    let pull = |reference: &str, more: &[&str]| pull(&directory, reference, more);

    // Of a tag the digest is said. What is not there, or no reference, brings nothing; nor does what is no component.
    let tag = format!("{}/{REPOSITORY}:1.0", registry.host());
    refused(pull(&tag, &[]), 1, &[&named(&first), "names no digest"]);
    refused(pull(&named(&digest(b"another")), &[]), 2, &["404", &digest(b"another")]);
    refused(pull(&format!("{}/{REPOSITORY}@sha256:12", registry.host()), &[]), 1, &["sha256:12"]);
    let none = push(&registry, "none", b"\0asm no component");
    refused(pull(&named(&none), &[]), 2, &["memory"]);
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);

    // By its digest it comes, and does not run before somebody vouches for it.
    let pulled = told(&succeed(&mut pull(&named(&first), &["--format", "json"]), LONG));
    assert_eq!(
        (&pulled["sha256"], &pulled["reference"], &pulled["pinned"], &pulled["unchanged"]),
        (&json!(digest(&versions[0])), &json!(named(&first)), &json!(false), &json!(false))
    );
    assert_eq!(fs::read(&file).unwrap(), versions[0]);
    let config = place.configure("", "", "data");
    let mut server = coffer();
    server.args(["server", "--config"]).arg(&config);
    refused(server, 1, &["neither pinned nor signed", &digest(&versions[0])]);
    let pulled = told(&succeed(&mut pull(&named(&first), &["--pin", "--format", "json"]), LONG));
    assert_eq!((&pulled["pinned"], &pulled["unchanged"]), (&json!(true), &json!(true)));
    let (mut server, _) = place.vault();
    server.done("PUT", "kv/a", Some(json!({"x": "y"})));

    // The tag is another component now: that one comes only if it is wanted, and takes over.
    let second = push(&registry, "1.0", &versions[1]);
    refused(pull(&tag, &[]), 1, &[&named(&second)]);
    refused(pull(&named(&second), &["--pin"]), 2, &["memory.wasm", &digest(&versions[0]), "--force"]);
    assert_eq!(fs::read(&file).unwrap(), versions[0]);
    let said = text(&succeed(&mut pull(&named(&second), &["--pin", "--force"]), LONG));
    assert!(said.contains(&digest(&versions[1])) && said.contains("It is pinned"), "{said}");
    let mut reload = coffer();
    reload.args(["plugin", "reload", "storage/memory"]).env("VAULT_ADDR", &server.address).env("VAULT_TOKEN", &server.token);
    let reloaded = text(&succeed(&mut reload, LONG));
    assert!(reloaded.contains("reloaded") && reloaded.contains(&digest(&versions[1])), "{reloaded}");
    assert_eq!(
        (plugin(&server)["sha256"].clone(), server.done("GET", "kv/a", None)["data"]["x"].clone()),
        (json!(digest(&versions[1])), json!("y"))
    );
    server.stop();
}
