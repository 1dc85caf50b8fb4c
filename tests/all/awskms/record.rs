//! Who sees what: every byte that enters or leaves the storage's guest and the seal's guest is recorded while a vault is initialised, written, opened again, rotated and rekeyed. In
//! neither record is the root key, the recovery key or a stored secret; the data-encryption keys (DEKs) are in the seal's alone.
//!
//! The same search finds what was planted. And the two records together give the root key, which is how this test knows it: two guests that work together are not defended against.

mod tape;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cofferdam_backend::{Seal, Storage};
use cofferdam_emulator::Kms;
use cofferdam_runtime::SealBackend;
use cofferdam_vault::core::{Core, InitRequest, Options, RekeyAnswer, RekeyRequest, ShareRequest, Target};
use cofferdam_vault::logical;
use cofferdam_vault::seal::{AutoSeal, SealOptions};
use serde_json::{Value, json};

use self::tape::{Record, Watched};
use super::{Opening, binding, kms, open_through};
use crate::conformance::key;
use crate::filesystem;
use crate::ha::cluster::request;

const MONTH: Duration = Duration::from_secs(768 * 3_600);

/// A vault on both guests of the release, watched.
struct Ground {
    kms: Kms,
    storage: Arc<Watched<dyn Storage>>,
    seal: Arc<Watched<SealBackend>>,
}

impl Ground {
    async fn new(directory: &Path) -> Ground {
        let (kms, _) = kms().await;
        let (stored, sealed) = (Record::default(), Record::default());
        let opening = Opening::default();
        let aws = Watched::new(binding(kms.endpoint(), &opening).await, &sealed);
        let seal = Watched::new(open_through(aws, &opening).await.unwrap(), &sealed);
        Ground { kms, storage: Watched::new(filesystem::guest(directory).await, &stored), seal }
    }

    fn core(&self) -> Arc<Core> {
        let seal = AutoSeal {
            kind: "awskms".to_owned(),
            name: "awskms".to_owned(),
            backend: Arc::clone(&self.seal) as Arc<dyn Seal>,
            allow_direct_blob: false,
        };
        let options = Options {
            default_lease_ttl: MONTH,
            max_lease_ttl: MONTH,
            api_addr: String::new(),
            cluster_addr: String::new(),
            cluster_name: None,
            storage_type: "filesystem".to_owned(),
            version: "1.2.3".to_owned(),
            build_date: String::new(),
            cache: true,
            ha: None,
            seal: SealOptions { seals: vec![seal], ..SealOptions::default() },
            audit: Default::default(),
            lockout: cofferdam_vault::lockout::LockoutOptions::default(),
            sts: None,
        };
        Core::new(Arc::clone(&self.storage) as Arc<dyn Storage>, options)
    }

