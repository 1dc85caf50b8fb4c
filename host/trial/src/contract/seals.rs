//! Seals: what is wrapped comes back, what was tampered with does not, and the guest does with a key what it was asked and nothing else.
//!
//! Keys of these checks are made up and protect nothing. None of them, and no wrapped key, is in a script.

use std::time::Duration;

use cofferdam_backend::{Error, Seal, Wrapped};
use cofferdam_runtime::BreachKind;
use proptest::prelude::Rng as _;

use crate::case::case;
use crate::case::ensure;
use crate::report::Value;
use crate::store::said;
use crate::{Case, Ended, Ground, OpenWith, OpenedSeal, Verdict};

pub(super) const CASES: &[Case] = &[
    case!("contract/seal-health", "The seal answers, and says which key it uses", health),
    case!("contract/seal-round-trip", "Every key that is wrapped comes back", round_trip),
    case!("contract/seal-tampering", "A wrapped key of which any byte was changed is refused", tampering),
    case!("contract/seal-length", "A wrapped key that is cut short, extended, or something else altogether is refused", lengths),
    case!(
        "contract/seal-key-id",
        "A wrapped key names its key, and under another key's name it does not come back as another key",
        key_ids
    ),
    case!(
        "contract/seal-rotation",
        "What was wrapped before comes back after the backend is opened anew, whatever key it uses now",
        rotation
    ),
    case!("contract/seal-together", "Wraps and unwraps that run at the same time do not mix up their keys", together),
    case!("contract/seal-oversized", "After the largest wrapped key that the contract knows, of rubbish, the seal works on", oversized),
    case!(
        "contract/seal-split-knowledge",
        "The guest hands on what the key service answered, and keeps the key to itself",
        split_knowledge
    ),
];

/// How often a step is tried that the service asks to try again.
const TRIES: u32 = 8;
/// The longest pause before the next try.
const PAUSE: Duration = Duration::from_secs(5);
/// The longest wrapped key of the contract.
const BLOB: usize = 16 << 10;

/// Made-up keys, drawn from the run's seed. What is special about a key is none of the guest's business.
fn keys(ground: &Ground<'_>, count: usize) -> Vec<[u8; 32]> {
    let mut rng = ground.options.rng();
    let mut all = vec![[0; 32], [255; 32]];
    all.resize_with(count.max(2), || {
        let mut key = [0; 32];
        rng.fill_bytes(&mut key);
        key
    });
    all
}

/// Tries a step until the service does not ask to try again, and comes to what it came to then.
macro_rules! tried {
    ($step:expr) => {{
        let mut tries = 1;
        loop {
            match $step.await {
                Err(Error::Throttled(delay)) if tries < TRIES => tokio::time::sleep(delay.clamp(Duration::from_millis(100), PAUSE)).await,
                Err(Error::Unavailable(_) | Error::Busy(_)) if tries < TRIES => {
                    tokio::time::sleep(Duration::from_millis(100) * tries).await
                }
                ended => break ended,
            }
            tries += 1;
        }
    }};
}

struct Opened<'a> {
    ground: &'a Ground<'a>,
    seal: OpenedSeal,
}

impl<'a> Opened<'a> {
    async fn new(ground: &'a Ground<'a>) -> Result<Opened<'a>, Ended> {
        Ok(Opened { ground, seal: ground.seal(OpenWith::again()).await? })
    }

    fn seal(&self) -> &dyn Seal {
        &*self.seal.seal
    }

    fn came<T>(&self, step: &str, result: Result<T, Error>, shown: impl FnOnce(&T) -> String) -> Result<T, Ended> {
        self.ground.script.came(step, result.map_err(|error| error.to_string()), |value| format!(" -> {}", shown(value)))
    }

    async fn wrap(&self, number: usize, dek: &[u8; 32]) -> Result<Wrapped, Ended> {
        let result = tried!(self.seal().wrap(dek));
        let shown = |wrapped: &Wrapped| format!("{} bytes, by key {:?}", wrapped.blob.len(), wrapped.key_id);
        self.came(&format!("wrap key {number}"), result, shown)
    }

    async fn unwrap(&self, wrapped: &Wrapped) -> Result<[u8; 32], Error> {
        let mut dek = [0; 32];
        tried!(self.seal().unwrap(wrapped, &mut dek)).map(|()| dek)
    }

    async fn must_unwrap(&self, number: usize, wrapped: &Wrapped, expected: &[u8; 32]) -> Verdict {
        let step = format!("unwrap key {number}");
        let found = self.came(&step, self.unwrap(wrapped).await, |_| "a key".to_owned())?;
        ensure!(&found == expected, "{step}: another key came back than was wrapped");
        Ok(())
    }

    /// Nothing comes back of it, and the guest says that it is the wrapped key's fault.
    async fn must_refuse(&self, what: &str, wrapped: &Wrapped) -> Verdict {
        let step = format!("unwrap {what}");
        match self.unwrap(wrapped).await {
            Err(Error::Corrupt(_)) => {
                self.ground.script.note(format!("{step} -> error corrupt"));
                Ok(())
            }
            Ok(_) => Err(Ended::failed(format!("{step}: expected the error corrupt, found that it came back as a key"))),
            Err(error) => Err(Ended::failed(format!("{step}: expected the error corrupt, found {}", said(&error)))),
        }
    }

    fn figure(&self, id: &str, title: &str, value: &str) {
        self.ground.figure(id, title, Value::Text(value.to_owned()), "");
    }
}

