//! Opening: the table is looked at, made if it is missing, and waited for. One that is there is never changed.

use std::time::Duration;

use aws_sdk_dynamodb::operation::create_table::CreateTableInput;
use aws_sdk_dynamodb::operation::describe_table::DescribeTableInput;
use aws_sdk_dynamodb::operation::update_continuous_backups::UpdateContinuousBackupsInput;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, PointInTimeRecoverySpecification, ProvisionedThroughput,
    ScalarAttributeType, SseSpecification, SseType, TableDescription, TableStatus, Tag,
};
use cofferdam_guest::{Error, Result};
use cofferdam_guest_aws::{Fault, quoted};

use crate::options::Billing;
use crate::place::{KEY, PATH};
use crate::store::{Store, incomplete};

/// The first wait between two looks at a table, and the longest.
const POLL: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(2)];

/// The key attributes of the layout with their types and their parts in the key, which are also what a foreign table is compared with.
const SCHEMA: [(&str, KeyType, ScalarAttributeType); 2] =
    [(PATH, KeyType::Hash, ScalarAttributeType::S), (KEY, KeyType::Range, ScalarAttributeType::S)];

/// What a look at the table found.
enum State {
    Missing,
    Usable,
    Creating,
}

impl Store {
    /// Makes sure that the table is there, has the right keys and can be used.
    pub(crate) fn open(&self) -> Result<()> {
        let created = match self.look_at_table()? {
            State::Usable => return Ok(()),
            State::Creating => false,
            State::Missing => self.create()?,
        };
        cofferdam_guest::info!("waiting for table {:?} to become active", self.table());
        self.wait_until_usable()?;
        if created {
            cofferdam_guest::info!("table {:?} was created", self.table());
            if self.options.new.point_in_time_recovery {
                self.turn_on_recovery()?;
            }
        }
        Ok(())
    }

    fn look_at_table(&self) -> Result<State> {
        let found = self.call(DescribeTableInput::builder().table_name(self.table()).build());
        let table = match found {
            Err(fault) if fault.code() == "ResourceNotFoundException" => return Ok(State::Missing),
            Err(fault) => return Err(self.misconfigured(fault)),
            Ok(found) => found.table.ok_or_else(|| Error::Unavailable("DescribeTable: the answer describes no table".to_owned()))?,
        };
        match table.table_status() {
            Some(TableStatus::Creating) => Ok(State::Creating),
            Some(TableStatus::Active | TableStatus::Updating) => {
                let found = schema(&table);
                if found == wanted() {
                    return Ok(State::Usable);
                }
                Err(Error::Configuration(format!(
                    "\"table\": the table {:?} has the keys {found}; needed are {}. Name another table, or leave it to this server to create one",
                    self.table(),
                    wanted()
                )))
            }
            Some(TableStatus::Deleting) => {
                Err(Error::Unavailable(format!("table {:?} is being deleted; start again once it is gone, or name another", self.table())))
            }
            Some(TableStatus::InaccessibleEncryptionCredentials) => Err(Error::Denied(format!(
                "the KMS key of table {:?} cannot be used: enable it, or give DynamoDB access to it",
                self.table()
            ))),
            status => Err(Error::Unavailable(format!(
                "table {:?} has the status {:?}; needed is ACTIVE",
                self.table(),
                status.map_or("none", TableStatus::as_str)
            ))),
        }
    }

    /// Polls until the table can be used. Right after it was created it may still be reported missing.
    fn wait_until_usable(&self) -> Result<()> {
        let [mut wait, longest] = POLL;
        loop {
            if !self.transport.wait_for(wait) {
                return Err(Error::Unavailable(format!("table {:?} is still not active; start again later", self.table())));
            }
            if let State::Usable = self.look_at_table()? {
                return Ok(());
            }
            wait = (wait * 2).min(longest);
        }
    }

