//! A storage and a seal that reach a service by the grant `aws`, and the service, in memory.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use cofferdam_backend::{
    Descriptor, Entry, Error, Features, Folder, Key, Limits, Operation, Page, Result, ScanPage, Seal, Storage, Wrapped,
};
use cofferdam_runtime::{Aws, AwsCall, AwsResponse, AwsSendError, KeyAnswered, KeyAsked, KeyCall, Purpose, World};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::{Info, OpenWith, OpenedSeal, OpenedStorage, Subject, SubjectError};

const TIME: Duration = Duration::from_secs(60);
pub(super) const ARN: &str = "arn:aws:kms:eu-west-1:111122223333:key/1";

/// The service: entries, and wrapped keys.
#[derive(Default)]
pub(super) struct Service {
    entries: Mutex<BTreeMap<String, String>>,
    keys: Mutex<BTreeMap<String, String>>,
    pub(super) asked: Mutex<Vec<String>>,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Service")
    }
}

#[async_trait]
impl Aws for Service {
    fn describe(&self) -> String {
        "a service".to_owned()
    }

    async fn send(&self, call: &mut AwsCall, operation: &str, body: Vec<u8>) -> Result<AwsResponse, AwsSendError> {
        tokio::task::yield_now().await;
        let body: Value = serde_json::from_slice(&body).unwrap();
        self.asked.lock().unwrap().push(operation.to_owned());
        let text = |name: &str| body[name].as_str().unwrap().to_owned();
        let mut entries = self.entries.lock().unwrap();
        let answer = match operation {
            "Get" => json!({ "value": entries.get(&text("key")) }),
            "Put" => json!({ "replaced": entries.insert(text("key"), text("value")).is_some() }),
            "Delete" => json!({ "removed": entries.remove(&text("key")).is_some() }),
            "Keys" => json!({ "entries": entries.iter().collect::<Vec<_>>() }),
            "Encrypt" => {
                let mut keys = self.keys.lock().unwrap();
                let blob = STANDARD.encode(format!("the wrapped key number {:09}.", keys.len()));
                keys.insert(blob.clone(), text("Plaintext"));
                let wrapped = Wrapped { blob: STANDARD.decode(&blob).unwrap().into(), key_id: ARN.to_owned() };
                call.key.as_mut().unwrap().answered = Some(KeyAnswered::Wrapped(wrapped));
                json!({ "CiphertextBlob": blob, "KeyId": ARN })
            }
            "Decrypt" => match self.keys.lock().unwrap().get(&text("CiphertextBlob")) {
                Some(plain) => {
                    let key = STANDARD.decode(plain).unwrap();
                    call.key.as_mut().unwrap().answered = Some(KeyAnswered::Plain(Zeroizing::new(key)));
                    json!({ "Plaintext": plain })
                }
                None => {
                    call.key.as_mut().unwrap().trouble = Some("no such key".to_owned());
                    return Ok(AwsResponse { status: 400, headers: Vec::new(), body: "{}".into() });
                }
            },
            other => return Err(AwsSendError::Refused(format!("no such operation: {other}"))),
        };
        Ok(AwsResponse { status: 200, headers: vec![("x-amzn-errortype".to_owned(), "none".to_owned())], body: answer.to_string().into() })
    }
}

/// What asks it.
#[derive(Clone)]
pub(super) struct Remote {
    pub(super) aws: Arc<dyn Aws>,
    /// What is sent with each request beside what is asked.
    pub(super) token: Option<String>,
    pub(super) info: Info,
    pub(super) descriptor: Descriptor,
}

impl Remote {
    pub(super) fn new(aws: Arc<dyn Aws>, world: World) -> Remote {
        let limits = Limits { key: 2_000, segment: 1_000, value: 100_000, batch_operations: 100, batch_bytes: 1_000_000 };
        let descriptor = Descriptor { name: "remote".to_owned(), version: "1".to_owned(), features: Features::default(), limits };
        Remote { aws, token: None, info: Info::new("remote.wasm", world), descriptor }
    }

    async fn ask(&self, purpose: Purpose, operation: &str, mut body: Value, key: Option<KeyCall>) -> Result<(Value, Option<KeyCall>)> {
        if let Some(token) = &self.token {
            body["token"] = json!(token);
        }
        let mut call = AwsCall { key, ..AwsCall::new(purpose, TIME) };
        let answer = self.aws.send(&mut call, operation, body.to_string().into_bytes()).await;
        match answer {
            Ok(answer) if answer.status == 200 => Ok((serde_json::from_slice(&answer.body).unwrap(), call.key)),
            Ok(_) => Err(Error::Corrupt(call.key.and_then(|key| key.trouble).unwrap_or_default())),
            Err(error) => Err(Error::Denied(format!("{error:?}"))),
        }
    }

    async fn all(&self) -> Result<BTreeMap<String, Bytes>> {
        let (answer, _) = self.ask(Purpose::Read, "Keys", json!({}), None).await?;
        let entries: Vec<(String, String)> = serde_json::from_value(answer["entries"].clone()).unwrap();
        Ok(entries.into_iter().map(|(key, value)| (key, STANDARD.decode(value).unwrap().into())).collect())
    }
}