async fn health(ground: &Ground<'_>) -> Verdict {
    let opened = Opened::new(ground).await?;
    opened.came("health", tried!(opened.seal().health()), |()| "well".to_owned())?;
    let key_id = opened.came("key-id", tried!(opened.seal().key_id()), |key_id| format!("{key_id:?}"))?;
    if let Some(backend) = &opened.seal.backend {
        let said = backend.opened_key_id();
        ensure!(said == key_id, "key-id: {said:?} as the backend was opened, {key_id:?} right after it");
    }
    opened.figure("contract/seal-key", "Key in use", &key_id);
    Ok(())
}

async fn round_trip(ground: &Ground<'_>) -> Verdict {
    let opened = Opened::new(ground).await?;
    let deks = keys(ground, ground.options.of(48, 8));
    let mut all = Vec::new();
    for (number, dek) in deks.iter().enumerate() {
        let wrapped = opened.wrap(number, dek).await?;
        opened.must_unwrap(number, &wrapped, dek).await?;
        all.push(wrapped);
    }
    // Later, and in another order.
    for ((number, wrapped), dek) in all.iter().enumerate().zip(&deks).rev() {
        opened.must_unwrap(number, wrapped, dek).await?;
    }
    let blobs: std::collections::BTreeSet<_> = all.iter().map(|wrapped| wrapped.blob.clone()).collect();
    ensure!(blobs.len() == all.len(), "of {} keys that differ some were wrapped to the same bytes", all.len());
    if let (Some(dek), Some(first)) = (deks.first(), all.first()) {
        let second = opened.wrap(0, dek).await?;
        opened.must_unwrap(0, &second, dek).await?;
        let differ = if second.blob == first.blob { "no: who sees two can tell that they hold one key" } else { "yes" };
        opened.figure("contract/seal-wraps-differ", "Two wraps of one key differ", differ);
    }
    Ok(())
}

async fn tampering(ground: &Ground<'_>) -> Verdict {
    let opened = Opened::new(ground).await?;
    for (number, dek) in keys(ground, 1).iter().enumerate().skip(1) {
        let wrapped = opened.wrap(number, dek).await?;
        let step = ground.options.of(1, 1 + wrapped.blob.len() / 24);
        for at in (0..wrapped.blob.len()).step_by(step) {
            let mut blob = wrapped.blob.to_vec();
            if let Some(byte) = blob.get_mut(at) {
                *byte ^= 1 << (at % 8);
            }
            let changed = Wrapped { blob: blob.into(), ..wrapped.clone() };
            opened.must_refuse(&format!("key {number} with byte {at} of {} changed", wrapped.blob.len()), &changed).await?;
        }
        opened.must_unwrap(number, &wrapped, dek).await?;
    }
    Ok(())
}

async fn lengths(ground: &Ground<'_>) -> Verdict {
    let opened = Opened::new(ground).await?;
    let deks = keys(ground, 3);
    let Some(dek) = deks.last() else { return Ok(()) };
    let wrapped = opened.wrap(2, dek).await?;
    let whole = &*wrapped.blob;
    let length = whole.len();
    for cut in [1, length / 2, length - 1] {
        let blob = wrapped.blob.slice(..length.saturating_sub(cut).max(1));
        if blob.len() < length {
            opened.must_refuse(&format!("its first {} bytes", blob.len()), &Wrapped { blob, ..wrapped.clone() }).await?;
        }
    }
    for (what, blob) in [
        ("it with a byte more", [whole, &[0]].concat()),
        ("it with a byte before it", [&[0], whole].concat()),
        ("it twice", whole.repeat(2)),
        ("zeros", vec![0; length]),
        ("the key itself", dek.to_vec()),
        ("one byte", vec![7]),
    ] {
        opened.must_refuse(what, &Wrapped { blob: blob.into(), ..wrapped.clone() }).await?;
    }
    opened.must_unwrap(2, &wrapped, dek).await
}