    /// A core on what is stored, once it has unsealed itself.
    async fn unsealed(&self) -> Arc<Core> {
        let core = self.core();
        core.start();
        for _ in 0..6_000 {
            if !core.seal_status().await.unwrap().sealed {
                return core;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the vault does not unseal: {:?}", core.seal_status().await);
    }

    /// Every root key there has been: what both records together give.
    fn root_keys(&self) -> Vec<Vec<u8>> {
        let deks = self.seal.record.inner().deks.clone();
        let blobs = self.storage.record.inner().stored_keys.clone();
        let mut keys: Vec<_> = blobs.iter().map(|blob| root_key(blob, &deks)).collect();
        keys.dedup();
        keys
    }
}

/// The root key in a blob that one of these keys opens.
fn root_key(blob: &[u8], deks: &[[u8; 32]]) -> Vec<u8> {
    let (sealed, iv) = (field(blob, 1).unwrap(), field(blob, 2).unwrap());
    let opened = deks.iter().find_map(|dek| cofferdam_vault::crypto::gcm_open(dek, iv.try_into().unwrap(), &[], sealed).unwrap().ok());
    let keys: Vec<String> = serde_json::from_slice(&opened.expect("none of the keys opens what is stored")).unwrap();
    STANDARD.decode(&keys[0]).unwrap()
}

/// A field of bytes of a protobuf message that has no other fields.
fn field(mut message: &[u8], wanted: u8) -> Option<&[u8]> {
    let varint = |message: &mut &[u8]| {
        let (mut value, mut shift) = (0_usize, 0);
        while let Some((byte, rest)) = message.split_first() {
            *message = rest;
            value |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        value
    };
    while !message.is_empty() {
        let tag = varint(&mut message);
        assert_eq!(tag & 7, 2, "a field of bytes");
        let length = varint(&mut message);
        let (value, rest) = message.split_at(length);
        if tag >> 3 == usize::from(wanted) {
            return Some(value);
        }
        message = rest;
    }
    None
}

async fn call(core: &Arc<Core>, token: &str, operation: logical::Operation, path: &str, body: Value) -> Value {
    core.handle(request(token, operation, path, body)).await.unwrap().data.map_or(Value::Null, Value::Object)
}

/// Rekeys with one share to one share; the new share, if there is one.
async fn rekey(core: &Arc<Core>, target: Target, share: &str) -> Option<String> {
    let request = RekeyRequest { secret_shares: 1, secret_threshold: 1, ..RekeyRequest::default() };
    let RekeyAnswer::Progress(begun) = core.rekey_begin(target, request).await.unwrap() else { panic!("it ended before it began") };
    let request = ShareRequest { key: share.to_owned().into(), nonce: begun.nonce };
    let RekeyAnswer::Complete(done) = core.rekey_update(target, request).await.unwrap() else { panic!("one share is enough") };
    done.keys.first().map(|key| key.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_guest_sees_the_root_key_and_only_the_seals_sees_deks() {
    use logical::Operation::{Read, Update};
    let directory = filesystem::directory();
    let ground = Ground::new(directory.path()).await;
    let secret = "a stored secret, which nobody but its owner should see";
    // Init.
    let core = ground.core();
    let request = InitRequest { recovery_shares: 1, recovery_threshold: 1, ..InitRequest::default() };
    let made = core.initialize(request).await.unwrap();
    let (token, recovery) = (made.root_token.to_string(), made.recovery_keys.unwrap()[0].to_string());
    core.shutdown().await;
    // Unseal.
    let core = ground.unsealed().await;
    call(&core, &token, Update, "sys/mounts/s", json!({"type": "kv"})).await;
    call(&core, &token, Update, "s/x", json!({"value": secret})).await;
    // Rotate, and rekey both keys.
    call(&core, &token, Update, "sys/rotate", Value::Null).await;
    let replaced = rekey(&core, Target::Recovery, &recovery).await.expect("a new recovery key");
    assert_eq!(rekey(&core, Target::Root, &replaced).await, None, "the service has the root key");
    core.shutdown().await;
    let core = ground.unsealed().await;
    assert_eq!(call(&core, &token, Read, "s/x", Value::Null).await["value"], secret);
    core.shutdown().await;

    let (stored, sealed) = (&ground.storage.record, &ground.seal.record);
    let roots = ground.root_keys();
    assert!(roots.len() >= 2 && roots.iter().all(|root| root.len() == 32), "before and after the rekey: {} root keys", roots.len());
    let recoveries = [&recovery, &replaced].map(|key| hex::decode(key).unwrap());
    assert_ne!(recoveries[0], recoveries[1]);
    let mut secrets: Vec<(&str, Vec<u8>)> = roots.into_iter().map(|root| ("a root key", root)).collect();
    secrets.extend(recoveries.into_iter().map(|key| ("a recovery key", key)));
    secrets.extend([("the stored secret", secret.into()), ("the root token", token.into())]);
    for (what, secret) in secrets {
        assert_eq!(stored.holds(&secret), [""; 0], "{what} is in what the storage's guest saw");
        assert_eq!(sealed.holds(&secret), [""; 0], "{what} is in what the seal's guest saw");
    }
    let deks = sealed.inner().deks.clone();
    assert!(deks.len() >= 6, "two at init, two at each rekey, and those of the unseals: {}", deks.len());
    for dek in deks {
        let seen = sealed.holds(dek);
        assert!(seen.contains(&"raw") && seen.contains(&"base64"), "the search finds what is there: {seen:?}");
        assert_eq!(stored.holds(dek), [""; 0], "a DEK is in what the storage's guest saw");
    }
    assert!(ground.kms.count("Encrypt") >= 4 && ground.kms.count("Decrypt") >= 2, "{:?}", ground.kms.counts());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_planted_is_found() {
    let directory = filesystem::directory();
    let ground = Ground::new(directory.path()).await;
    let planted: Vec<u8> = (0..32_u8).map(|byte| byte.wrapping_mul(37) ^ 0x5c).collect();
    let (stored, sealed) = (&ground.storage.record, &ground.seal.record);
    assert_eq!((stored.holds(&planted), sealed.holds(&planted)), (Vec::new(), Vec::new()));
    for (name, value, form) in [
        ("raw", planted.clone(), "raw"),
        ("hex", hex::encode(&planted).into_bytes(), "hex"),
        ("base64", STANDARD.encode(&planted).into_bytes(), "base64"),
    ] {
        ground.storage.put(&key(&format!("planted/{name}")), [b"before", &value[..], b"after"].concat().into()).await.unwrap();
        assert!(stored.holds(&planted).contains(&form), "{form}");
    }
    stored.inner().bytes.clear();
    assert!(ground.storage.get(&key("planted/raw")).await.unwrap().is_some());
    assert!(stored.holds(&planted).contains(&"raw"), "what leaves the guest is recorded, too");
    assert_eq!(sealed.holds(&planted), [""; 0], "the records are apart");
    let wrapped = ground.seal.wrap(planted[..].try_into().unwrap()).await.unwrap();
    assert!(sealed.holds(&planted).contains(&"raw") && sealed.holds(&planted).contains(&"base64"), "what it was given, and what it sent");
    sealed.inner().bytes.clear();
    ground.seal.unwrap(&wrapped, &mut [0; 32]).await.unwrap();
    assert!(
        sealed.holds(&planted).contains(&"raw") && sealed.holds(&planted).contains(&"base64"),
        "what it returned, and what it was answered"
    );
}
