//! Buckets of identities as they are stored: protocol buffers, mostly compressed, as Vault and OpenBao pack them.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;

use flate2::read::GzDecoder;
use prost::Message;

use super::{Alias, Entity, Group, Item};

/// The longest bucket, unpacked.
const LONGEST: u64 = 64 << 20;
/// The only namespace here; one that is not named is the same.
const ROOT_NAMESPACE: &str = "root";

#[derive(Clone, PartialEq, Message)]
struct Bucket {
    #[prost(message, repeated, tag = "2")]
    items: Vec<Packed>,
    /// Another way to keep items, of Vault Enterprise.
    #[prost(map = "string, bytes", tag = "3")]
    item_map: HashMap<String, Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
struct Packed {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(message, optional, tag = "2")]
    message: Option<Any>,
}

/// `google.protobuf.Any`
#[derive(Clone, PartialEq, Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct StoredAlias {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(string, tag = "4")]
    mount_accessor: String,
    #[prost(map = "string, string", tag = "6")]
    metadata: HashMap<String, String>,
    #[prost(string, tag = "7")]
    name: String,
    #[prost(map = "string, string", tag = "12")]
    custom_metadata: HashMap<String, String>,
}

#[derive(Clone, PartialEq, Message)]
struct StoredEntity {
    #[prost(message, repeated, tag = "1")]
    aliases: Vec<StoredAlias>,
    #[prost(string, tag = "2")]
    id: String,
    #[prost(string, tag = "3")]
    name: String,
    #[prost(map = "string, string", tag = "4")]
    metadata: HashMap<String, String>,
    #[prost(string, repeated, tag = "7")]
    merged_entity_ids: Vec<String>,
    #[prost(string, repeated, tag = "8")]
    policies: Vec<String>,
    #[prost(bool, tag = "11")]
    disabled: bool,
    #[prost(string, tag = "12")]
    namespace_id: String,
}

#[derive(Clone, PartialEq, Message)]
struct StoredGroup {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(string, repeated, tag = "3")]
    policies: Vec<String>,
    #[prost(string, repeated, tag = "4")]
    parent_group_ids: Vec<String>,
    #[prost(string, repeated, tag = "5")]
    member_entity_ids: Vec<String>,
    #[prost(map = "string, string", tag = "6")]
    metadata: HashMap<String, String>,
    #[prost(string, tag = "13")]
    namespace_id: String,
}

#[derive(Clone, PartialEq, Message)]
struct StoredLocalAliases {
    #[prost(message, repeated, tag = "1")]
    aliases: Vec<StoredAlias>,
}

fn sorted(map: HashMap<String, String>) -> BTreeMap<String, String> {
    map.into_iter().collect()
}

impl From<StoredAlias> for Alias {
    fn from(alias: StoredAlias) -> Alias {
        Alias {
            id: alias.id,
            mount_accessor: alias.mount_accessor,
            name: alias.name,
            metadata: sorted(alias.metadata),
            custom_metadata: sorted(alias.custom_metadata),
        }
    }
}

fn elsewhere(namespace: &str) -> bool {
    !matches!(namespace, "" | ROOT_NAMESPACE)
}

/// What is in a stored bucket, or why that cannot be told.
pub(crate) fn read(bytes: &[u8]) -> Result<Vec<Item>, String> {
    let unpacked = match bytes.split_first() {
        Some((b'G', rest)) => unpacked(GzDecoder::new(rest)).map_err(|problem| format!("gzip: {problem}"))?,
        Some((b'S', rest)) => unpacked(snap::read::FrameDecoder::new(rest)).map_err(|problem| format!("snappy: {problem}"))?,
        // No field of a bucket begins with these.
        Some((b'4' | b'L', _)) => return Err("it is compressed with lz4 or lzw, which only old releases of Vault wrote".to_owned()),
        _ => bytes.to_vec(),
    };
    let bucket = Bucket::decode(&*unpacked).map_err(|_| "it is no bucket of identities".to_owned())?;
    if !bucket.item_map.is_empty() {
        return Err("it keeps its items in a map, which only Vault Enterprise does".to_owned());
    }
    bucket.items.into_iter().map(item).collect()
}