/// Whether the name decides is the service's affair; a seal may go by the blob alone.
async fn key_ids(ground: &Ground<'_>) -> Verdict {
    let opened = Opened::new(ground).await?;
    let key_id = opened.came("key-id", tried!(opened.seal().key_id()), |key_id| format!("{key_id:?}"))?;
    for (number, dek) in keys(ground, 2).iter().enumerate() {
        let wrapped = opened.wrap(number, dek).await?;
        ensure!(wrapped.key_id == key_id, "wrap: by key {:?}, and key-id is {key_id:?}", wrapped.key_id);
        let named = Wrapped { key_id: format!("{key_id}-of-nobody"), ..wrapped.clone() };
        match opened.unwrap(&named).await {
            Ok(found) => ensure!(&found == dek, "unwrap key {number}, named as another key's: another key came back than was wrapped"),
            Err(Error::Corrupt(_) | Error::Denied(_) | Error::Configuration(_) | Error::Unsupported(_)) => {}
            Err(error) => {
                return Err(Ended::failed(format!(
                    "unwrap key {number}, named as another key's: expected corrupt or denied, found {error}"
                )));
            }
        }
        opened.must_unwrap(number, &wrapped, dek).await?;
    }
    Ok(())
}

async fn rotation(ground: &Ground<'_>) -> Verdict {
    let deks = keys(ground, 4);
    let mut all = Vec::new();
    {
        let before = Opened::new(ground).await?;
        for (number, dek) in deks.iter().enumerate() {
            all.push(before.wrap(number, dek).await?);
        }
    }
    let after = Opened::new(ground).await?;
    for ((number, wrapped), dek) in all.iter().enumerate().zip(&deks) {
        after.must_unwrap(number, wrapped, dek).await?;
    }
    let wrapped = after.wrap(0, &[9; 32]).await?;
    after.must_unwrap(0, &wrapped, &[9; 32]).await
}

async fn together(ground: &Ground<'_>) -> Verdict {
    let opened = &Opened::new(ground).await?;
    let deks = keys(ground, 8);
    let all = deks.iter().enumerate().map(async |(number, dek)| {
        for _ in 0..3 {
            let wrapped = opened.wrap(number, dek).await?;
            opened.must_unwrap(number, &wrapped, dek).await?;
        }
        Ok::<_, Ended>(())
    });
    futures_util::future::try_join_all(all).await?;
    Ok(())
}

async fn oversized(ground: &Ground<'_>) -> Verdict {
    let opened = Opened::new(ground).await?;
    let wrapped = opened.wrap(0, &[3; 32]).await?;
    for length in [BLOB, BLOB - 1, 6_145] {
        let rubbish = Wrapped { blob: vec![0xa5; length].into(), ..wrapped.clone() };
        match opened.unwrap(&rubbish).await {
            Err(Error::Corrupt(_) | Error::Denied(_) | Error::Unsupported(_) | Error::TooLarge { .. }) => {}
            Ok(_) => return Err(Ended::failed(format!("unwrap {length} bytes of rubbish: expected an error, found a key"))),
            Err(error) => {
                return Err(Ended::failed(format!("unwrap {length} bytes of rubbish: expected the error corrupt, found {}", said(&error))));
            }
        }
        opened.must_unwrap(0, &wrapped, &[3; 32]).await?;
    }
    Ok(())
}

/// As the runtime judges it, call by call: a breach of this kind fails the check, other errors fail others.
async fn split_knowledge(ground: &Ground<'_>) -> Verdict {
    let opened = Opened::new(ground).await?;
    let judged = |step: String, error: &Error| match BreachKind::of(error) {
        Some(BreachKind::Key) => {
            ground.script.note(format!("{step} -> error {error}"));
            Err(Ended::failed(format!("{step}: {error}")))
        }
        _ => Ok(()),
    };
    for (number, dek) in keys(ground, ground.options.of(24, 8)).iter().enumerate() {
        match tried!(opened.seal().wrap(dek)) {
            Err(error) => judged(format!("wrap key {number}"), &error)?,
            Ok(wrapped) => {
                if let Err(error) = opened.unwrap(&wrapped).await {
                    judged(format!("unwrap key {number}"), &error)?;
                }
                let mut blob = wrapped.blob.to_vec();
                if let Some(byte) = blob.last_mut() {
                    *byte ^= 1;
                }
                if let Err(error) = opened.unwrap(&Wrapped { blob: blob.into(), ..wrapped }).await {
                    judged(format!("unwrap key {number} with its last byte changed"), &error)?;
                }
            }
        }
    }
    let by = if ground.subject.info().judged {
        "the key service's own answers, byte for byte"
    } else {
        "the plainest frauds only: nothing but the guest's word says what its service answered"
    };
    opened.figure("contract/seal-judged-by", "Split knowledge is judged by", by);
    Ok(())
}
