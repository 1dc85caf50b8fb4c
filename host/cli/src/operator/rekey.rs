//! `coffer operator rekey`: new shares of the unseal or the recovery key, by those of today.
//!
//! The rule: new shares are printed once, by who gives the last share of today; nobody can show them again.

use super::share::{Paths, SHARES, THRESHOLD, body, doing, inner, nonce, on, secret, take, text};
use crate::args::{OutputFormat, RekeyArguments, RekeyTarget};
use crate::client::Client;
use crate::config::Environment;
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{or, print, print_json, table};
use http::Method;
use serde_json::{Value, json};
use zeroize::Zeroizing;

fn paths(target: RekeyTarget) -> Paths {
    match target {
        RekeyTarget::Barrier => Paths { by_shares: "sys/rekey", by_token: "sys/rotate/root" },
        RekeyTarget::Recovery => Paths { by_shares: "sys/rekey-recovery-key", by_token: "sys/rotate/recovery" },
    }
}

/// `operator rekey`.
pub(crate) async fn run(arguments: &RekeyArguments, environment: &Environment) -> Outcome {
    let format = arguments.client.format.resolve(environment)?;
    let client = Client::new(&arguments.client, environment)?;
    let (base, status) = paths(arguments.target).status(&client, "init").await.map_err(doing("getting rekey status"))?;
    if arguments.init {
        // Where there is no recovery key nobody can agree to one; with a token one is made.
        let first = arguments.target == RekeyTarget::Recovery && text(&status, "required") == "0";
        return begin(&client, if first { paths(arguments.target).by_token } else { base }, arguments, format).await;
    }
    let (step, status) = match arguments.verify {
        true => {
            let answer = client.send(Method::GET, &format!("{base}/verify"), None).await;
            ("verify", answer.map_err(doing("getting verification status"))?)
        }
        false => ("init", status),
    };
    if arguments.cancel {
        client.send(Method::DELETE, &format!("{base}/{step}"), None).await.map_err(doing("canceling rekey"))?;
        if format == OutputFormat::Json {
            print_json(&json!({"canceled": true}))?;
            return Ok(Exit::Success);
        }
        print(match arguments.verify {
            true => "Success! The shares given for the verification are forgotten; the rekey waits for it",
            false => "Success! Canceled rekeying (if it was started)",
        })?;
        return Ok(Exit::Success);
    }
    if arguments.status {
        return show(&status, arguments.verify, format);
    }
    if !on(&status, "started") {
        return Err(Failure::usage(match arguments.verify {
            true => {
                "no verification is in progress: it begins when enough shares of today were given to a rekey that was begun with --init --verify"
            }
            false => "no rekey is in progress: begin one with coffer operator rekey --init",
        }));
    }
    let share = arguments.key.as_ref().map(|key| key.as_str());
    let nonce = nonce(arguments.nonce.as_deref(), share, &text(&status, "nonce"))?;
    if share.is_none() {
        eprintln!("Rekey operation nonce: {nonce}");
    }
    let share = secret(share, if arguments.verify { "New Key Share" } else { "Key Share of Today" })?;
    let path = format!("{base}/{}", if arguments.verify { "verify" } else { "update" });
    let given = client.send(Method::PUT, &path, Some(&body(&share, &nonce))).await.map_err(doing("posting key"))?;
    match (on(&given, "complete"), arguments.verify) {
        (false, verify) => show(&given, verify, format),
        (true, true) => verified(&given, format),
        (true, false) => finished(given, arguments.target, format),
    }
}

async fn begin(client: &Client, base: &str, arguments: &RekeyArguments, format: OutputFormat) -> Outcome {
    let seal = client.send(Method::GET, "sys/seal-status", None).await.map_err(doing("checking seal status"))?;
    // The root key of a vault that a key service unseals has no shares.
    let single = arguments.target == RekeyTarget::Barrier && on(&seal, "recovery_seal");
    let (shares, threshold) = if single { (1, 1) } else { (SHARES, THRESHOLD) };
    let asked = json!({
        "secret_shares": arguments.key_shares.unwrap_or(shares),
        "secret_threshold": arguments.key_threshold.unwrap_or(threshold),
        "require_verification": arguments.verify,
    });
    let begun = client.send(Method::PUT, &format!("{base}/init"), Some(&asked)).await.map_err(doing("initializing rekey"))?;
    // Where there was no recovery key nobody has to agree.
    if on(&begun, "complete") { finished(begun, arguments.target, format) } else { show(&begun, false, format) }
}

