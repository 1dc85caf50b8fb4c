use super::super::credentials::from_docker;
use super::*;
use proptest::prelude::*;

proptest! {
    #[test]
    fn a_reference_is_what_it_was_made_of(
        host in "([a-z][a-z0-9]{0,8}\\.){1,3}[a-z]{2,4}(:[0-9]{1,4})?",
        path in "[a-z][a-z0-9]{0,8}(/[a-z][a-z0-9-]{0,6}[a-z0-9]){0,3}",
        tag in prop::option::of("[A-Za-z0-9_][A-Za-z0-9_.-]{0,10}"),
        seed: [u8; 4],
    ) {
        prop_assume!(host != "docker.io" && host != "index.docker.io");
        let digest = format!("sha256:{}", sha256(&seed));
        let tag_text = tag.as_ref().map(|tag| format!(":{tag}")).unwrap_or_default();
        let text = format!("{host}/{path}{tag_text}@{digest}");
        let parsed = Reference::parse(&text).unwrap();
        prop_assert_eq!(parsed.to_string(), text.clone());
        prop_assert_eq!((parsed.registry(), parsed.repository()), (host.as_str(), path.as_str()));
        prop_assert_eq!((parsed.digest(), parsed.tag()), (Some(digest.as_str()), tag.as_deref()));
        prop_assert_eq!(Reference::parse(&format!("oci://{text}")).unwrap(), parsed);
    }

    /// Whatever is taken can be written and taken again, and stays on the host that it shows.
    #[test]
    fn no_text_makes_it_panic_or_leave_its_host(text in "[ -~]{0,80}") {
        if let Ok(reference) = Reference::parse(&text) {
            prop_assert_eq!(Reference::parse(&reference.to_string()).unwrap(), reference.clone());
            prop_assert!(!reference.registry().contains(['@', '/', '?', '#', ' ']));
            prop_assert!(!reference.repository().contains("..") && !reference.repository().contains(['?', '#', '@', ' ']));
        }
    }

    #[test]
    fn no_bytes_of_a_manifest_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Layers::parse(&bytes);
    }
}

#[test]
fn what_is_no_reference_is_refused_with_the_reason() {
    let digest = format!("sha256:{}", sha256(b"x"));
    for (text, why) in [
        ("etcd", "it has no host"),
        ("plugins/etcd:1", "its first part is no host"),
        ("registry.example/etcd", "neither a tag nor a digest"),
        ("registry.example:5000/etcd", "neither a tag nor a digest"),
        ("registry.example/Etcd:1", "invalid reference"),
        ("registry.example/../etcd:1", "invalid reference"),
        ("https://registry.example/etcd:1", "invalid reference"),
        (&format!("registry.example/etcd@{}", digest.replace("sha256", "sha512")), "length"),
        (&format!("registry.example/etcd@sha256:{}", sha256(b"x").to_uppercase()), "lower-case"),
        ("registry.example/etcd@sha256:00", "invalid"),
    ] {
        let error = Reference::parse(text).unwrap_err().to_string();
        assert!(error.contains(why) && error.contains(text), "{error}");
    }
    for text in ["localhost/etcd:1", "127.0.0.1:5000/a/b:1", "docker.io/user/etcd:1"] {
        assert_eq!(Reference::parse(text).unwrap().to_string(), text);
    }
}

