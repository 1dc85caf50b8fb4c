//! What `auth/token/…` answers; the texts are those of a real OpenBao 2.7.2.

use super::*;

#[tokio::test]
async fn a_new_token_answers_as_the_reference_does() {
    let vault = Vault::new().await;
    let response = vault
        .write(&vault.root, "create", json!({"policies": ["p1"], "ttl": "1h", "meta": {"a": "b", "n": 1}, "display_name": "My Name!"}))
        .await
        .unwrap();
    assert!(response.warnings.is_empty(), "{:?}", response.warnings);
    let auth = response.auth.unwrap();
    assert_eq!(auth.policies, ["default", "p1"]);
    assert_eq!(auth.token_policies, auth.policies);
    assert_eq!(auth.lease_duration, HOUR);
    assert!(auth.renewable && !auth.orphan);
    assert_eq!(Value::Object(auth.metadata.unwrap()), json!({"a": "b", "n": "1"}));
    assert_eq!((auth.client_token.len(), auth.accessor.len()), (95, 24));

    let data = vault.lookup(&auth.client_token).await;
    for (name, value) in [
        ("id", json!(*auth.client_token)),
        ("accessor", json!(auth.accessor)),
        ("display_name", json!("token-My-Name")),
        ("creation_ttl", json!(3600)),
        ("explicit_max_ttl", json!(0)),
        ("entity_id", json!("")),
        ("meta", json!({"a": "b", "n": "1"})),
        ("num_uses", json!(0)),
        ("orphan", json!(false)),
        ("path", json!("auth/token/create")),
        ("policies", json!(["default", "p1"])),
        ("renewable", json!(true)),
        ("type", json!("service")),
    ] {
        assert_eq!(data[name], value, "{name}");
    }
    assert!((3599..=3600).contains(&data["ttl"].as_i64().unwrap()));
    assert!(data["expire_time"].as_str().unwrap().ends_with('Z'));
    assert!(data.get("period").is_none() && data.get("last_renewal").is_none());
}

#[tokio::test]
async fn the_initial_root_token_is_bare_and_has_no_lease() {
    let vault = Vault::new().await;
    assert_eq!(vault.root.len(), 28);
    let data = vault.lookup(&vault.root).await;
    for (name, value) in [
        ("id", json!(*vault.root)),
        ("ttl", json!(0)),
        ("expire_time", Value::Null),
        ("display_name", json!("root")),
        ("path", json!("auth/token/root")),
        ("meta", Value::Null),
        ("orphan", json!(true)),
    ] {
        assert_eq!(data[name], value, "{name}");
    }
    assert!(data.get("issue_time").is_none());
    assert_eq!(text(vault.write(&vault.root, "renew-self", json!({})).await), "lease not found");
}

