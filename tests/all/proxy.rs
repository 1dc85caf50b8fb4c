//! The proxy as a program: before a real `bao` and before our server, with tokens that end meanwhile, as an extension of Lambda, and when it must not start.

mod lambda;
mod process;

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use cofferdam_emulator::Moto;
use serde_json::{Value, json};

use crate::e2e::bao;
use crate::e2e::process::{Server, coffer, finish, text, until};
use lambda::{Asked, Lambda};
use process::{LONG, Proxy, ended, get_by_socket, program, with_variables};

/// What a token that the proxy gets may do, and what it reads.
fn prepare(server: &Server) {
    let rules = "path \"secret/*\" { capabilities = [\"create\", \"read\", \"update\", \"list\"] }\npath \"sys/internal/ui/mounts/*\" { capabilities = [\"read\"] }";
    server.done("PUT", "sys/policies/acl/proxy", Some(json!({"policy": rules})));
    server.done("POST", "secret/data/app", Some(json!({"data": {"password": "correct-horse"}})));
}

/// An approle whose tokens end soon; writes its secret id to a file. A token that is handed out has the grace period left: time enough for a busy machine.
fn approle(server: &Server, file: &Path) {
    server.done("POST", "sys/auth/approle", Some(json!({"type": "approle"})));
    lives(server, "8s");
    let made = server.done("POST", "auth/approle/role/app/secret-id", Some(json!({})));
    fs::write(file, made["data"]["secret_id"].as_str().unwrap()).unwrap();
}

/// How long the role's next tokens live.
fn lives(server: &Server, ttl: &str) {
    server.done(
        "POST",
        "auth/approle/role/app",
        Some(json!({"role_id": "app", "token_policies": "proxy", "token_ttl": ttl, "token_max_ttl": ttl})),
    );
}

fn password(answer: &Value) -> &str {
    answer["data"]["data"]["password"].as_str().unwrap_or_default()
}

/// The accessor of the token that a proxy's requests have.
fn accessor(proxy: &Proxy) -> String {
    proxy.get("auth/token/lookup-self", &[])["data"]["accessor"].as_str().unwrap().to_owned()
}

/// Waits until the server knows the token no more.
fn until_gone(server: &Server, accessor: &str) {
    until("the token's end", server, || server.call("POST", "auth/token/lookup-accessor", Some(json!({"accessor": accessor}))).0 != 200);
}