fn show(status: &Value, verification: bool, format: OutputFormat) -> Outcome {
    match format {
        OutputFormat::Json => print_json(inner(status))?,
        OutputFormat::Table => print(&table(["Key", "Value"], &rows(status, verification)))?,
    }
    Ok(Exit::Success)
}

fn rows(status: &Value, verification: bool) -> Vec<[String; 2]> {
    let text = |name: &str| text(status, name);
    let mut rows = Vec::new();
    let mut row = |key: &str, value: String| rows.push([key.to_owned(), value]);
    row("Nonce", or(text("nonce"), "n/a"));
    row("Started", text("started"));
    if !on(status, "started") {
        return rows;
    }
    row("New Shares", text("n"));
    row("New Threshold", text("t"));
    if verification {
        row("Verification Progress", format!("{}/{}", text("progress"), text("t")));
        return rows;
    }
    row("Rekey Progress", format!("{}/{}", text("progress"), text("required")));
    row("Verification Required", on(status, "verification_required").to_string());
    if !text("verification_nonce").is_empty() {
        row("Verification Nonce", text("verification_nonce"));
    }
    rows
}

/// The new shares, or that there are none to be seen.
fn finished(mut given: Value, target: RekeyTarget, format: OutputFormat) -> Outcome {
    if format == OutputFormat::Json {
        print_json(inner(&given))?;
        return Ok(Exit::Success);
    }
    let keys = take(&mut given, "keys_base64").unwrap_or_default();
    let mut shown = Zeroizing::new(String::new());
    for (index, key) in keys.iter().enumerate() {
        shown.push_str(&format!("Key {}: {key}\n", index + 1));
    }
    shown.push_str(&format!("\nOperation nonce: {}\n\n", text(&given, "nonce")));
    shown.push_str(&match (keys.len(), on(&given, "verification_required")) {
        (0, _) => {
            "Success! The root key is replaced; the key service holds it, and the shares of the recovery key stay as they are.\n".to_owned()
        }
        (shares, false) => {
            let key = if target == RekeyTarget::Recovery { "recovery key" } else { "unseal key" };
            format!(
                "Success! The {key} is replaced. Its new shares ({shares}) belong to different people; keep none of this\n\
                 output: they cannot be shown again. The shares of before are of no use any more.\n"
            )
        }
        (shares, true) => format!(
            "The new shares ({shares}) do not count yet: those of before stay in force until enough of the new ones were given,\n\
             with coffer operator rekey --verify{}\n\nVerification nonce: {}\n",
            if target == RekeyTarget::Recovery { " --target=recovery" } else { "" },
            text(&given, "verification_nonce")
        ),
    });
    print(&shown)?;
    Ok(Exit::Success)
}

fn verified(given: &Value, format: OutputFormat) -> Outcome {
    match format {
        OutputFormat::Json => print_json(inner(given))?,
        OutputFormat::Table => print("Success! The rekey is verified: the new shares count, and those of before are of no use any more.")?,
    }
    Ok(Exit::Success)
}

#[cfg(test)]
mod tests {
    use super::rows;
    use serde_json::{Value, json};

    fn lines(status: &Value, verification: bool) -> Vec<String> {
        rows(status, verification).into_iter().map(|[key, value]| format!("{key}={value}")).collect()
    }

    #[test]
    fn the_rows_are_vaults() {
        let idle = json!({"nonce": "", "started": false, "t": 0, "n": 0, "progress": 0, "required": 3});
        assert_eq!(lines(&idle, false), ["Nonce=n/a", "Started=false"]);
        let begun = json!({"data": {"nonce": "x", "started": true, "t": 2, "n": 4, "progress": 1, "required": 3, "verification_required": true,
            "verification_nonce": "v"}});
        assert_eq!(
            lines(&begun, false),
            [
                "Nonce=x",
                "Started=true",
                "New Shares=4",
                "New Threshold=2",
                "Rekey Progress=1/3",
                "Verification Required=true",
                "Verification Nonce=v"
            ]
        );
        let proof = json!({"nonce": "v", "started": true, "t": 2, "n": 4, "progress": 1});
        assert_eq!(lines(&proof, true), ["Nonce=v", "Started=true", "New Shares=4", "New Threshold=2", "Verification Progress=1/2"]);
    }
}
