//! Puts, deletes and the marks of folders, without a fence; `fence` has the same with one.
//!
//! Marks come first and the leaf last: wherever a put is cut short, no entry is without its folders. A batch is a run of single writes in the contract's
//! order, since a batch of DynamoDB's has none and may leave out any of its parts.

use std::collections::{HashMap, HashSet};

use aws_sdk_dynamodb::operation::batch_get_item::BatchGetItemInput;
use aws_sdk_dynamodb::operation::batch_write_item::BatchWriteItemInput;
use aws_sdk_dynamodb::operation::delete_item::DeleteItemInput;
use aws_sdk_dynamodb::operation::put_item::PutItemInput;
use aws_sdk_dynamodb::types::{KeysAndAttributes, PutRequest, WriteRequest};
use cofferdam_guest::storage::{Entry, Operation};
use cofferdam_guest::{Error, Result};
use cofferdam_guest_aws::Reason;

use crate::fence::Action;
use crate::item::{self, EXPIRES, IDENTITY};
use crate::place::{KEY, PATH, Place, folders, partition};
use crate::store::{Store, incomplete};

/// The most keys in one BatchGetItem.
const GET_KEYS: usize = 100;
/// The most items in one BatchWriteItem.
const WRITE_ITEMS: usize = 25;

/// One change to an entry, checked.
enum Change {
    Put(Place, Vec<u8>),
    Delete(Place),
}

impl Change {
    fn put(key: &str, value: Vec<u8>) -> Result<Change> {
        let place = Place::of_key(key)?;
        item::check_size(&place, &value)?;
        Ok(Change::Put(place, value))
    }

    fn place(&self) -> &Place {
        match self {
            Change::Put(place, _) | Change::Delete(place) => place,
        }
    }
}

/// What lies at the places that were looked at.
#[derive(Default)]
struct Seen {
    there: HashSet<Place>,
    locks: HashSet<Place>,
}

impl Store {
    pub(crate) fn put(&self, key: &str, value: Vec<u8>, known_folders: u32) -> Result<()> {
        let known = usize::try_from(known_folders).unwrap_or(usize::MAX);
        let marks = folders(key).skip(known).map(Place::of_mark).collect();
        self.apply(marks, vec![Change::put(key, value)?])
    }

    pub(crate) fn delete(&self, key: &str) -> Result<()> {
        self.apply(Vec::new(), vec![Change::Delete(Place::of_key(key)?)])
    }

    /// All that can be refused is refused before anything is sent.
    pub(crate) fn batch(&self, operations: Vec<Operation>) -> Result<Vec<u32>> {
        let mut marks = Vec::new();
        let mut listed = HashSet::new();
        let mut changes = Vec::with_capacity(operations.len());
        for operation in operations {
            changes.push(match operation {
                Operation::Put(Entry { key, value }) => {
                    marks.extend(folders(&key).map(Place::of_mark).filter(|mark| listed.insert(mark.clone())));
                    Change::put(&key, value)?
                }
                Operation::Delete(key) => Change::Delete(Place::of_key(&key)?),
            });
        }
        let results = vec![0; changes.len()];
        self.apply(marks, changes)?;
        Ok(results)
    }

    pub(crate) fn prune(&self, folder: &str) -> Result<bool> {
        let Some(path) = partition(folder) else { return Ok(true) };
        if !self.is_empty(path).map_err(nothing_begun)? {
            return Ok(false);
        }
        let mark = Place::of_mark(folder);
        match self.around.fence() {
            None => self.delete_item(mark)?,
            Some(fence) => self.transact(&fence, vec![Action::Delete(mark)])?,
        }
        Ok(true)
    }

    /// Makes the marks that are missing, then the changes in their order.
    fn apply(&self, mut marks: Vec<Place>, mut changes: Vec<Change>) -> Result<()> {
        let fence = self.around.fence();
        // A leaf may lie where a lock could; only the item says which it is.
        let doubtful = changes.iter().map(Change::place).filter(|place| place.may_be_lock()).cloned();
        let seen = self.look(marks.iter().cloned().chain(doubtful).collect())?;
        if let Some(Change::Put(place, _)) =
            changes.iter().find(|change| matches!(change, Change::Put(place, _) if seen.locks.contains(place)))
        {
            return Err(Error::InvalidKey(format!("key {:?}: a lock of this name is in its place", place.key())));
        }
        changes.retain(|change| !seen.locks.contains(change.place()));
        marks.retain(|mark| !seen.there.contains(mark));
        match fence {
            Some(fence) => {
                let marks = marks.into_iter().map(|mark| Action::Put(item::mark(mark)));
                let changes = changes.into_iter().map(|change| match change {
                    Change::Put(place, value) => Action::Put(item::entry(place, value)),
                    Change::Delete(place) => Action::Delete(place),
                });
                self.transact(&fence, marks.chain(changes).collect())
            }
            None => {
                self.write_marks(marks)?;
                changes.into_iter().try_for_each(|change| match change {
                    Change::Put(place, value) => self.put_item(place, value),
                    Change::Delete(place) => self.delete_item(place),
                })
            }
        }
    }