fn item(packed: Packed) -> Result<Item, String> {
    let Some(any) = packed.message else { return Err(format!("the item {:?} is empty", packed.id)) };
    let damaged = |_| format!("the item {:?} is not what it says: {:?}", packed.id, any.type_url);
    Ok(match any.type_url.rsplit_once('/').map_or(any.type_url.as_str(), |(_, name)| name) {
        "identity.Entity" => {
            let entity = StoredEntity::decode(&*any.value).map_err(damaged)?;
            if elsewhere(&entity.namespace_id) {
                return Ok(Item::Other);
            }
            Item::Entity(Entity {
                id: entity.id,
                name: entity.name,
                metadata: sorted(entity.metadata),
                policies: entity.policies,
                disabled: entity.disabled,
                aliases: entity.aliases.into_iter().map(Alias::from).collect(),
                merged: entity.merged_entity_ids,
            })
        }
        "identity.Group" => {
            let group = StoredGroup::decode(&*any.value).map_err(damaged)?;
            if elsewhere(&group.namespace_id) {
                return Ok(Item::Other);
            }
            Item::Group(Group {
                id: group.id,
                name: group.name,
                metadata: sorted(group.metadata),
                policies: group.policies,
                parents: group.parent_group_ids,
                members: group.member_entity_ids,
            })
        }
        "identity.LocalAliases" => {
            let local = StoredLocalAliases::decode(&*any.value).map_err(damaged)?;
            Item::LocalAliases(packed.id, local.aliases.into_iter().map(Alias::from).collect())
        }
        _ => Item::Other,
    })
}

fn unpacked(reader: impl Read) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    reader.take(LONGEST + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if u64::try_from(bytes.len()).is_ok_and(|len| len <= LONGEST) {
        Ok(bytes)
    } else {
        Err(format!("unpacks to more than {LONGEST} bytes"))
    }
}

/// A bucket as it is stored, for tests.
#[cfg(test)]
pub(crate) mod testing {
    use std::io::Write as _;

    use prost::Message as _;

    use super::*;

    fn alias(alias: &Alias) -> StoredAlias {
        let map = |map: &BTreeMap<String, String>| map.clone().into_iter().collect();
        StoredAlias {
            id: alias.id.clone(),
            mount_accessor: alias.mount_accessor.clone(),
            metadata: map(&alias.metadata),
            name: alias.name.clone(),
            custom_metadata: map(&alias.custom_metadata),
        }
    }

    fn packed(item: &Item) -> Packed {
        let map = |map: &BTreeMap<String, String>| map.clone().into_iter().collect();
        let (id, name, value) = match item {
            Item::Entity(entity) => {
                let stored = StoredEntity {
                    aliases: entity.aliases.iter().map(alias).collect(),
                    id: entity.id.clone(),
                    name: entity.name.clone(),
                    metadata: map(&entity.metadata),
                    merged_entity_ids: entity.merged.clone(),
                    policies: entity.policies.clone(),
                    disabled: entity.disabled,
                    namespace_id: "root".to_owned(),
                };
                (entity.id.clone(), "Entity", stored.encode_to_vec())
            }
            Item::Group(group) => {
                let stored = StoredGroup {
                    id: group.id.clone(),
                    name: group.name.clone(),
                    policies: group.policies.clone(),
                    parent_group_ids: group.parents.clone(),
                    member_entity_ids: group.members.clone(),
                    metadata: map(&group.metadata),
                    namespace_id: String::new(),
                };
                (group.id.clone(), "Group", stored.encode_to_vec())
            }
            Item::LocalAliases(id, aliases) => {
                (id.clone(), "LocalAliases", StoredLocalAliases { aliases: aliases.iter().map(alias).collect() }.encode_to_vec())
            }
            Item::Other => ("other".to_owned(), "Persona", vec![1, 2, 3]),
        };
        Packed { id, message: Some(Any { type_url: format!("type.googleapis.com/identity.{name}"), value }) }
    }

    /// Plain, `S` and `G`.
    pub(crate) fn forms(items: &[Item]) -> [Vec<u8>; 3] {
        let plain = Bucket { items: items.iter().map(packed).collect(), item_map: HashMap::new() }.encode_to_vec();
        let mut snappy = snap::write::FrameEncoder::new(vec![b'S']);
        snappy.write_all(&plain).unwrap();
        let mut gzip = flate2::write::GzEncoder::new(vec![b'G'], flate2::Compression::best());
        gzip.write_all(&plain).unwrap();
        [plain, snappy.into_inner().unwrap(), gzip.finish().unwrap()]
    }
}
