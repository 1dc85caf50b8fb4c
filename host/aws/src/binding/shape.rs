//! The forms that parts of a request may have, and the check of a request against them. The rule: an object holds the members that its form
//! names and no other, at every level.

use std::borrow::Cow;

use cofferdam_runtime::Purpose;

use super::expression;
use super::refusal::{Reason, Refusal};
use crate::scan::Value;

/// The form of a value.
pub(super) enum Shape {
    /// The name of the table.
    Table,
    /// A plain text that names a choice or a token.
    Word,
    Flag,
    Number,
    /// Path and Key of an item that is read or looked at.
    Key,
    /// Path and Key of an item that is changed or removed.
    Target,
    /// A whole item to be stored.
    Item,
    Expression,
    /// Placeholders for our attributes.
    Names,
    /// Placeholders for values.
    Values,
    /// An object of these members.
    Record(&'static [Member]),
    /// An object of exactly one of these members.
    Choice(&'static [Member]),
    /// A list of one to so many.
    List(&'static Shape, usize),
    /// An object whose one member is named as the table.
    OfTable(&'static Shape),
}

/// A member of an object.
pub(super) struct Member {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    pub(super) required: bool,
}

/// A member that may be left out.
pub(super) const fn may(name: &'static str, shape: Shape) -> Member {
    Member { name, shape, required: false }
}

/// A member that must be there.
pub(super) const fn must(name: &'static str, shape: Shape) -> Member {
    Member { name, shape, required: true }
}

/// Path and Key of an item.
#[derive(Debug)]
pub(super) struct ItemKey<'a> {
    pub(super) path: Cow<'a, str>,
    pub(super) key: Cow<'a, str>,
}

impl<'a> ItemKey<'a> {
    /// Whether the lock of this key is kept here, as Vault has it: `core/lock` is the item `_lock` of `core`.
    pub(super) fn is_of_lock(&self, lock: &str) -> bool {
        let (path, name) = lock.rsplit_once('/').unwrap_or((" ", lock));
        self.path == path && self.key.strip_prefix('_') == Some(name)
    }

    /// Reads the members Path and Key.
    pub(super) fn read(value: &Value<'a>) -> Option<ItemKey<'a>> {
        let text = |name| match value.member(name)?.members()? {
            [("S", Value::String(text))] => text.decoded(),
            _ => None,
        };
        Some(ItemKey { path: text("Path")?, key: text("Key")? })
    }
}

/// What a request is checked against.
pub(super) struct Scope<'a> {
    pub(super) table: &'a str,
    pub(super) purpose: Purpose,
    /// The locks whose items no mutation of data may touch.
    pub(super) locks: [Option<&'a str>; 2],
}

impl Scope<'_> {
    pub(super) fn check(&self, value: &Value<'_>, shape: &Shape) -> Result<(), Refusal> {
        match shape {
            Shape::Table => self.table(value.plain()),
            Shape::Word => match value.plain() {
                Some(text) if (1..=64).contains(&text.len()) => Ok(()),
                _ => wrong("a short text without escapes is wanted"),
            },
            Shape::Flag if matches!(value, Value::Bool(_)) => Ok(()),
            Shape::Number if matches!(value, Value::Number(text) if text.len() <= 10) => Ok(()),
            Shape::Flag => wrong("true or false is wanted"),
            Shape::Number => wrong("a number is wanted"),
            Shape::Key => self.key(value, false),
            Shape::Target => self.key(value, true),
            Shape::Item => self.item(value),
            Shape::Expression => expression::check(value),
            Shape::Names => names(value),
            Shape::Values => values(value),
            Shape::Record(members) => self.record(value, members),
            Shape::Choice(members) => match value.members() {
                Some([_]) => self.record(value, members),
                _ => wrong("an object of one member is wanted"),
            },
            Shape::List(shape, most) => match value {
                Value::Array(items) if (1..=*most).contains(&items.len()) => items.iter().try_for_each(|item| self.check(item, shape)),
                _ => wrong(format!("a list of 1 to {most} is wanted")),
            },
            Shape::OfTable(shape) => match value.members() {
                Some([(name, value)]) => self.table(Some(name)).and_then(|()| self.check(value, shape)),
                _ => wrong("an object of one table is wanted"),
            },
        }
    }

    fn table(&self, name: Option<&str>) -> Result<(), Refusal> {
        if name == Some(self.table) {
            return Ok(());
        }
        Err(Refusal::new(Reason::Table, "this backend is bound to one table, which is to be named as configured"))
    }

    pub(super) fn record(&self, value: &Value<'_>, members: &[Member]) -> Result<(), Refusal> {
        let Some(given) = value.members() else {
            return wrong("an object is wanted");
        };
        for (name, value) in given {
            let known = members.iter().find(|member| member.name == *name);
            let checked = match known {
                Some(member) => self.check(value, &member.shape),
                None => Err(Refusal::new(Reason::Member, "this member is not allowed")),
            };
            checked.map_err(|refusal| refusal.below(name))?;
        }
        match members.iter().find(|member| member.required && value.member(member.name).is_none()) {
            Some(missing) => Err(Refusal::new(Reason::Member, "this member is missing").below(missing.name)),
            None => Ok(()),
        }
    }

    fn key(&self, value: &Value<'_>, changed: bool) -> Result<(), Refusal> {
        match (value.members().map(<[_]>::len), ItemKey::read(value)) {
            (Some(2), Some(key)) => self.may_touch(&key, changed),
            _ => wrong("Path and Key, both texts, are wanted"),
        }
    }

    /// Locks and data do not get at each other.
    fn may_touch(&self, key: &ItemKey<'_>, changed: bool) -> Result<(), Refusal> {
        if self.purpose == Purpose::Lock && !key.key.starts_with('_') {
            return Err(Refusal::new(Reason::Lock, "only lock items may be used here"));
        }
        if changed && self.purpose != Purpose::Lock && self.locks.into_iter().flatten().any(|lock| key.is_of_lock(lock)) {
            return Err(Refusal::new(Reason::Lock, "a lock item may not be changed as data"));
        }
        Ok(())
    }

    fn item(&self, value: &Value<'_>) -> Result<(), Refusal> {
        let (Some(3), Some(key), Some(stored)) = (value.members().map(<[_]>::len), ItemKey::read(value), value.member("Value")) else {
            return wrong("Path and Key, both texts, and Value are wanted");
        };
        match stored.members() {
            Some([("B", Value::String(_)) | ("NULL", Value::Bool(true))]) => self.may_touch(&key, true),
            _ => wrong("B or NULL is wanted").map_err(|refusal| refusal.below("Value")),
        }
    }
}

fn wrong(text: impl Into<String>) -> Result<(), Refusal> {
    Err(Refusal::new(Reason::Value, text))
}

fn names(value: &Value<'_>) -> Result<(), Refusal> {
    let fit =
        |(name, meant): &(&str, Value<'_>)| expression::is_placeholder(name, '#') && meant.plain().is_some_and(expression::is_attribute);
    match value.members() {
        Some(given) if given.iter().all(fit) => Ok(()),
        _ => wrong("placeholders for attributes of the layout are wanted"),
    }
}

fn values(value: &Value<'_>) -> Result<(), Refusal> {
    let fit = |(name, meant): &(&str, Value<'_>)| {
        expression::is_placeholder(name, ':')
            && matches!(meant.members(), Some([("S" | "B" | "N", Value::String(_)) | ("NULL", Value::Bool(true))]))
    };
    match value.members() {
        Some(given) if given.iter().all(fit) => Ok(()),
        _ => wrong("placeholders for texts, bytes, numbers or NULL are wanted"),
    }
}