#[tokio::test]
async fn what_may_not_be_made_is_refused_with_the_references_words() {
    let vault = Vault::new().await;
    let plain = vault.make(&vault.root, json!({"policies": ["p1"]})).await;
    let sudo = vault.make(&vault.root, json!({"policies": ["p2"]})).await;
    let counted = vault.make(&vault.root, json!({"policies": ["p1"], "num_uses": 5})).await;
    let brief = vault.make(&vault.root, json!({"policies": ["root"], "ttl": "1h"})).await;
    let root: &String = &vault.root;
    for (token, data, message) in [
        (&plain, json!({"policies": ["p2"]}), "child policies must be subset of parent"),
        (&plain, json!({"policies": ["root"]}), "child policies must be subset of parent"),
        (&sudo, json!({"policies": ["root"]}), "root tokens may not be created without parent token being root"),
        (&plain, json!({"no_parent": true}), "root or sudo privileges required to create orphan token"),
        (&plain, json!({"id": "x"}), "root or sudo privileges required to specify token id"),
        (&plain, json!({"period": "1h"}), "root or sudo privileges required to create periodic token"),
        (&sudo, json!({"id": "s.x"}), "custom token ID cannot have the 's.' prefix"),
        (&sudo, json!({"id": "hvs.x"}), "custom token ID cannot have the 'hvs.' prefix"),
        (&sudo, json!({"id": "a.b"}), "custom token ID cannot have a '.' in the value"),
        (&sudo, json!({"ttl": "-1h"}), "ttl must be positive"),
        (&sudo, json!({"explicit_max_ttl": "-1h"}), "explicit_max_ttl must be positive"),
        (&sudo, json!({"period": "-1h"}), "period must be positive"),
        (&sudo, json!({"ttl": "zz"}), "time: invalid duration \"zz\""),
        (&sudo, json!({"num_uses": -1}), "number of uses cannot be negative"),
        (&sudo, json!({"type": "xx"}), "invalid 'token_type' value"),
        (root, json!({"type": "batch"}), "batch tokens cannot be root tokens"),
        (&sudo, json!({"type": "batch", "period": "1h"}), "batch tokens cannot have \"period\" set"),
        (&sudo, json!({"type": "batch", "explicit_max_ttl": "1h"}), "batch tokens cannot have \"explicit_max_ttl\" set"),
        (&sudo, json!({"type": "batch", "num_uses": 2}), "batch tokens cannot have \"num_uses\" set"),
        (&sudo, json!({"type": "batch", "period": "x"}), "\"period\" value could not be parsed"),
        (&sudo, json!({"policies": ["response-wrapping"]}), "cannot assign policy \"response-wrapping\""),
        (&sudo, json!({"entity_alias": "x"}), "'entity_alias' is only allowed in combination with token role"),
        (&counted, json!({}), "restricted use token cannot generate child tokens"),
        (&brief, json!({}), "expiring root tokens cannot create non-expiring root tokens"),
    ] {
        assert_eq!(text(vault.write(token, "create", data.clone()).await), message, "{data}");
    }
    assert_eq!(text(vault.write(&vault.root, "create/norole", json!({})).await), "unknown role norole");
    assert!(matches!(vault.ask(&vault.root, Operation::List, "roles/", json!({})).await, Err(Error::NotFound)));
    assert!(matches!(vault.ask(&vault.root, Operation::Read, "roles/x", json!({})).await, Err(Error::NotFound)));
    assert_eq!(text(vault.write(&vault.root, "nope", json!({})).await), "1 error occurred:\n\t* unsupported path\n\n");
    assert_eq!(text(vault.ask(&vault.root, Operation::Delete, "create", json!({})).await), "unsupported operation");
}

#[tokio::test]
async fn policies_are_inherited_added_and_cleaned_up() {
    let vault = Vault::new().await;
    let plain = vault.make(&vault.root, json!({"policies": ["p1"]})).await;
    let bare = vault.make(&vault.root, json!({"policies": ["p1"], "no_default_policy": true})).await;
    let root = vault.root.to_string();
    for (token, path, data, policies) in [
        (&root, "create", json!({}), vec!["root"]),
        (&root, "create", json!({"policies": ["root", "p1"]}), vec!["root"]),
        (&root, "create", json!({"policies": [" P1 ", "p1"]}), vec!["default", "p1"]),
        (&root, "create", json!({"policies": ["p1"], "no_default_policy": true}), vec!["p1"]),
        (&plain, "create", json!({}), vec!["default", "p1"]),
        (&plain, "create", json!({"policies": ["p1"]}), vec!["default", "p1"]),
        (&plain, "create", json!({"policies": ["default"]}), vec!["default"]),
        (&plain, "create", json!({"no_default_policy": true}), vec!["p1"]),
        (&plain, "create-orphan", json!({}), vec!["default", "p1"]),
        (&bare, "create", json!({}), vec!["p1"]),
        (&bare, "create", json!({"policies": ["p1"]}), vec!["p1"]),
    ] {
        let auth = vault.write(token, path, data.clone()).await.unwrap().auth.unwrap();
        assert_eq!(auth.policies, policies, "{path} {data}");
        assert_eq!(auth.orphan, path == "create-orphan");
    }
    let response = vault.write(&root, "create", json!({"policies": ["p1", "nope"], "foo": 1})).await.unwrap();
    assert_eq!(response.warnings, ["Endpoint ignored these unrecognized parameters: [foo]", "Policy \"nope\" does not exist"]);
}

#[tokio::test]
async fn a_chosen_id_is_taken_once() {
    let vault = Vault::new().await;
    let response = vault.write(&vault.root, "create", json!({"id": "myid", "policies": ["p1"]})).await.unwrap();
    assert_eq!(*response.auth.unwrap().client_token, "myid");
    assert!(response.warnings[0].starts_with("Supplying a custom ID"));
    assert_eq!(vault.lookup("myid").await["id"], "myid");
    assert_eq!(text(vault.write(&vault.root, "create", json!({"id": "myid"})).await), "cannot create a token with a duplicate ID");
}

