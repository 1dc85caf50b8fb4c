//! What bao 2.7.2 stored is read, and written back byte for byte.

use super::super::role::Role;
use super::super::secret::Secret;
use super::*;
use crate::auth::stored;

const SALT: &str = "853baa32-9b40-711d-3463-c7b88bcdec5a";
const ROLE: &str = concat!(
    r#"{"token_bound_cidrs":["10.0.0.0/8"],"token_explicit_max_ttl":0,"token_max_ttl":0,"token_no_default_policy":false,"token_num_uses":0,"#,
    r#""token_period":0,"token_policies":["p"],"token_type":0,"token_ttl":0,"token_strictly_bind_ip":false,"role_id":"rid3","#,
    r#""hmac_key":"0804f9f0-4f72-5acd-7ecc-197f47d92fa6","policies":null,"secret_id_num_uses":0,"secret_id_ttl":0,"bind_secret_id":true,"#,
    r#""bound_cidr_list_list":null,"secret_id_bound_cidrs":null,"period":0,"lower_case_role_name":true,"secret_id_prefix":"secret_id/"}"#,
    "\n"
);
/// Of the secret id `sid`.
const SECRET: &str = concat!(
    r#"{"secret_id_accessor":"ec529752-5f5e-f027-004a-8eb1b9b6bee5","secret_id_num_uses":0,"secret_id_ttl":0,"#,
    r#""creation_time":"2026-11-22T18:25:59.410527258Z","expiration_time":"0001-01-01T00:00:00Z","#,
    r#""last_updated_time":"2026-11-22T18:25:59.410527258Z","metadata":{},"cidr_list":[],"token_cidr_list":[],"SecretIDNumUses":0}"#,
    "\n"
);
const SECRET_KEY: &str = concat!(
    "secret_id/14d26f9d91b6fba57fb0db30b2a4a67213d4303cbb305079cb68308829da6058/",
    "17dea96fc9aedd23736cda0787ddaebe16e6b15d9acee78e132c5dc92b532209"
);
const STORE: [(&str, &str); 5] = [
    ("salt", SALT),
    ("role/r3", ROLE),
    ("role_id/98ec576ad113f385391ce5eaa7b6be8e86e07736bce619cb1710dae93ef2a921", "{\"name\":\"r3\"}\n"),
    (
        "accessor/154f6eef6da7c9381b22795524db27f817c8c4b3755df09d46b7e86a6adf8d74",
        "{\"secret_id_hmac\":\"17dea96fc9aedd23736cda0787ddaebe16e6b15d9acee78e132c5dc92b532209\"}\n",
    ),
    (SECRET_KEY, SECRET),
];

/// A mount with the store of the reference.
async fn imported() -> Mount {
    let mount = Mount::new().await;
    for (key, value) in STORE {
        mount.view.put(key, value.as_bytes()).await.unwrap();
    }
    mount.reopened().await
}

#[tokio::test]
async fn a_role_and_its_secret_id_of_the_reference_log_in() {
    let mount = imported().await;
    let login = mount.log_in("rid3", "sid").await.unwrap();
    assert_eq!((login.policies, login.bound_cidrs), (vec!["p".to_owned()], vec!["10.0.0.0/8".to_owned()]));
    assert_eq!(login.metadata, [("role_name".to_owned(), "r3".to_owned())].into());
    assert_eq!(Value::Object(login.internal_data), json!({"role_name": "r3"}));
    assert_eq!((login.alias.as_str(), login.role.as_str()), ("rid3", "r3"));
    let shown = mount.write("role/r3/secret-id-accessor/lookup", json!({"secret_id_accessor": "ec529752-5f5e-f027-004a-8eb1b9b6bee5"}));
    let shown = data(shown.await.unwrap());
    assert_eq!(shown["creation_time"], "2026-11-22T18:25:59.410527258Z");
}

