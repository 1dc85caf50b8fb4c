//! Expressions: conditions, key conditions, projections, `SET` updates. What is not one of these, and a name or value given in vain, is an error.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::{Item, Refusal, invalid};

/// Reserved words that are attributes of the layout: to be named by `#` alone.
const RESERVED: [&str; 4] = ["PATH", "KEY", "VALUE", "IDENTITY"];

/// The names and values that a request gives its expressions.
pub(super) struct Words<'a> {
    names: Option<&'a Map<String, Value>>,
    values: Option<&'a Map<String, Value>>,
    used: RefCell<BTreeSet<String>>,
}

impl<'a> Words<'a> {
    pub(super) fn of(body: &'a Value) -> Words<'a> {
        let map = |name: &str| body.get(name).and_then(Value::as_object);
        Words { names: map("ExpressionAttributeNames"), values: map("ExpressionAttributeValues"), used: RefCell::default() }
    }

    fn name(&self, word: &str) -> Result<String, Refusal> {
        if word.starts_with('#') {
            self.used.borrow_mut().insert(word.to_owned());
            let name = self.names.and_then(|names| names.get(word)).and_then(Value::as_str);
            return name.map(str::to_owned).ok_or_else(|| invalid(format!("{word} is not among ExpressionAttributeNames")));
        }
        if RESERVED.contains(&word.to_uppercase().as_str()) {
            return Err(invalid(format!("{word} is a reserved word")));
        }
        if word.chars().all(|c| c.is_ascii_alphanumeric()) { Ok(word.to_owned()) } else { Err(invalid(format!("{word} is no name"))) }
    }

    fn value(&self, word: &str) -> Result<&'a Value, Refusal> {
        self.used.borrow_mut().insert(word.to_owned());
        let value = self.values.and_then(|values| values.get(word));
        value.ok_or_else(|| invalid(format!("{word} is not among ExpressionAttributeValues")))
    }

    /// That every name and value was of use.
    pub(super) fn all_used(&self) -> Result<(), Refusal> {
        let given = [self.names, self.values].into_iter().flatten().flat_map(Map::keys);
        let used = self.used.borrow();
        given.filter(|word| !used.contains(*word)).try_for_each(|word| Err(invalid(format!("{word} is given and not used"))))
    }

    /// The attributes of a projection.
    pub(super) fn projection(&self, text: &str) -> Result<Vec<String>, Refusal> {
        text.split(',').map(|word| self.name(word.trim())).collect()
    }

    /// The assignments of an update.
    pub(super) fn assignments(&self, text: &str) -> Result<Vec<(String, Value)>, Refusal> {
        let list = text.trim().strip_prefix("SET ").ok_or_else(|| invalid(format!("the update {text:?} is no SET")))?;
        let assignment = |part: &str| {
            let (name, value) = part.split_once('=').ok_or_else(|| invalid(format!("{part:?} is no assignment")))?;
            Ok((self.name(name.trim())?, self.value(value.trim())?.clone()))
        };
        list.split(',').map(assignment).collect()
    }

    /// Whether the condition holds of the item.
    pub(super) fn holds(&self, text: &str, item: Option<&Item>) -> Result<bool, Refusal> {
        let mut parser = Parser { words: self, item, tokens: tokens(text), at: 0 };
        let holds = parser.or()?;
        if parser.at == parser.tokens.len() { Ok(holds) } else { Err(parser.wrong()) }
    }

    /// The partition that a key condition names, after a look at its form: the hash key by `=`, and at most one condition on the range key.
    pub(super) fn partition(&self, text: &str) -> Result<String, Refusal> {
        let tokens = tokens(text);
        let form = || invalid(format!("the key condition {text:?} has not the form `Path = :p [AND Key …]`"));
        let [name, equals, value, rest @ ..] = &tokens[..] else { return Err(form()) };
        let range = match rest {
            [] => None,
            [and, range, op, _] if and == "AND" && ["=", "<", "<=", ">", ">="].contains(&op.as_str()) => Some(range),
            [and, range, between, _, _, _] if and == "AND" && between == "BETWEEN" => Some(range),
            [and, begins, _, range, _, _, _] if and == "AND" && begins == "begins_with" => Some(range),
            _ => return Err(form()),
        };
        let range = range.map(|range| self.name(range)).transpose()?;
        if equals != "=" || self.name(name)? != "Path" || range.is_some_and(|range| range != "Key") {
            return Err(form());
        }
        self.value(value)?.get("S").and_then(Value::as_str).map(str::to_owned).ok_or_else(form)
    }
}

fn tokens(text: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut word = false;
    for c in text.chars() {
        let part = c.is_ascii_alphanumeric() || matches!(c, '_' | '#' | ':' | '.');
        match tokens.last_mut() {
            Some(last) if part && word => last.push(c),
            Some(last) if !part && !word && matches!((last.as_str(), c), ("<", '=' | '>') | (">", '=')) => last.push(c),
            _ if c.is_whitespace() => {}
            _ => tokens.push(c.to_string()),
        }
        word = part;
    }
    tokens
}

