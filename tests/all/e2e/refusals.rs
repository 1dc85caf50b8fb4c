//! Configurations and directories that the server must not start with: it ends at once and says what to change.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::process::{configuration, free_port, refused};

#[test]
fn a_wrong_configuration_is_refused_with_its_place_and_the_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("coffer.hcl");
    let good = configuration(dir.path(), &format!("127.0.0.1:{}", free_port()));
    let storage = good.lines().take(3).collect::<Vec<_>>().join("\n");
    let cases = [
        ("a misspelt key", format!("{good}max_leese_ttl = \"1h\"\n"), vec!["max_leese_ttl", "max_lease_ttl", "9"]),
        ("a misspelt key of a listener", good.replace("tls_disable", "tls_disabel"), vec!["tls_disabel", "tls_disable", "6"]),
        ("bad syntax", format!("{good}storage {{"), vec!["coffer.hcl"]),
        ("no storage", good.replace(&storage, ""), vec!["storage"]),
        ("no listener", storage.clone(), vec!["listener"]),
        ("no path", good.replace("  path", "  # path"), vec!["path"]),
        ("an unknown storage", good.replace("\"filesystem\"", "\"nosuch\""), vec!["nosuch"]),
        ("an unknown seal", format!("{good}seal \"nosuch\" {{}}\n"), vec!["nosuch"]),
        ("a duration that is none", format!("{good}default_lease_ttl = \"soon\"\n"), vec!["default_lease_ttl", "soon"]),
        ("two storages", format!("{good}{storage}\n"), vec!["storage"]),
        ("TLS without a certificate", good.replace("tls_disable = true", ""), vec!["tls_cert_file"]),
    ];
    for (what, text, needed) in cases {
        fs::write(&config, &text).unwrap();
        let said = refused(&config);
        for part in needed {
            assert!(said.contains(part), "{what}: {part:?} is not in\n{said}");
        }
    }
    assert!(refused(&dir.path().join("nosuch.hcl")).contains("nosuch.hcl"));
    assert!(!dir.path().join("data").exists(), "a refused configuration made the storage's directory");
}

#[test]
fn a_directory_open_to_others_or_behind_a_link_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (config, data) = (dir.path().join("coffer.hcl"), dir.path().join("data"));
    fs::write(&config, configuration(dir.path(), &format!("127.0.0.1:{}", free_port()))).unwrap();
    fs::create_dir(&data).unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o777)).unwrap();
    let said = refused(&config);
    assert!(said.contains("data") && said.contains("777"), "{said}");
    fs::remove_dir(&data).unwrap();
    fs::create_dir(dir.path().join("elsewhere")).unwrap();
    symlink(dir.path().join("elsewhere"), &data).unwrap();
    let said = refused(&config);
    assert!(said.contains("data") && said.contains("link"), "{said}");
    fs::remove_file(&data).unwrap();
    fs::write(&data, "a file").unwrap();
    let said = refused(&config);
    assert!(said.contains("data") && said.contains("director"), "{said}");
}

#[test]
fn an_address_in_use_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let config = dir.path().join("coffer.hcl");
    fs::write(&config, configuration(dir.path(), &address)).unwrap();
    let said = refused(&config);
    assert!(said.contains(&address), "{said}");
}
