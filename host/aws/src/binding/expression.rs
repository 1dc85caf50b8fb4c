//! Expressions of DynamoDB, as far as a binding must understand them. The rule: an expression is words of a fixed set, names of our attributes,
//! placeholders and a few signs. So it can neither reach into documents nor name an attribute that is not of the layout.

use super::refusal::{Reason, Refusal};
use crate::scan::Value;

/// The attributes of Vault's table layout.
const ATTRIBUTES: [&str; 5] = ["Path", "Key", "Value", "Identity", "Expires"];

/// Words of the expression languages that our expressions need.
const WORDS: [&str; 8] = ["SET", "AND", "OR", "NOT", "BETWEEN", "attribute_exists", "attribute_not_exists", "begins_with"];

/// The longest expression.
const LONGEST: usize = 1024;

/// Whether a table of ours has such an attribute.
pub(super) fn is_attribute(name: &str) -> bool {
    ATTRIBUTES.contains(&name)
}

/// A placeholder after its sign.
pub(super) fn is_placeholder(text: &str, sign: char) -> bool {
    text.strip_prefix(sign).is_some_and(|name| (1..=32).contains(&name.len()) && name.bytes().all(part_of_word))
}

fn part_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Checks an expression.
pub(super) fn check(value: &Value<'_>) -> Result<(), Refusal> {
    let refused = |text: &str| Err(Refusal::new(Reason::Value, text));
    let Some(text) = value.plain() else {
        return refused("a text without escapes is wanted");
    };
    if text.len() > LONGEST {
        return refused("the expression is too long");
    }
    if !text.bytes().all(|byte| part_of_word(byte) || matches!(byte, b'#' | b':' | b'(' | b')' | b',' | b'=' | b'<' | b'>' | b' ')) {
        return refused("the expression holds a character that is not allowed");
    }
    let words = text.split(['(', ')', ',', '=', '<', '>', ' ']);
    for word in words.filter(|word| !word.is_empty()) {
        let known = WORDS.contains(&word) || is_attribute(word) || is_placeholder(word, '#') || is_placeholder(word, ':');
        if !known {
            return refused("the expression holds a word or an attribute that is not allowed");
        }
    }
    Ok(())
}

/// The two sides of a condition `name = :value`, the name resolved.
pub(super) fn equality<'a>(expression: &'a str, names: Option<&Value<'a>>) -> Option<(&'a str, &'a str)> {
    let (name, value) = expression.split_once('=')?;
    let (name, value) = (name.trim_matches(' '), value.trim_matches(' '));
    let name = if name.starts_with('#') { names?.member(name)?.plain()? } else { name };
    (is_attribute(name) && is_placeholder(value, ':')).then_some((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str) -> Result<(), Refusal> {
        check(&crate::scan::read(format!("\"{text}\"").as_bytes()).unwrap())
    }

    #[test]
    fn the_expressions_of_the_layout_pass() {
        for text in [
            "#p = :p AND begins_with(#k, :k)",
            "#p = :p AND #k > :after",
            "Path = :p AND #k BETWEEN :from AND :to",
            "SET #v = :value, Identity = :identity, Expires = :expires",
            "attribute_not_exists(#p) OR (NOT attribute_exists(Identity) AND #e <= :now)",
            "#p, #k, Expires",
            "#i<>:i",
        ] {
            assert_eq!(checked(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "Other = :x",
            "SET #v.inner = :x",
            "#v[0]",
            "REMOVE #v",
            "ADD #e :one",
            "DELETE #v :x",
            "#e + :one",
            "size(#v) > :n",
            "attribute_type(#v, :t)",
            "contains(#v, :x)",
            "#a#b = :x",
            "#",
            ":",
            "set #v = :x",
            "Path = 'x'",
            "#v = :x\\u0041",
            "#v = :x\\n",
        ] {
            assert!(checked(text).is_err(), "{text}");
        }
        assert!(checked(&"#v ".repeat(400)).is_err());
        assert!(check(&Value::Null).is_err());
    }

    #[test]
    fn an_equality_is_told_from_anything_more() {
        let names = crate::scan::read(br##"{"#i":"Identity","#o":"Other"}"##).unwrap();
        assert_eq!(equality("#i = :i", Some(&names)), Some(("Identity", ":i")));
        assert_eq!(equality("Identity=:i", None), Some(("Identity", ":i")));
        for text in [
            "#i = :i OR #i = :i",
            "NOT #i = :i",
            "#i <= :i",
            "#i >= :i",
            "#o = :i",
            "#x = :i",
            "#i = Identity",
            "(#i = :i)",
            "#i = :i = :i",
            "#i",
        ] {
            assert_eq!(equality(text, Some(&names)), None, "{text}");
        }
    }
}
