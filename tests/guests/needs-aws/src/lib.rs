//! A storage backend that imports `aws`: without that grant it must not even start.

use cofferdam::backend::aws;
use cofferdam::backend::types::{Error, Limits, Setting};
use exports::cofferdam::backend::storage::{Descriptor, Features, Guest, Operation, Page, ScanPage};

wit_bindgen::generate!({ path: "../../../wit", world: "storage-backend" });

struct NeedsAws;

export!(NeedsAws);

fn sent(operation: &str) -> Error {
    match aws::send(operation, b"{}") {
        Ok(response) => Error::Unavailable(format!("status {}", response.status)),
        Err(_) => Error::Unavailable("not sent".to_owned()),
    }
}

impl Guest for NeedsAws {
    fn open(_: Vec<Setting>) -> Result<Descriptor, Error> {
        let limits = Limits { key: 1024, segment: 255, value: 1024, batch_operations: 1, batch_bytes: 2048 };
        Ok(Descriptor { name: "needs-aws".to_owned(), version: "0.1.0".to_owned(), features: Features::empty(), limits })
    }

    fn attach(_: Vec<Setting>, _: Descriptor) -> Result<(), Error> {
        Ok(())
    }

    fn get(_: String) -> Result<Option<Vec<u8>>, Error> {
        Err(sent("GetItem"))
    }

    fn put(_: String, _: Vec<u8>, _: u32) -> Result<(), Error> {
        Err(sent("PutItem"))
    }

    fn delete(_: String) -> Result<u32, Error> {
        Err(sent("DeleteItem"))
    }

    fn list_page(_: String, _: String, _: u32) -> Result<Page, Error> {
        Err(sent("Query"))
    }

    fn batch(_: Vec<Operation>) -> Result<Vec<u32>, Error> {
        Err(sent("BatchWriteItem"))
    }

    fn scan(_: u32, _: u32, _: Option<Vec<u8>>, _: u32) -> Result<ScanPage, Error> {
        Err(sent("Scan"))
    }
}
