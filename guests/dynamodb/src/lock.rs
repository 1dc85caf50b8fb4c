//! Steps on a lock, which is an item beside the entries: single conditional writes, as Vault makes them.
//!
//! A step may be answered by a failure and yet have taken effect. Sent again, its condition then fails against its own doing. So a condition that fails
//! after such doubt is no answer: the lock is read, and what it says is.

use aws_sdk_dynamodb::operation::delete_item::DeleteItemInput;
use aws_sdk_dynamodb::operation::get_item::GetItemInput;
use aws_sdk_dynamodb::operation::update_item::UpdateItemInput;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemInputBuilder;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use cofferdam_guest::Result;
use cofferdam_guest::lock::Held;

use crate::item::{self, EXPIRES, IDENTITY, VALUE};
use crate::place::{PATH, Place};
use crate::store::Store;

/// The code of a condition that is not met.
const UNMET: &str = "ConditionalCheckFailedException";

fn identity(identity: &str) -> AttributeValue {
    AttributeValue::B(Blob::new(identity.as_bytes()))
}

fn expires(expires: u64) -> AttributeValue {
    AttributeValue::N(expires.to_string())
}

impl Store {
    pub(crate) fn try_acquire(&self, key: &str, claim: Held, seen: Option<Held>) -> Result<bool> {
        let place = Place::of_lock(key)?;
        let request = self
            .update(&place)
            .update_expression("SET #v = :v, #i = :i, #e = :e")
            .expression_attribute_names("#v", VALUE)
            .expression_attribute_names("#i", IDENTITY)
            .expression_attribute_names("#e", EXPIRES)
            .expression_attribute_values(":v", item::attribute(claim.value))
            .expression_attribute_values(":i", identity(&claim.identity))
            .expression_attribute_values(":e", expires(claim.expires));
        let request = match seen {
            None => request.condition_expression("attribute_not_exists(#p)").expression_attribute_names("#p", PATH),
            // What early releases of Vault stored has no identity, and may have no expiry.
            Some(seen) if seen.identity.is_empty() => {
                let same = if seen.expires == 0 { "(attribute_not_exists(#e) OR #e = :se)" } else { "#e = :se" };
                request
                    .condition_expression(format!("attribute_exists(#p) AND attribute_not_exists(#i) AND {same}"))
                    .expression_attribute_names("#p", PATH)
                    .expression_attribute_values(":se", expires(seen.expires))
            }
            Some(seen) => request
                .condition_expression("#i = :si AND #e = :se")
                .expression_attribute_values(":si", identity(&seen.identity))
                .expression_attribute_values(":se", expires(seen.expires)),
        };
        self.change(&place, request, |held| held.identity == claim.identity && held.expires == claim.expires)
    }

    pub(crate) fn renew(&self, key: &str, holder: &str, until: u64) -> Result<bool> {
        let place = Place::of_lock(key)?;
        let request = self
            .update(&place)
            .update_expression("SET #e = :e")
            .condition_expression("#i = :i")
            .expression_attribute_names("#i", IDENTITY)
            .expression_attribute_names("#e", EXPIRES)
            .expression_attribute_values(":i", identity(holder))
            .expression_attribute_values(":e", expires(until));
        self.change(&place, request, |held| held.identity == holder && held.expires == until)
    }

    pub(crate) fn release(&self, key: &str, holder: &str) -> Result<()> {
        let place = Place::of_lock(key)?;
        let request = DeleteItemInput::builder()
            .table_name(self.table())
            .set_key(Some(place.attributes()))
            .condition_expression("#i = :i")
            .expression_attribute_names("#i", IDENTITY)
            .expression_attribute_values(":i", identity(holder));
        match self.call(request.build()) {
            Ok(_) => Ok(()),
            Err(fault) if fault.code() == UNMET => Ok(()),
            Err(fault) => Err(self.error(fault)),
        }
    }

    pub(crate) fn read_lock(&self, key: &str) -> Result<Option<Held>> {
        self.lock_at(&Place::of_lock(key)?)
    }

    fn update(&self, place: &Place) -> UpdateItemInputBuilder {
        UpdateItemInput::builder().table_name(self.table()).set_key(Some(place.clone().attributes()))
    }

    /// Sends the update. `done` tells what it would have made of the lock.
    fn change(&self, place: &Place, request: UpdateItemInputBuilder, done: impl Fn(&Held) -> bool) -> Result<bool> {
        match self.call(request.build()) {
            Ok(_) => Ok(true),
            Err(fault) if fault.code() == UNMET && self.transport.in_doubt() => Ok(self.lock_at(place)?.is_some_and(|held| done(&held))),
            Err(fault) if fault.code() == UNMET => Ok(false),
            Err(fault) => Err(self.error(fault)),
        }
    }

    fn lock_at(&self, place: &Place) -> Result<Option<Held>> {
        let request = GetItemInput::builder().table_name(self.table()).set_key(Some(place.clone().attributes())).consistent_read(true);
        let found = self.run(request.build())?;
        found.item.map(|mut item| item::held(&mut item, place)).transpose()
    }
}