    fn put_item(&self, place: Place, value: Vec<u8>) -> Result<()> {
        let request = PutItemInput::builder().table_name(self.table()).set_item(Some(item::entry(place, value)));
        self.run(request.build()).map(|_| ())
    }

    fn delete_item(&self, place: Place) -> Result<()> {
        let request = DeleteItemInput::builder().table_name(self.table()).set_key(Some(place.attributes()));
        self.run(request.build()).map(|_| ())
    }

    /// What lies at these places. Asks again for what the service left out, until it left out nothing.
    fn look(&self, places: Vec<Place>) -> Result<Seen> {
        let mut seen = Seen::default();
        for chunk in places.chunks(GET_KEYS) {
            let keys = chunk.iter().cloned().map(Place::attributes).collect();
            let request = KeysAndAttributes::builder()
                .set_keys(Some(keys))
                .consistent_read(true)
                .projection_expression("#p, #k, #i, #e")
                .expression_attribute_names("#p", PATH)
                .expression_attribute_names("#k", KEY)
                .expression_attribute_names("#i", IDENTITY)
                .expression_attribute_names("#e", EXPIRES)
                .build()
                .map_err(incomplete)?;
            let mut left = HashMap::from([(self.table().to_owned(), request)]);
            let mut fruitless = 0;
            while !left.is_empty() {
                let found = self.run(BatchGetItemInput::builder().set_request_items(Some(left)).build())?;
                let items: Vec<_> = found.responses.unwrap_or_default().into_values().flatten().collect();
                left = found.unprocessed_keys.unwrap_or_default();
                self.rest(left.is_empty(), !items.is_empty(), &mut fruitless)?;
                for item in items {
                    let Some(place) = Place::of_item(&item) else { continue };
                    if item::is_lock(&place, &item) {
                        seen.locks.insert(place.clone());
                    }
                    seen.there.insert(place);
                }
            }
        }
        Ok(seen)
    }

    /// Writes marks. Sends again what the service left out, until it left out nothing.
    fn write_marks(&self, marks: Vec<Place>) -> Result<()> {
        for chunk in marks.chunks(WRITE_ITEMS) {
            let mut requests = Vec::with_capacity(chunk.len());
            for mark in chunk {
                let put = PutRequest::builder().set_item(Some(item::mark(mark.clone()))).build().map_err(incomplete)?;
                requests.push(WriteRequest::builder().put_request(put).build());
            }
            let mut left = HashMap::from([(self.table().to_owned(), requests)]);
            let mut fruitless = 0;
            while !left.is_empty() {
                let before = count(&left);
                let done = self.run(BatchWriteItemInput::builder().set_request_items(Some(left)).build())?;
                left = done.unprocessed_items.unwrap_or_default();
                self.rest(left.is_empty(), count(&left) < before, &mut fruitless)?;
            }
        }
        Ok(())
    }

    /// Waits if something was left out. A round that got on does not count as a retry.
    fn rest(&self, done: bool, got_on: bool, fruitless: &mut u32) -> Result<()> {
        if done {
            return Ok(());
        }
        *fruitless = if got_on { 0 } else { *fruitless + 1 };
        if self.transport.wait(Reason::Throttled, *fruitless) { Ok(()) } else { Err(Error::Throttled(self.transport.delay())) }
    }
}

/// A prune that has only looked can be tried again at once; `unavailable` would have the host hold puts off until a removal could take effect no more.
fn nothing_begun(error: Error) -> Error {
    if matches!(error, Error::Unavailable(_)) { Error::Throttled(0) } else { error }
}

fn count(left: &HashMap<String, Vec<WriteRequest>>) -> usize {
    left.values().map(Vec::len).sum()
}