#[async_trait]
impl Storage for Remote {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    async fn get(&self, key: &Key) -> Result<Option<Bytes>> {
        let (answer, _) = self.ask(Purpose::Read, "Get", json!({ "key": key.as_str() }), None).await?;
        Ok(answer["value"].as_str().map(|value| STANDARD.decode(value).unwrap().into()))
    }

    async fn put(&self, key: &Key, value: Bytes) -> Result<()> {
        let body = json!({ "key": key.as_str(), "value": STANDARD.encode(value) });
        self.ask(Purpose::Mutation, "Put", body, None).await.map(drop)
    }

    async fn delete(&self, key: &Key) -> Result<()> {
        self.ask(Purpose::Mutation, "Delete", json!({ "key": key.as_str() }), None).await.map(drop)
    }

    async fn list_page(&self, folder: &Folder, after: &str, limit: u32) -> Result<Page> {
        let all = self.all().await?;
        let below = all.keys().filter_map(|key| key.strip_prefix(folder.as_str())).filter_map(|rest| rest.split_inclusive('/').next());
        let names: std::collections::BTreeSet<&str> = below.filter(|name| *name > after).collect();
        let limit = limit as usize;
        Ok(Page { more: names.len() > limit, names: names.into_iter().take(limit).map(str::to_owned).collect() })
    }

    async fn batch(&self, operations: Vec<Operation>) -> Result<()> {
        for operation in operations {
            match operation {
                Operation::Put(key, value) => self.put(&key, value).await?,
                Operation::Delete(key) => self.delete(&key).await?,
            }
        }
        Ok(())
    }

    async fn scan(&self, segment: u32, _: u32, cursor: Option<Bytes>, limit: u32) -> Result<ScanPage> {
        if segment > 0 {
            return Ok(ScanPage::default());
        }
        let after = cursor.map(|cursor| String::from_utf8_lossy(&cursor).into_owned()).unwrap_or_default();
        let rest = self.all().await?.into_iter().filter(|(key, _)| *key > after);
        let mut entries: Vec<Entry> = rest.map(|(key, value)| Entry { key, value }).collect();
        let more = entries.len() > limit as usize;
        entries.truncate(limit as usize);
        let cursor = entries.last().filter(|_| more).map(|last| last.key.clone().into());
        Ok(ScanPage { entries, cursor })
    }

    fn forget(&self) {}
}

#[async_trait]
impl Seal for Remote {
    async fn wrap(&self, dek: &[u8; 32]) -> Result<Wrapped> {
        let key = KeyCall::new(KeyAsked::Wrap(Zeroizing::new(*dek)));
        let (answer, key) = self.ask(Purpose::Wrap, "Encrypt", json!({ "Plaintext": STANDARD.encode(dek) }), Some(key)).await?;
        let blob = STANDARD.decode(answer["CiphertextBlob"].as_str().unwrap()).unwrap();
        let Some(KeyAnswered::Wrapped(seen)) = key.unwrap().answered else { return Err(Error::Breach("key: none".to_owned())) };
        assert!(seen.blob == blob && seen.key_id == answer["KeyId"]);
        Ok(Wrapped { blob: blob.into(), key_id: answer["KeyId"].as_str().unwrap().to_owned() })
    }

    async fn unwrap(&self, wrapped: &Wrapped, dek: &mut [u8; 32]) -> Result<()> {
        let key = KeyCall::new(KeyAsked::Unwrap { wrapped: wrapped.clone(), direct: false });
        let body = json!({ "CiphertextBlob": STANDARD.encode(&wrapped.blob) });
        let (answer, key) = self.ask(Purpose::Unwrap, "Decrypt", body, Some(key)).await?;
        let plain = STANDARD.decode(answer["Plaintext"].as_str().unwrap()).unwrap();
        let Some(KeyAnswered::Plain(seen)) = key.unwrap().answered else { return Err(Error::Breach("key: none".to_owned())) };
        assert_eq!(*seen, plain);
        *dek = plain.try_into().unwrap();
        Ok(())
    }

    async fn unwrap_direct(&self, _: &Wrapped) -> Result<Zeroizing<Vec<u8>>> {
        Err(Error::Unsupported("direct".to_owned()))
    }

    async fn key_id(&self) -> Result<String> {
        // As the tape has it, too: who asks sees no account.
        let wrapped = self.wrap(&[1; 32]).await?;
        Ok(wrapped.key_id)
    }

    async fn health(&self) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl Subject for Remote {
    fn info(&self) -> &Info {
        &self.info
    }

    async fn storage(&self, open: OpenWith) -> Result<OpenedStorage, SubjectError> {
        if open.fresh {
            self.wipe().await?;
        }
        Ok(OpenedStorage { storage: Arc::new(self.clone()), lock: None, backend: None })
    }

    async fn seal(&self, _: OpenWith) -> Result<OpenedSeal, SubjectError> {
        Ok(OpenedSeal { seal: Arc::new(self.clone()), backend: None })
    }

    async fn wipe(&self) -> Result<(), SubjectError> {
        if self.info.world == World::Seal { Ok(()) } else { Ok(crate::own::empty(self).await?) }
    }
}
