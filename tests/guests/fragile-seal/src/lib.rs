//! A seal backend whose trouble comes and goes: it "wraps" by turning bits over, and while the file `trouble` is in its directory, every call but `open` and `attach`
//! fails as that says: `trap` or `hang`. What it says when it fails is `words of the guest`.

use cofferdam::backend::types::{Error, Setting};
use exports::cofferdam::backend::seal::{Descriptor, Guest, Wrapped};

wit_bindgen::generate!({ path: "../../../wit", world: "seal-backend" });

struct FragileSeal;

export!(FragileSeal);

const KEY: &str = "key-1";

/// Fails as the directory says.
fn trouble() {
    match std::fs::read_to_string("/data/trouble").unwrap_or_default().trim() {
        "trap" => panic!("words of the guest"),
        "hang" => std::thread::sleep(std::time::Duration::from_secs(3600)),
        _ => {}
    }
}

fn turned(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().zip((1..=u8::MAX).cycle()).map(|(byte, at)| byte ^ at).collect()
}

impl Guest for FragileSeal {
    fn open(_: Vec<Setting>) -> Result<Descriptor, Error> {
        Ok(Descriptor { name: "fragile-seal".to_owned(), version: "0.1.0".to_owned(), key_id: KEY.to_owned() })
    }

    fn attach(_: Vec<Setting>, _: Descriptor) -> Result<(), Error> {
        Ok(())
    }

    fn wrap(dek: Vec<u8>) -> Result<Wrapped, Error> {
        trouble();
        Ok(Wrapped { blob: turned(&dek), key_id: KEY.to_owned() })
    }

    fn unwrap(wrapped: Wrapped) -> Result<Vec<u8>, Error> {
        trouble();
        if wrapped.key_id == KEY { Ok(turned(&wrapped.blob)) } else { Err(Error::Corrupt("another key".to_owned())) }
    }

    fn key_id() -> Result<String, Error> {
        trouble();
        Ok(KEY.to_owned())
    }

    fn health() -> Result<(), Error> {
        trouble();
        Ok(())
    }
}
