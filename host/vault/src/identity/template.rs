//! Paths of policies that are made from an identity: `secret/{{identity.entity.name}}/*`.

use std::collections::BTreeMap;

use super::Subject;

/// What a path with `{{…}}` in it comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Made {
    /// This path.
    Path(String),
    /// None: the identity has no such value. The rule is for no path then.
    Nothing,
    /// The identity's value has a wildcard in it, which would change for which paths the rule is.
    Wild,
}

impl Subject {
    /// The path that a rule is for.
    pub(crate) fn fill(&self, template: &str) -> Made {
        let mut pieces = template.split("{{");
        let mut path = pieces.next().unwrap_or_default().to_owned();
        for piece in pieces {
            let Some((name, rest)) = piece.split_once("}}") else { return Made::Nothing };
            let Some(value) = self.value(name.trim()).filter(|value| !value.is_empty()) else { return Made::Nothing };
            if value.contains('*') || value.starts_with('+') || value.contains("/+") {
                return Made::Wild;
            }
            path.push_str(value);
            path.push_str(rest);
        }
        Made::Path(path)
    }

    fn value(&self, name: &str) -> Option<&str> {
        let name = name.strip_prefix("identity.")?;
        if let Some(name) = name.strip_prefix("entity.") {
            return self.of_entity(name);
        }
        let (by_id, name) = match name.strip_prefix("groups.ids.") {
            Some(name) => (true, name),
            None => (false, name.strip_prefix("groups.names.")?),
        };
        let (wanted, name) = name.split_once('.')?;
        let group = self.groups.iter().find(|group| wanted == if by_id { &group.id } else { &group.name })?;
        match name {
            "id" => Some(&group.id),
            "name" => Some(&group.name),
            _ => member(&group.metadata, name.strip_prefix("metadata.")?),
        }
    }

    fn of_entity(&self, name: &str) -> Option<&str> {
        let entity = &self.entity;
        match name {
            "id" => return Some(&entity.id),
            "name" => return Some(&entity.name),
            _ => {}
        }
        if let Some(name) = name.strip_prefix("metadata.") {
            return member(&entity.metadata, name);
        }
        let (accessor, name) = name.strip_prefix("aliases.")?.split_once('.')?;
        let alias = entity.aliases.iter().find(|alias| alias.mount_accessor == accessor)?;
        match name {
            "id" => Some(&alias.id),
            "name" => Some(&alias.name),
            _ => match name.strip_prefix("custom_metadata.") {
                Some(name) => member(&alias.custom_metadata, name),
                None => member(&alias.metadata, name.strip_prefix("metadata.")?),
            },
        }
    }
}

fn member<'a>(map: &'a BTreeMap<String, String>, name: &str) -> Option<&'a str> {
    map.get(name).map(String::as_str)
}