#[test]
fn a_manifest_has_one_component() {
    let layer = |media_type: &str, title: &str| {
        let annotations = serde_json::json!({"org.opencontainers.image.title": title});
        serde_json::json!({"mediaType": media_type, "digest": format!("sha256:{}", sha256(title.as_bytes())), "size": 7, "annotations": annotations})
    };
    let manifest = |layers: Vec<serde_json::Value>| {
        let mut manifest: serde_json::Value = serde_json::from_str(&manifest_of(b"x")).unwrap();
        manifest["layers"] = layers.into();
        Layers::parse(manifest.to_string().as_bytes()).map_err(|error| error.to_string())
    };
    for media_type in ["application/wasm", "application/vnd.wasm.content.layer.v1+wasm"] {
        let layers = manifest(vec![layer("text/plain", "etcd.wasm.minisig"), layer(media_type, "etcd.wasm")]).unwrap();
        assert_eq!(layers.component, Layer { digest: format!("sha256:{}", sha256(b"etcd.wasm")), size: 7 });
        assert_eq!(layers.signature.unwrap().digest, format!("sha256:{}", sha256(b"etcd.wasm.minisig")));
    }
    assert!(manifest(vec![]).unwrap_err().contains("0 components"));
    assert!(manifest(vec![layer("application/wasm", "a"), layer("application/wasm", "b")]).unwrap_err().contains("2 components"));
    let tar = manifest(vec![layer("application/vnd.oci.image.layer.v1.tar\u{1b}", "a")]).unwrap_err();
    assert!(tar.contains("layer.v1.tar\\u{1b}"), "{tar}");
    let mut odd = layer("application/wasm", "a");
    odd["digest"] = "sha256:../../x".into();
    assert!(manifest(vec![odd.clone()]).unwrap_err().contains("hexadecimal"));
    odd["digest"] = format!("sha256:{}", sha256(b"x")).into();
    odd["size"] = (-1).into();
    assert!(manifest(vec![odd]).unwrap_err().contains("negative"));
    let entry = serde_json::json!({"mediaType": "x", "digest": "sha256:abc", "size": 1});
    let index = serde_json::json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [entry]});
    let error = Layers::parse(index.to_string().as_bytes()).unwrap_err().to_string();
    assert!(error.contains("index of several manifests") && error.contains("sha256:abc"), "{error}");
}

#[test]
fn credentials_are_those_of_docker_for_the_registry() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config.json");
    assert_eq!(from_docker(&path, "registry.example").unwrap(), None);
    // reader:correct:horse, as docker writes it.
    let text = r#"{"auths": {"registry.example:5000": {"auth": "cmVhZGVyOmNvcnJlY3Q6aG9yc2U="}, "https://index.docker.io/v1/": {"username": "u", "password": "p"},
                   "helped.example": {}, "bad.example": {"auth": "***"}}, "credsStore": "desktop"}"#;
    fs::write(&path, text).unwrap();
    let found = |registry: &str| from_docker(&path, registry);
    let user = |username: &str, password: &str| Some(Credentials { username: username.to_owned(), password: password.to_owned() });
    assert_eq!(found("registry.example:5000").unwrap(), user("reader", "correct:horse"));
    assert_eq!(found("docker.io").unwrap(), user("u", "p"));
    for other in ["registry.example", "helped.example", "example:5000"] {
        assert_eq!(found(other).unwrap(), None, "{other}");
    }
    assert!(found("bad.example").unwrap_err().to_string().contains("docker login bad.example"));
    fs::write(&path, r#"{"auths": "hunter2"#).unwrap();
    let error = found("x.example").unwrap_err().to_string();
    assert!(error.contains("config.json") && !error.contains("hunter2"), "{error}");
    let set = |names: &'static [&str]| Credentials::from_environment(move |name| names.contains(&name).then(|| "v".to_owned()));
    assert_eq!(set(&VARIABLES).unwrap(), user("v", "v"));
    assert_eq!(set(&[]).unwrap(), None);
    assert!(set(&[VARIABLES[0]]).is_err());
}

#[test]
fn a_name_for_the_file_is_that_of_a_backend() {
    for good in ["etcd", "etcd-3", "My_2"] {
        assert_eq!(super::super::place::file_name(good).unwrap(), format!("{good}.wasm"));
    }
    for bad in ["", "..", "a/b", "etcd.v1", "ä", ".hidden", &"a".repeat(101)] {
        assert!(super::super::place::file_name(bad).is_err(), "{bad}");
    }
}
