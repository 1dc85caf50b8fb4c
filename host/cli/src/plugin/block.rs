//! A `plugin` block to paste: what a component asks for, with values that are to be replaced.
//!
//! The rule: it is a configuration as it stands, and grants nothing that the component could run without.

use crate::config::{Role, is_builtin};
use cofferdam_aws::{DynamoDb, Kms};
use std::fmt::Display;

/// The block of this role and name with these lines of its own, and these grants.
pub(crate) fn text(role: Role, name: &str, own: &[(&str, &str)], grants: &[&str]) -> String {
    let mut text = format!("plugin \"{role}\" {} {{\n", quoted(name));
    text.push_str(&aligned("  ", own));
    // What a component of the release is granted follows from its stanza.
    if !is_builtin(role, name) {
        for grant in grants {
            text.push_str(&self::grant(role, name, grant));
        }
    }
    text.push_str("}\n");
    text
}

/// A block of one grant.
pub(crate) fn grant(role: Role, name: &str, grant: &str) -> String {
    let lines = match grant {
        "directory" => vec![("path", quoted(&format!("/var/lib/coffer/{name}"))), ("access", quoted("read-write"))],
        "http" => vec![
            ("scheme", quoted("https")),
            ("host", quoted(&format!("{}.example.com", name.replace('_', "-").to_ascii_lowercase()))),
            ("port", "443".to_owned()),
        ],
        "aws" => aws(role),
        _ => Vec::new(),
    };
    format!("  grant \"{grant}\" {{\n{}  }}\n", aligned("    ", &lines))
}

/// A line for each key, their values one below the other.
fn aligned(indent: &str, lines: &[(&str, impl Display)]) -> String {
    let width = lines.iter().map(|(key, _)| key.len()).max().unwrap_or(0);
    lines.iter().map(|(key, value)| format!("{indent}{key:width$} = {value}\n")).collect()
}

fn aws(role: Role) -> Vec<(&'static str, String)> {
    let list = |names: Vec<&str>| format!("[{}]", names.into_iter().map(quoted).collect::<Vec<_>>().join(", "));
    let (service, operations, resource) = match role {
        Role::Storage => ("dynamodb", DynamoDb::operations().collect(), "arn:aws:dynamodb:eu-central-1:111122223333:table/NAME"),
        Role::Seal => {
            ("kms", Kms::operations().collect(), "arn:aws:kms:eu-central-1:111122223333:key/00000000-0000-0000-0000-000000000000")
        }
    };
    vec![("service", quoted(service)), ("operations", list(operations)), ("resource", quoted(resource))]
}

/// A text as HCL writes it.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            // What follows it could be taken for an interpolation.
            '$' => quoted.push_str("\\u0024"),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::{quoted, text};
    use crate::config::Role;

    #[test]
    fn what_is_quoted_is_read_back() {
        for odd in ["plain", "a \"b\" \\ c", "two\nlines", "tab\tbell\u{7}", "ä ${x}", "${", ""] {
            let read = cofferdam_hcl::parse(&format!("a = {}", quoted(odd))).unwrap();
            assert_eq!(read.get("a").unwrap().value.string().unwrap(), odd);
        }
    }

    #[test]
    fn a_block_names_the_grants_but_for_a_component_of_the_release() {
        let block = text(Role::Storage, "etcd", &[("path", "\"/p\""), ("sha256", "\"0\"")], &["http"]);
        assert!(
            block
                .contains("plugin \"storage\" \"etcd\" {\n  path   = \"/p\"\n  sha256 = \"0\"\n  grant \"http\" {\n    scheme = \"https\""),
            "{block}"
        );
        assert!(!text(Role::Storage, "filesystem", &[], &["directory"]).contains("grant"));
    }
}