#[tokio::test]
async fn tokens_are_found_by_either_form_and_by_accessor() {
    let vault = Vault::new().await;
    let token = vault.make(&vault.root, json!({"policies": ["p1"]})).await;
    let inner = vault.caller(&token).await.unwrap().entry.id.to_string();
    assert_eq!(inner.len(), 28);
    let root = &vault.root;
    for form in [&token, &inner] {
        let data = vault.write(root, "lookup", json!({"token": form})).await.unwrap().data.unwrap();
        assert_eq!(data["id"], *form.as_str());
        assert_eq!(vault.lookup(form).await["id"], *form.as_str());
    }
    let accessor = vault.lookup(&token).await["accessor"].clone();
    let data = vault.write(root, "lookup-accessor", json!({"accessor": accessor})).await.unwrap().data.unwrap();
    assert_eq!(data["id"], "");
    let listed = vault.ask(root, Operation::List, "accessors/", json!({})).await.unwrap().data.unwrap();
    assert!(listed["keys"].as_array().unwrap().contains(&accessor));
    assert_eq!(listed["keys"].as_array().unwrap().len(), 2);

    let forged = format!("{}A", token.strip_suffix(|_: char| true).unwrap());
    for (path, data, message) in [
        ("lookup", json!({"token": "nope"}), "bad token"),
        ("lookup", json!({"token": forged.replace("CAESI", "CAESJ")}), "bad token"),
        ("renew", json!({"token": "nope"}), "token not found"),
        ("renew", json!({}), "missing token ID"),
        ("revoke", json!({}), "missing token ID"),
        ("lookup-accessor", json!({}), "1 error occurred:\n\t* missing accessor\n\n"),
        ("lookup-accessor", json!({"accessor": "x"}), "1 error occurred:\n\t* invalid accessor\n\n"),
        ("revoke-orphan", json!({"token": "nope"}), "token to revoke not found"),
        (
            "renew-self",
            json!({"increment": -5}),
            "Field validation failed: error converting input for field \"increment\": cannot provide negative value '-5'",
        ),
    ] {
        assert_eq!(text(vault.write(root, path, data.clone()).await), message, "{path} {data}");
    }
    let gone = vault.write(root, "revoke-accessor", json!({"accessor": "x"})).await.unwrap();
    assert_eq!(gone.warnings, ["No token found with this accessor"]);
    assert!(vault.write(root, "revoke", json!({"token": "nope"})).await.is_ok());
    assert_eq!(vault.write(root, "tidy", json!({})).await.unwrap().status, Some(202));
}

#[tokio::test]
async fn every_token_has_a_cubbyhole_of_its_own_that_goes_with_it() {
    let vault = Vault::new().await;
    let tokens = [vault.make(&vault.root, json!({})).await, vault.make(&vault.root, json!({"id": "chosen"})).await];
    let ask = async |token: &str, operation, path: &str, data| {
        let caller = vault.caller(token).await.unwrap();
        vault.cubbyhole.handle(&request(&caller, operation, path, data)).await
    };
    for token in &tokens {
        assert!(matches!(ask(token, Operation::List, "", json!({})).await, Err(Error::NotFound)));
        ask(token, Operation::Update, "d/e", json!({"n": 1.50, "z": null})).await.unwrap();
        let data = ask(token, Operation::Read, "d/e", json!({})).await.unwrap().data.unwrap();
        assert_eq!(serde_json::to_string(&data).unwrap(), "{\"n\":1.5,\"z\":null}");
        assert_eq!(ask(token, Operation::List, "d", json!({})).await.unwrap().data.unwrap()["keys"], json!(["e"]));
        assert!(matches!(ask(token, Operation::Read, "d/x", json!({})).await, Err(Error::NotFound)));
        assert!(matches!(ask(token, Operation::Update, "x", json!({})).await, Err(Error::BadRequest(_))));
        assert!(ask(token, Operation::Read, "../x", json!({})).await.is_err());
    }
    for token in &tokens {
        let entry = vault.caller(token).await.unwrap().entry.clone();
        let view = vault.store.cubbyhole.of(&entry, &vault.store.salted(&entry.id));
        assert!(view.get("d/e").await.unwrap().is_some());
        vault.write(&vault.root, "revoke", json!({"token": token})).await.unwrap();
        assert!(view.list("").await.unwrap().is_empty());
    }
}
