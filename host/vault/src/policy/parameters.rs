//! Which fields, with which values, a policy allows or denies in a request.

use std::collections::BTreeMap;

use cofferdam_hcl::{Kind, Value};

use crate::logical::Fields;

/// A value that a policy names. As in Vault, numbers and objects of a policy equal nothing that a request can hold.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Wanted {
    /// Text, with `*` at either end for any text there.
    Text(String),
    Bool(bool),
    List(Vec<Wanted>),
    Nothing,
}

impl Wanted {
    pub(crate) fn from_hcl(value: &Value) -> Wanted {
        match &value.kind {
            Kind::String(text) => Wanted::Text(text.clone()),
            Kind::Bool(value) => Wanted::Bool(*value),
            Kind::List(values) => Wanted::List(values.iter().map(Wanted::from_hcl).collect()),
            Kind::Number(_) | Kind::Object(_) | Kind::Null => Wanted::Nothing,
        }
    }

    fn matches(&self, value: &serde_json::Value) -> bool {
        match (self, value) {
            (Wanted::Text(glob), serde_json::Value::String(text)) => glob_matches(glob, text),
            _ => self.equals(value),
        }
    }

    /// Without globs, as inside a list.
    fn equals(&self, value: &serde_json::Value) -> bool {
        match (self, value) {
            (Wanted::Text(wanted), serde_json::Value::String(text)) => wanted == text,
            (Wanted::Bool(wanted), serde_json::Value::Bool(value)) => wanted == value,
            (Wanted::List(wanted), serde_json::Value::Array(values)) => {
                wanted.len() == values.len() && wanted.iter().zip(values).all(|(wanted, value)| wanted.equals(value))
            }
            _ => false,
        }
    }
}

/// `*` at an end of the glob stands for any text; alone it is an asterisk, as Vault has it.
fn glob_matches(glob: &str, text: &str) -> bool {
    if glob.len() < 2 {
        return glob == text;
    }
    match (glob.strip_prefix('*'), glob.strip_suffix('*')) {
        (Some(rest), Some(_)) => rest.strip_suffix('*').is_some_and(|middle| text.contains(middle)),
        (Some(end), None) => text.ends_with(end),
        (None, Some(start)) => text.starts_with(start),
        (None, None) => glob == text,
    }
}

/// Names of fields in lower case, each with the values meant; none means all. The name `*` stands for every other field.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Parameters(pub(crate) BTreeMap<String, Vec<Wanted>>);

impl Parameters {
    /// Adds the values of another policy for the same path. A field that either names without values stays without.
    pub(crate) fn merge(&mut self, other: &Parameters) {
        for (name, values) in &other.0 {
            match self.0.get_mut(name) {
                None => {
                    self.0.insert(name.clone(), values.clone());
                }
                Some(mine) if mine.is_empty() || values.is_empty() => mine.clear(),
                Some(mine) => mine.extend_from_slice(values),
            }
        }
    }

    /// Whether a policy that denies these lets the fields pass.
    pub(crate) fn denied_pass(&self, data: &Fields) -> bool {
        if self.0.is_empty() {
            return true;
        }
        !self.0.contains_key("*")
            && data.iter().all(|(name, value)| self.0.get(&name.to_lowercase()).is_none_or(|values| !holds(values, value)))
    }

    /// Whether a policy that allows only these lets the fields pass.
    pub(crate) fn allowed_pass(&self, data: &Fields) -> bool {
        if self.0.is_empty() {
            return true;
        }
        let others = self.0.contains_key("*");
        if others && self.0.len() == 1 {
            return true;
        }
        data.iter().all(|(name, value)| self.0.get(&name.to_lowercase()).map_or(others, |values| holds(values, value)))
    }
}

fn holds(values: &[Wanted], value: &serde_json::Value) -> bool {
    values.is_empty() || values.iter().any(|wanted| wanted.matches(value))
}