    /// Creates the table. False if another server did meanwhile.
    fn create(&self) -> Result<bool> {
        let new = &self.options.new;
        let mut request = CreateTableInput::builder().table_name(self.table());
        for (name, part, kind) in SCHEMA {
            request = request
                .attribute_definitions(
                    AttributeDefinition::builder().attribute_name(name).attribute_type(kind).build().map_err(incomplete)?,
                )
                .key_schema(KeySchemaElement::builder().attribute_name(name).key_type(part).build().map_err(incomplete)?);
        }
        request = match new.billing {
            Billing::OnDemand => request.billing_mode(BillingMode::PayPerRequest),
            Billing::Provisioned { read, write } => {
                let units = |units: u64| i64::try_from(units).unwrap_or(i64::MAX);
                let throughput = ProvisionedThroughput::builder().read_capacity_units(units(read)).write_capacity_units(units(write));
                request.billing_mode(BillingMode::Provisioned).provisioned_throughput(throughput.build().map_err(incomplete)?)
            }
        };
        for (name, value) in &new.tags {
            request = request.tags(Tag::builder().key(name).value(value).build().map_err(incomplete)?);
        }
        if let Some(key) = &new.sse_kms_key_id {
            let sse = SseSpecification::builder().enabled(true).sse_type(SseType::Kms).kms_master_key_id(key);
            request = request.sse_specification(sse.build());
        }
        if new.deletion_protection {
            request = request.deletion_protection_enabled(true);
        }
        cofferdam_guest::info!("table {:?} does not exist: creating it", self.table());
        match self.call(request.build()) {
            Ok(_) => Ok(true),
            // Ours, if an answer to us was lost; else another server's. Both are waited for.
            Err(fault) if fault.code() == "ResourceInUseException" => Ok(self.transport.in_doubt()),
            Err(fault) => Err(self.misconfigured(fault)),
        }
    }

    /// Turns on point-in-time recovery, which is not possible in the first moments of a table.
    fn turn_on_recovery(&self) -> Result<()> {
        let [mut wait, longest] = POLL;
        loop {
            let on = PointInTimeRecoverySpecification::builder().point_in_time_recovery_enabled(true).build().map_err(incomplete)?;
            let request = UpdateContinuousBackupsInput::builder().table_name(self.table()).point_in_time_recovery_specification(on);
            let fault = match self.call(request.build()) {
                Ok(_) => return Ok(()),
                Err(fault) => fault,
            };
            if fault.code() != "ContinuousBackupsUnavailableException" || !self.transport.wait_for(wait) {
                // A table that exists is never changed, so a later start would not do it either.
                cofferdam_guest::error!(
                    "table {:?} was created, but without point-in-time recovery: turn it on by hand (\"aws dynamodb update-continuous-backups\")",
                    self.table()
                );
                return Err(self.misconfigured(fault));
            }
            wait = (wait * 2).min(longest);
        }
    }

    /// In `open`, what the service finds invalid is a setting.
    fn misconfigured(&self, fault: Fault) -> Error {
        if fault.code() == "ValidationException" {
            return Error::Configuration(format!(
                "DynamoDB does not accept the settings of table {:?} ({}): {}",
                self.table(),
                fault.operation,
                quoted(fault.message())
            ));
        }
        self.error(fault)
    }
}

/// The keys of the layout in words.
fn wanted() -> String {
    let parts = SCHEMA.map(|(name, part, kind)| format!("{name} ({}, {})", part.as_str(), kind.as_str()));
    parts.join(", ")
}

/// The keys of a table in the same words.
fn schema(table: &TableDescription) -> String {
    let parts: Vec<_> = table
        .key_schema()
        .iter()
        .map(|part| {
            let name = part.attribute_name();
            let kind = table.attribute_definitions().iter().find(|attribute| attribute.attribute_name() == name);
            format!("{name} ({}, {})", part.key_type().as_str(), kind.map_or("?", |kind| kind.attribute_type().as_str()))
        })
        .collect();
    parts.join(", ")
}