struct Parser<'a> {
    words: &'a Words<'a>,
    item: Option<&'a Item>,
    tokens: Vec<String>,
    at: usize,
}

impl Parser<'_> {
    fn wrong(&self) -> Refusal {
        invalid(format!("cannot read the expression at word {} of {:?}", self.at, self.tokens))
    }

    fn next(&mut self) -> Result<String, Refusal> {
        let token = self.tokens.get(self.at).cloned().ok_or_else(|| self.wrong())?;
        self.at += 1;
        Ok(token)
    }

    fn take(&mut self, token: &str) -> bool {
        let taken = self.tokens.get(self.at).is_some_and(|next| next == token);
        self.at += usize::from(taken);
        taken
    }

    fn expect(&mut self, token: &str) -> Result<(), Refusal> {
        if self.take(token) { Ok(()) } else { Err(self.wrong()) }
    }

    fn or(&mut self) -> Result<bool, Refusal> {
        let mut holds = self.and()?;
        while self.take("OR") {
            holds |= self.and()?;
        }
        Ok(holds)
    }

    fn and(&mut self) -> Result<bool, Refusal> {
        let mut holds = self.one()?;
        while self.take("AND") {
            holds &= self.one()?;
        }
        Ok(holds)
    }

    fn one(&mut self) -> Result<bool, Refusal> {
        if self.take("NOT") {
            return Ok(!self.one()?);
        }
        if self.take("(") {
            let holds = self.or()?;
            self.expect(")")?;
            return Ok(holds);
        }
        for function in ["attribute_exists", "attribute_not_exists", "begins_with"] {
            if self.take(function) {
                self.expect("(")?;
                let value = self.operand()?;
                let holds = match function {
                    "attribute_exists" => value.is_some(),
                    "attribute_not_exists" => value.is_none(),
                    _ => {
                        self.expect(",")?;
                        let start = self.operand()?;
                        let text = |value: &Option<Value>| value.as_ref()?.get("S")?.as_str().map(str::to_owned);
                        text(&value).zip(text(&start)).is_some_and(|(value, start)| value.starts_with(&start))
                    }
                };
                self.expect(")")?;
                return Ok(holds);
            }
        }
        let left = self.operand()?;
        let operator = self.next()?;
        let right = self.operand()?;
        let ordering = compare(left.as_ref(), right.as_ref())?;
        Ok(match operator.as_str() {
            "=" => ordering == Some(Ordering::Equal),
            "<>" => ordering != Some(Ordering::Equal),
            "<" => ordering == Some(Ordering::Less),
            "<=" => matches!(ordering, Some(Ordering::Less | Ordering::Equal)),
            ">" => ordering == Some(Ordering::Greater),
            ">=" => matches!(ordering, Some(Ordering::Greater | Ordering::Equal)),
            "BETWEEN" => {
                self.expect("AND")?;
                let last = self.operand()?;
                let upper = compare(left.as_ref(), last.as_ref())?;
                matches!(ordering, Some(Ordering::Greater | Ordering::Equal)) && matches!(upper, Some(Ordering::Less | Ordering::Equal))
            }
            _ => return Err(self.wrong()),
        })
    }

    fn operand(&mut self) -> Result<Option<Value>, Refusal> {
        let word = self.next()?;
        if word.starts_with(':') {
            return self.words.value(&word).cloned().map(Some);
        }
        let name = self.words.name(&word)?;
        Ok(self.item.and_then(|item| item.get(&name)).cloned())
    }
}

/// The order of two values of one type; none if one is missing or they are of different types.
fn compare(left: Option<&Value>, right: Option<&Value>) -> Result<Option<Ordering>, Refusal> {
    let (Some(left), Some(right)) = (left.and_then(Value::as_object), right.and_then(Value::as_object)) else { return Ok(None) };
    let (Some((left_type, left)), Some((right_type, right))) = (left.iter().next(), right.iter().next()) else { return Ok(None) };
    if left_type != right_type {
        return Ok(None);
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (left, right) = (text(left), text(right));
    Ok(Some(match left_type.as_str() {
        "S" => left.cmp(&right),
        "N" => number(&left)?.cmp(&number(&right)?),
        "B" => bytes(&left)?.cmp(&bytes(&right)?),
        other => return Err(invalid(format!("values of type {other} are not compared here"))),
    }))
}

pub(super) fn number(text: &str) -> Result<i128, Refusal> {
    text.parse().map_err(|_| invalid(format!("the number {text:?} is no integer")))
}

pub(super) fn bytes(text: &str) -> Result<Vec<u8>, Refusal> {
    STANDARD.decode(text).map_err(|_| invalid(format!("{text:?} is no base64")))
}
