//! The keys: how they come about, and who finds which by what name.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::ACCOUNT;
use super::blob::random;

/// A key to be created: symmetric, for encryption, of one region and of [`ACCOUNT`], unless it is told otherwise.
#[derive(Clone, Debug)]
pub struct NewKey {
    region: String,
    account: String,
    multi_region: bool,
    usage: String,
    spec: String,
}

impl NewKey {
    /// A key of that region.
    pub fn new(region: &str) -> NewKey {
        NewKey {
            region: region.to_owned(),
            account: ACCOUNT.to_owned(),
            multi_region: false,
            usage: "ENCRYPT_DECRYPT".to_owned(),
            spec: "SYMMETRIC_DEFAULT".to_owned(),
        }
    }

    /// Of that account.
    #[must_use]
    pub fn account(mut self, account: &str) -> NewKey {
        account.clone_into(&mut self.account);
        self
    }

    /// One that can be replicated to other regions.
    #[must_use]
    pub fn multi_region(mut self) -> NewKey {
        self.multi_region = true;
        self
    }

    /// For something else than encryption, such as `SIGN_VERIFY`, or of another kind, such as `RSA_4096`.
    #[must_use]
    pub fn for_use(mut self, usage: &str, spec: &str) -> NewKey {
        (self.usage, self.spec) = (usage.to_owned(), spec.to_owned());
        self
    }
}

/// A key.
#[derive(Clone, Debug)]
pub(super) struct Key {
    new: NewKey,
    /// A UUID, or `mrk-` and as much; replicas share it.
    pub(super) id: String,
    pub(super) state: String,
    /// Where it was replicated from.
    primary: Option<String>,
    /// By their numbers; the last one encrypts.
    pub(super) materials: BTreeMap<u32, [u8; 32]>,
    /// Other accounts that may use it.
    pub(super) shared: Vec<String>,
}

impl Key {
    pub(super) fn arn(&self) -> String {
        format!("arn:aws:kms:{}:{}:key/{}", self.new.region, self.new.account, self.id)
    }

    pub(super) fn usage(&self) -> &str {
        &self.new.usage
    }
}

/// Who calls, and where.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) account: String,
    pub(super) region: String,
}

/// An error as KMS answers it.
#[derive(Debug)]
pub(super) struct Refusal {
    code: &'static str,
    message: String,
}

impl Refusal {
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Refusal {
        Refusal { code, message: message.into() }
    }

    pub(super) fn answer(self) -> (u16, Value) {
        let member = if self.code == "AccessDeniedException" { "Message" } else { "message" };
        (400, json!({"__type": self.code, member: self.message}))
    }
}

/// All keys of all regions and accounts.
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// By ARN.
    keys: BTreeMap<String, Key>,
    /// The ARN of the key, by that of the alias.
    aliases: BTreeMap<String, String>,
    /// Accounts by access key.
    pub(super) callers: BTreeMap<String, String>,
    materials: u32,
}

impl Keys {
    pub(super) fn caller(&self, access_key: &str, region: &str) -> Caller {
        let account = self.callers.get(access_key).map_or(ACCOUNT, String::as_str);
        Caller { account: account.to_owned(), region: region.to_owned() }
    }

    pub(super) fn create(&mut self, new: NewKey) -> String {
        let bytes = hex(&random::<16>());
        let parts: Vec<&str> = [0..8, 8..12, 12..16, 16..20, 20..32].into_iter().filter_map(|part| bytes.get(part)).collect();
        let id = if new.multi_region { format!("mrk-{bytes}") } else { parts.join("-") };
        let key = Key { new, id, state: "Enabled".to_owned(), primary: None, materials: BTreeMap::new(), shared: Vec::new() };
        let arn = key.arn();
        self.keys.insert(arn.clone(), key);
        self.add_material(&arn);
        arn
    }

    pub(super) fn replicate(&mut self, arn: &str, region: &str) -> String {
        let mut replica = self.key(arn).clone();
        assert!(replica.new.multi_region, "{arn} is no multi-Region key");
        replica.new.region = region.to_owned();
        replica.primary.get_or_insert_with(|| arn.to_owned());
        let arn = replica.arn();
        self.keys.insert(arn.clone(), replica);
        arn
    }

    pub(super) fn alias(&mut self, name: &str, arn: &str) {
        assert!(name.starts_with("alias/"), "an alias begins with alias/: {name}");
        let NewKey { region, account, .. } = &self.key(arn).new;
        let alias = format!("arn:aws:kms:{region}:{account}:{name}");
        self.aliases.insert(alias, arn.to_owned());
    }

