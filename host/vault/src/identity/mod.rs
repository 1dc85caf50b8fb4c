//! Identities that another server stored: who a token's entity is, and which policies it and its groups add.
//!
//! The rule: they are read and never written, so that they leave as they came. There is no API for them, and no login here makes any: one gets the entity
//! that its alias has. All are
//! loaded when the first token asks for one; an entry that cannot be read keeps every token with an entity out, since what it denies is not known.

mod stored;
#[cfg(test)]
pub(crate) use stored::testing;
mod template;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _};
use tokio::sync::OnceCell;

pub(crate) use template::Made;

use crate::logical::{Error, Result};
use crate::view::View;

/// Reads under way at a time.
const CONCURRENT: usize = 16;

/// The name by which an auth mount knows an entity.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Alias {
    pub(crate) id: String,
    pub(crate) mount_accessor: String,
    pub(crate) name: String,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) custom_metadata: BTreeMap<String, String>,
}

/// Someone, whatever they log in with.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Entity {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) policies: Vec<String>,
    pub(crate) disabled: bool,
    pub(crate) aliases: Vec<Alias>,
    /// Entities that it has taken the place of.
    pub(crate) merged: Vec<String>,
}

/// A group of entities, and of groups.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Group {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) policies: Vec<String>,
    pub(crate) parents: Vec<String>,
    pub(crate) members: Vec<String>,
}

/// One thing in a bucket.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Item {
    Entity(Entity),
    Group(Group),
    /// Aliases of mounts that are local, by the entity's id.
    LocalAliases(String, Vec<Alias>),
    /// Of another namespace, or of a kind that is of no interest here.
    Other,
}

/// An entity with all groups that it is in, of itself or by another group.
#[derive(Debug, Default)]
pub(crate) struct Subject {
    pub(crate) entity: Entity,
    pub(crate) groups: Vec<Arc<Group>>,
}

impl Subject {
    /// The policies that the entity and its groups add to a token's own, sorted.
    pub(crate) fn policies(&self) -> Vec<String> {
        let names = self.entity.policies.iter().chain(self.groups.iter().flat_map(|group| &group.policies));
        let names: BTreeSet<String> = names.map(|name| name.trim().to_lowercase()).filter(|name| !name.is_empty()).collect();
        names.into_iter().collect()
    }
}

/// The identities of a vault.
pub struct Identities {
    /// `logical/<uuid of the identity mount>/`; none if there is no such mount.
    view: Option<View>,
    loaded: OnceCell<Loaded>,
}

#[derive(Default)]
struct Loaded {
    entities: HashMap<String, Entity>,
    /// From the id of a merged entity to that of the one it was merged into.
    merged: HashMap<String, String>,
    groups: HashMap<String, Arc<Group>>,
    /// The groups that an entity is in of itself.
    memberships: HashMap<String, Vec<String>>,
    /// By the mount's accessor and the name.
    aliases: HashMap<(String, String), String>,
}

impl Identities {
    /// The identities in the view of `logical/<mount uuid>/`.
    pub fn new(view: Option<View>) -> Identities {
        Identities { view, loaded: OnceCell::new() }
    }

    /// The entity of this id, or the one that it was merged into, and its groups. None if there is none.
    pub(crate) async fn subject(&self, entity: &str) -> Result<Option<Subject>> {
        let loaded = self.loaded().await?;
        let found = loaded.entities.get(entity).or_else(|| loaded.entities.get(loaded.merged.get(entity)?));
        Ok(found.map(|entity| Subject { entity: entity.clone(), groups: loaded.groups_of(&entity.id) }))
    }

    /// The id of the entity that a mount knows by this name.
    pub(crate) async fn by_alias(&self, mount_accessor: &str, name: &str) -> Result<Option<String>> {
        Ok(self.loaded().await?.aliases.get(&(mount_accessor.to_owned(), name.to_owned())).cloned())
    }

    async fn loaded(&self) -> Result<&Loaded> {
        self.loaded.get_or_try_init(|| self.load()).await
    }

    async fn load(&self) -> Result<Loaded> {
        let Some(view) = &self.view else { return Ok(Loaded::default()) };
        let mut loaded = Loaded::default();
        for folder in ["packer/buckets/", "packer/group/buckets/", "packer/local-aliases/buckets/"] {
            let names = view.list(folder).await?;
            let reads = names.into_iter().map(|name| async move {
                let key = format!("{folder}{name}");
                let Some(bytes) = view.get(&key).await? else { return Ok(Vec::new()) };
                stored::read(&bytes).map_err(|problem| Error::Damaged(format!("{}{key}: {problem}", view.prefix())))
            });
            let buckets: Vec<Vec<Item>> = futures_util::stream::iter(reads).buffer_unordered(CONCURRENT).try_collect().await?;
            buckets.into_iter().flatten().for_each(|item| loaded.add(item));
        }
        Ok(loaded)
    }
}

/// A bucket as it is stored, and what follows from it.
pub(crate) fn fuzz(bytes: &[u8]) {
    let Ok(items) = stored::read(bytes) else { return };
    let mut loaded = Loaded::default();
    items.into_iter().for_each(|item| loaded.add(item));
    for entity in loaded.entities.values() {
        let subject = Subject { entity: entity.clone(), groups: loaded.groups_of(&entity.id) };
        let policies = subject.policies();
        assert!(policies.is_sorted(), "{policies:?} are not sorted");
        for template in ["{{identity.entity.name}}/*", "{{identity.groups.ids.g.name}}", "{{identity.entity.aliases.a.metadata.k}}", "a"] {
            if let Made::Path(path) = subject.fill(template) {
                assert!(path.matches('*').count() == template.matches('*').count(), "{path:?} has another wildcard than {template:?}");
            }
        }
    }
}

impl Loaded {
    /// Local aliases come last, when all entities are there.
    fn add(&mut self, item: Item) {
        match item {
            Item::Entity(entity) => {
                self.name(&entity.id, &entity.aliases);
                self.merged.extend(entity.merged.iter().map(|merged| (merged.clone(), entity.id.clone())));
                self.entities.insert(entity.id.clone(), entity);
            }
            Item::Group(group) => {
                for member in &group.members {
                    self.memberships.entry(member.clone()).or_default().push(group.id.clone());
                }
                self.groups.insert(group.id.clone(), Arc::new(group));
            }
            Item::LocalAliases(id, aliases) => {
                self.name(&id, &aliases);
                if let Some(entity) = self.entities.get_mut(&id) {
                    entity.aliases.extend(aliases);
                }
            }
            Item::Other => {}
        }
    }

    fn name(&mut self, id: &str, aliases: &[Alias]) {
        self.aliases.extend(aliases.iter().map(|alias| ((alias.mount_accessor.clone(), alias.name.clone()), id.to_owned())));
    }

    fn groups_of(&self, entity: &str) -> Vec<Arc<Group>> {
        let mut ids: Vec<&String> = self.memberships.get(entity).into_iter().flatten().collect();
        let mut found: BTreeMap<&String, &Arc<Group>> = BTreeMap::new();
        while let Some(id) = ids.pop() {
            let Some(group) = self.groups.get(id) else { continue };
            // Groups could be within each other.
            if found.insert(id, group).is_none() {
                ids.extend(&group.parents);
            }
        }
        found.into_values().cloned().collect()
    }
}