/// Reads without a break while tokens end, is frozen and thawed, caches, serves `bao` and a unix socket, and ends on a signal.
#[test]
fn a_client_reads_through_it_while_tokens_of_a_real_bao_end() {
    let (server, dir) = (bao::dev(), tempfile::tempdir().unwrap());
    prepare(&server);
    let secret_id = dir.path().join("secret-id");
    approle(&server, &secret_id);
    let arguments = ["--auth-method=approle", "--role-id=app", "--token-expiry-grace-period=5s", "--cache-ttl=1h"];
    let start = |listen: &str| {
        let mut command = program(&[("VAULT_ADDR", &server.address)]);
        command.args(arguments).arg("--secret-id-file").arg(&secret_id).args(["--listen", listen]);
        command
    };
    let proxy = Proxy::start(start("127.0.0.1:0"), dir.path());

    let mut tokens = BTreeSet::new();
    while tokens.len() < 3 {
        assert_eq!(password(&proxy.get("secret/data/app", &[])), "correct-horse");
        tokens.insert(accessor(&proxy));
    }
    // Frozen, as Lambda does it, until the server has forgotten the token.
    let last = accessor(&proxy);
    proxy.signal("STOP");
    until_gone(&server, &last);
    lives(&server, "1h");
    proxy.signal("CONT");
    assert_eq!(password(&proxy.get("secret/data/app", &[])), "correct-horse");
    // A token that its user ends.
    let last = accessor(&proxy);
    assert_eq!(proxy.call("POST", "auth/token/revoke-self", &[("X-Vault-Token-Options", "revoke")], "").0, 204);
    assert_ne!(accessor(&proxy), last);

    // What the server answers comes as it is, and what was written is seen.
    assert_eq!(proxy.call("POST", "secret/data/app", &[], r#"{"data":{"password":"changed"}}"#).0, 200);
    let read = |word| password(&proxy.get("secret/data/app", &[("X-Vault-Cache-Control", word)])).to_owned();
    assert_eq!(
        (read("cache"), proxy.call("GET", "secret/data/none", &[], "").0, proxy.call("GET", "sys/seal", &[], "").0),
        ("changed".to_owned(), 404, 405)
    );
    server.done("POST", "secret/data/app", Some(json!({"data": {"password": "again"}})));
    assert_eq!([read("cache"), read(""), read("cache"), read("recache"), read("cache")], ["changed", "again", "changed", "again", "again"]);

    // A client that has no token, and one that has the wrong one.
    let mut client = with_variables(Command::new(crate::e2e::process::bao()), &[("BAO_ADDR", &proxy.address), ("BAO_TOKEN", "nobodys")]);
    client.args(["kv", "get", "-field=password", "secret/app"]);
    assert_eq!(text(&finish(&mut client, LONG)).trim(), "again");

    let socket = dir.path().join("socket");
    let second = Proxy::start(start(&format!("unix:{}", socket.display())), dir.path());
    assert_eq!(second.address, format!("unix://{}", socket.display()));
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(get_by_socket(&socket, "/v1/secret/data/app").contains("\"password\":\"again\""));
    let refused = ended(start(&format!("unix:{}", socket.display())));
    assert!(refused.status.code() == Some(1) && text(&refused).contains("another process listens there"), "{}", text(&refused));
    second.stop();
    assert!(!socket.exists());

    // The same code in the large binary: files alone, with a token that is there, and then it ends.
    let file = dir.path().join("app.json");
    let mut once = with_variables(coffer(), &[("VAULT_ADDR", &server.address), ("VAULT_TOKEN", "root")]);
    once.args(["proxy", "-run-mode=file", "-auth-method=token", "-secret"]).arg(format!("secret/data/app={}", file.display()));
    let output = finish(&mut once, LONG);
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!(password(&serde_json::from_slice(&fs::read(&file).unwrap()).unwrap()), "again");

    // What nobody answers.
    drop(server);
    let (status, answer) = proxy.call("GET", "secret/data/app", &[], "");
    assert!(status == 502 && answer.as_str().unwrap().starts_with("failed to proxy request: "), "{status} {answer}");
    proxy.stop();
}

/// Our server with an aws mount that asks this Moto, and what the proxy is to read.
fn aws_server(moto: &Moto) -> Server {
    let server = Server::dev();
    prepare(&server);
    server.done("POST", "sys/auth/aws", Some(json!({"type": "aws"})));
    let settings = json!({"sts_endpoint": moto.endpoint(), "iam_server_id_header_value": "vault.example.com"});
    server.done("POST", "auth/aws/config/client", Some(settings));
    aws_role(&server, "8s");
    server
}

fn aws_role(server: &Server, ttl: &str) {
    let role = json!({
        "auth_type": "iam", "bound_iam_principal_arn": "arn:aws:iam::123456789012:role/role", "token_policies": "proxy", "token_ttl": ttl,
        "token_max_ttl": ttl
    });
    server.done("POST", "auth/aws/role/app", Some(role));
}

/// The program as an extension: registered when all is ready, frozen between calls while its token ends, and gone in time.
#[test]
fn it_is_an_extension_of_lambda_before_our_server() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (moto, _, role) = runtime.block_on(Moto::start_auth()).unwrap();
    let (server, lambda, dir) = (aws_server(&moto), Lambda::start(), tempfile::tempdir().unwrap());
    let file = dir.path().join("a/secret.json");
    // The variables of a function, and no flag.
    let variables = [
        ("VLE_VAULT_ADDR", server.address.as_str()),
        ("VAULT_ADDR", "http://127.0.0.1:8200"),
        ("VAULT_AUTH_PROVIDER", "aws"),
        ("VAULT_AUTH_ROLE", " app "),
        ("VAULT_IAM_SERVER_ID", "vault.example.com"),
        ("VAULT_SECRET_PATH", "secret/data/app"),
        ("VAULT_SECRET_FILE", file.to_str().unwrap()),
        ("VAULT_TOKEN_EXPIRY_GRACE_PERIOD", "5s"),
        ("VAULT_DEFAULT_CACHE_TTL", "1h"),
        ("COFFER_PROXY_LISTEN", "127.0.0.1:0"),
        ("AWS_LAMBDA_RUNTIME_API", &lambda.address),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", &role.access),
        ("AWS_SECRET_ACCESS_KEY", &role.secret),
        ("AWS_SESSION_TOKEN", role.token.as_deref().unwrap()),
    ];
    let mut proxy = Proxy::start(program(&variables), dir.path());
    // Registration comes last, so that the function finds everything when it starts.
    let registered = lambda.asked();
    assert_eq!(registered, Asked::Register("coffer-proxy".to_owned(), json!(["INVOKE", "SHUTDOWN"])));
    let written: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(password(&written), "correct-horse");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(lambda.asked(), Asked::Next);

    lambda.invoke();
    assert_eq!(password(&proxy.get("secret/data/app", &[])), "correct-horse");
    assert_eq!(lambda.asked(), Asked::Next);
    let last = accessor(&proxy);
    proxy.signal("STOP");
    until_gone(&server, &last);
    aws_role(&server, "1h");
    lambda.invoke();
    proxy.signal("CONT");
    assert_eq!(password(&proxy.get("secret/data/app", &[])), "correct-horse");
    assert_ne!(accessor(&proxy), last);
    assert_eq!(lambda.asked(), Asked::Next);
    assert!(lambda.is_quiet());

    // A request that never comes to its end does not keep it past the deadline.
    let mut half = TcpStream::connect(proxy.address.trim_start_matches("http://")).unwrap();
    half.write_all(b"POST /v1/secret/data/app HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{").unwrap();
    lambda.shut_down(Duration::from_secs(2));
    let (status, _) = proxy.end();
    assert!(status.success(), "{status}\n{}", proxy.log());
    assert!(!matches!(half.read(&mut [0; 1]), Ok(1..)));
    let log = proxy.log();
    for secret in [&role.secret, role.token.as_ref().unwrap(), "correct-horse", "Signature="] {
        assert!(!log.contains(secret), "{log}");
    }
    refusals(&server, &variables, &lambda);
}

/// What a start fails of, on the terminal and to Lambda.
fn refusals(server: &Server, variables: &[(&str, &str)], lambda: &Lambda) {
    let with = |name: &str, value: &'static str| {
        let mut command = program(variables);
        command.env(name, value);
        ended(command)
    };
    let reported = |output: &std::process::Output| {
        assert!(matches!(lambda.asked(), Asked::Register(..)));
        let Asked::InitError(kind, message) = lambda.asked() else { panic!("{}", text(output)) };
        assert_eq!(kind, "Extension.InitFailed");
        assert!(text(output).contains(&message) && lambda.is_quiet(), "{message}\n{}", text(output));
        message
    };
    let output = with("VAULT_AUTH_ROLE", "other");
    let message = reported(&output);
    assert!(output.status.code() == Some(2) && message.contains(&server.address) && message.contains("other"), "{message}");
    // A secret that is not there.
    let output = with("VAULT_SECRET_PATH", "secret/data/none");
    assert!(output.status.code() == Some(2) && reported(&output).contains("secret/data/none"), "{}", text(&output));
    let output = with("VAULT_TOKEN_EXPIRY_GRACE_PERIOD", "ten");
    assert!(output.status.code() == Some(1) && reported(&output).contains("VAULT_TOKEN_EXPIRY_GRACE_PERIOD"), "{}", text(&output));
    // The same code in the large binary. All that is missing is told at once.
    let mut command = with_variables(coffer(), &[("VAULT_SECRET_FILE_A", "a")]);
    let output = finish(command.arg("proxy"), LONG);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for name in ["VAULT_ADDR", "VAULT_AUTH_PROVIDER", "VAULT_AUTH_ROLE", "VAULT_SECRET_FILE_A"] {
        assert!(said.contains(name), "{name}: {said}");
    }
}