    /// A key that a test created.
    ///
    /// # Panics
    ///
    /// If it did not.
    #[expect(clippy::panic, reason = "a mistake of the test")]
    pub(super) fn key(&mut self, arn: &str) -> &mut Key {
        let Some(key) = self.keys.get_mut(arn) else { panic!("there is no key {arn}") };
        key
    }

    pub(super) fn delete(&mut self, arn: &str) {
        self.keys.remove(arn);
    }

    /// Gives a key and its replicas a new material.
    pub(super) fn add_material(&mut self, arn: &str) {
        self.materials += 1;
        let (number, material) = (self.materials, random());
        let id = self.key(arn).id.clone();
        for key in self.keys.values_mut().filter(|key| key.id == id) {
            key.materials.insert(number, material);
        }
    }

    /// The ARN under which a caller's `KeyId` leads to a key, whether or not there is one.
    fn resolve(&self, caller: &Caller, key_id: &str) -> Result<String, Refusal> {
        let Caller { account, region } = caller;
        let name = if key_id.starts_with("arn:") {
            if key_id.split(':').nth(3) != Some(region.as_str()) {
                return Err(Refusal::new("NotFoundException", format!("Invalid arn {}", key_id.split(':').nth(3).unwrap_or_default())));
            }
            key_id.to_owned()
        } else if key_id.starts_with("alias/") {
            format!("arn:aws:kms:{region}:{account}:{key_id}")
        } else {
            format!("arn:aws:kms:{region}:{account}:key/{key_id}")
        };
        if !name.contains(":alias/") {
            return Ok(name);
        }
        let found = self.aliases.get(&name).cloned();
        found.ok_or_else(|| Refusal::new("NotFoundException", format!("Alias {name} is not found.")))
    }

    /// The key that a caller means, if it may use it for this operation.
    pub(super) fn find(&self, caller: &Caller, key_id: &str, operation: &str) -> Result<&Key, Refusal> {
        let arn = self.resolve(caller, key_id)?;
        let known = self.keys.get(&arn).filter(|key| key.new.account == caller.account || key.shared.contains(&caller.account));
        match known {
            Some(key) => Ok(key),
            // Of another account's key one does not even learn whether it exists.
            None if !arn.contains(&format!(":{}:", caller.account)) => Err(denied(caller, operation, &arn)),
            None => Err(Refusal::new("NotFoundException", format!("Key '{arn}' does not exist"))),
        }
    }

    /// An error of the script.
    pub(super) fn scripted(&self, caller: &Caller, code: &'static str, operation: &str, body: &Value) -> Refusal {
        if code != "AccessDeniedException" {
            return Refusal::new(code, "by the test's script");
        }
        let key_id = body["KeyId"].as_str().unwrap_or("*");
        denied(caller, operation, &self.resolve(caller, key_id).unwrap_or_else(|_| key_id.to_owned()))
    }

    /// What DescribeKey tells.
    pub(super) fn metadata(&self, key: &Key) -> Value {
        let NewKey { region, account, multi_region, usage, spec } = &key.new;
        let mut found = json!({
            "AWSAccountId": account, "KeyId": key.id, "Arn": key.arn(), "CreationDate": 1_760_000_000.5, "Enabled": key.state == "Enabled",
            "Description": "", "KeyUsage": usage, "KeyState": key.state, "Origin": "AWS_KMS", "KeyManager": "CUSTOMER",
            "CustomerMasterKeySpec": spec, "KeySpec": spec, "MultiRegion": multi_region,
        });
        if usage == "ENCRYPT_DECRYPT" {
            found["EncryptionAlgorithms"] = json!([spec]);
        }
        if key.state == "PendingDeletion" {
            found["DeletionDate"] = json!(1_800_000_000.0);
        }
        if *multi_region {
            let primary = key.primary.clone().unwrap_or_else(|| key.arn());
            let all: Vec<_> = self.keys.values().filter(|one| one.id == key.id && one.arn() != primary).collect();
            let place = |arn: &str| json!({"Arn": arn, "Region": arn.split(':').nth(3)});
            found["MultiRegionConfiguration"] = json!({
                "MultiRegionKeyType": if key.primary.is_some() { "REPLICA" } else { "PRIMARY" },
                "PrimaryKey": place(&primary),
                "ReplicaKeys": all.iter().map(|one| json!({"Arn": one.arn(), "Region": one.new.region})).collect::<Vec<_>>(),
            });
            debug_assert!(found["MultiRegionConfiguration"]["PrimaryKey"]["Region"].is_string(), "{region}");
        }
        found
    }
}

fn denied(caller: &Caller, operation: &str, arn: &str) -> Refusal {
    Refusal::new(
        "AccessDeniedException",
        format!(
            "User: arn:aws:iam::{}:user/test is not authorized to perform: kms:{operation} on resource: {arn} because no identity-based policy allows the kms:{operation} action",
            caller.account
        ),
    )
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