#[tokio::test]
async fn what_the_reference_stored_is_written_back_byte_for_byte() {
    let mount = imported().await;
    let role = mount.method.role("r3").await.unwrap().unwrap();
    assert_eq!(String::from_utf8(stored::encode(&role).unwrap().to_vec()).unwrap(), ROLE);
    let secret = mount.method.secret_at(SECRET_KEY).await.unwrap().unwrap();
    assert_eq!(String::from_utf8(stored::encode(&secret).unwrap().to_vec()).unwrap(), SECRET);
    // A change of one member changes no other.
    mount.write("role/r3", json!({"token_ttl": "1h"})).await.unwrap();
    let bytes = mount.view.get("role/r3").await.unwrap().unwrap();
    assert_eq!(String::from_utf8(bytes.to_vec()).unwrap(), ROLE.replace(r#""token_ttl":0"#, r#""token_ttl":3600000000000"#));
}

#[tokio::test]
async fn a_new_role_and_secret_id_are_stored_as_the_reference_does() {
    let mount = imported().await;
    mount.write("role/Q", json!({"token_policies": ["b", "a"], "local_secret_ids": true})).await.unwrap();
    mount.secret("q", "x", json!({"metadata": r#"{"a":"<b>"}"#, "num_uses": 3})).await;
    let role = mount.view.get("role/q").await.unwrap().unwrap();
    let mut role = String::from_utf8(role.to_vec()).unwrap();
    let stored: Role = mount.method.role("q").await.unwrap().unwrap();
    for (random, name) in [(&stored.role_id, "ROLE"), (&stored.hmac_key, "KEY")] {
        assert_eq!(random.len(), 36);
        role = role.replace(random.as_str(), name);
    }
    let expected = ROLE
        .replace(r#"["10.0.0.0/8"]"#, "null")
        .replace(r#"["p"]"#, r#"["b","a"]"#)
        .replace("rid3", "ROLE")
        .replace("0804f9f0-4f72-5acd-7ecc-197f47d92fa6", "KEY")
        .replace("secret_id/", "secret_id_local/");
    assert_eq!(role, expected);
    let folders = mount.view.list("secret_id_local/").await.unwrap();
    let [folder] = folders.as_slice() else { panic!("{folders:?}") };
    let hmac = hex::encode(crypto::hmac_sha256(stored.hmac_key.as_bytes(), &[b"q"]));
    assert_eq!(*folder, format!("{hmac}/"));
    assert_eq!(mount.view.list("accessor_local/").await.unwrap().len(), 1);
    let key = format!("secret_id_local/{folder}{}", hex::encode(crypto::hmac_sha256(stored.hmac_key.as_bytes(), &[b"x"])));
    let secret = mount.view.get(&key).await.unwrap().unwrap();
    let secret = String::from_utf8(secret.to_vec()).unwrap();
    assert!(secret.contains(r#""metadata":{"a":"\u003cb\u003e"},"cidr_list":[],"token_cidr_list":[],"SecretIDNumUses":0}"#), "{secret}");
    assert!(secret.ends_with("}\n"));
}

#[tokio::test]
async fn what_other_servers_keep_stays_and_old_members_count() {
    let mount = imported().await;
    let old = ROLE
        .replace(r#""bound_cidr_list_list":null"#, r#""bound_cidr_list":"10.0.0.0/8, 127.0.0.0/8","bound_cidr_list_list":null"#)
        .replace(r#""policies":null"#, r#""policies":["old"]"#)
        .replace(r#""token_policies":["p"]"#, r#""token_policies":null"#)
        .replace(r#""token_type":0"#, r#""token_type":"service""#)
        .replace(r#""period":0,"lower"#, r#""period":60000000000,"new_member":[1.50],"lower"#);
    mount.view.put("role/r3", old.as_bytes()).await.unwrap();
    let shown = mount.read("role/r3").await;
    assert_eq!(shown["secret_id_bound_cidrs"], json!(["10.0.0.0/8", "127.0.0.0/8"]));
    assert_eq!((&shown["token_policies"], &shown["token_period"], &shown["token_type"]), (&json!(["old"]), &json!(60), &json!("service")));
    mount.write("role/r3", json!({"token_num_uses": 1})).await.unwrap();
    let bytes = mount.view.get("role/r3").await.unwrap().unwrap();
    assert!(String::from_utf8(bytes.to_vec()).unwrap().contains(r#""new_member":[1.50]"#));

    // The smaller of two limits.
    mount.view.put(SECRET_KEY, SECRET.replace(r#""SecretIDNumUses":0"#, r#""SecretIDNumUses":2"#).as_bytes()).await.unwrap();
    let secret: Secret = mount.method.secret_at(SECRET_KEY).await.unwrap().unwrap();
    assert_eq!(secret.secret_id_num_uses, 2);
}

#[tokio::test]
async fn a_damaged_entry_is_an_error_and_not_a_missing_one() {
    let mount = imported().await;
    for key in ["role/r3", SECRET_KEY] {
        let before = mount.view.get(key).await.unwrap().unwrap();
        mount.view.put(key, b"{\"role_id\":").await.unwrap();
        let damaged = mount.log_in("rid3", "sid").await.unwrap_err();
        assert!(matches!(&damaged, Error::Damaged(text) if text.contains(key)), "{damaged:?}");
        mount.view.put(key, &before).await.unwrap();
    }
    mount.log_in("rid3", "sid").await.unwrap();
}
