//! What a component says of itself: a name, a version, who made it and with what. Its author's word, and nothing more.
//!
//! The rule: it is shown as text that nobody checked, escaped and cut, and decides nothing.

use serde::Serialize;
use wasmparser::{ComponentName, ComponentNameSectionReader, Parser, Payload, ProducersSectionReader};

/// The longest text that is shown, in characters.
const LONGEST: usize = 200;
/// The most tools that are shown.
const TOOLS: usize = 8;

/// The word of a component's author.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Metadata {
    /// The component's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Who made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authors: Option<String>,
    /// Under which terms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub licenses: Option<String>,
    /// Where its source is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The tools that made it, with their versions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub made_with: Vec<String>,
}

/// Reads it at the outermost level. What cannot be read is not there: this is not what a component is judged by.
pub(super) fn read(bytes: &[u8]) -> Metadata {
    let mut found = Metadata::default();
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(bytes) {
        let Ok(payload) = payload else { break };
        match payload {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::CustomSection(section) if section.name() == "producers" => producers(&section, &mut found.made_with),
            Payload::CustomSection(section) if depth == 0 => {
                let text = || std::str::from_utf8(section.data()).ok().map(shown);
                match section.name() {
                    "component-name" => found.name = found.name.take().or_else(|| name(&section)),
                    "version" => found.version = text(),
                    "description" => found.description = text(),
                    "authors" => found.authors = text(),
                    "licenses" => found.licenses = text(),
                    "source" => found.source = text(),
                    _ => {}
                }
            }
            _ => {}
        }
    }
    found
}

fn name(section: &wasmparser::CustomSectionReader<'_>) -> Option<String> {
    let reader = ComponentNameSectionReader::new(wasmparser::BinaryReader::new(section.data(), section.data_offset()));
    reader.into_iter().flatten().find_map(|name| match name {
        ComponentName::Component { name, .. } => Some(shown(name)),
        _ => None,
    })
}

fn producers(section: &wasmparser::CustomSectionReader<'_>, tools: &mut Vec<String>) {
    let Ok(fields) = ProducersSectionReader::new(wasmparser::BinaryReader::new(section.data(), section.data_offset())) else { return };
    for value in fields.into_iter().flatten().filter(|field| field.name != "sdk").flat_map(|field| field.values.into_iter().flatten()) {
        let tool = shown(format!("{} {}", value.name, value.version).trim());
        if tools.len() < TOOLS && !tools.contains(&tool) {
            tools.push(tool);
        }
    }
}

/// A text of a component's for one line of a terminal.
pub(super) fn shown(text: &str) -> String {
    // Beside what steers a terminal also what turns the direction of text, or is not seen.
    let hidden = |c: char| matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    let escape = |c: char| match c {
        c if c.is_control() => c.escape_debug().to_string(),
        c if hidden(c) => c.escape_unicode().to_string(),
        c => c.to_string(),
    };
    text.chars().take(LONGEST).map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::{LONGEST, Metadata, read, shown};

    /// A component of nothing but one custom section.
    fn component(name: &str, data: &[u8]) -> Vec<u8> {
        let size = u8::try_from(1 + name.len() + data.len()).unwrap();
        let mut bytes = b"\0asm\x0d\0\x01\0\0".to_vec();
        bytes.extend([size, u8::try_from(name.len()).unwrap()]);
        bytes.extend(name.as_bytes());
        bytes.extend(data);
        bytes
    }

    #[test]
    fn what_a_component_says_is_shown() {
        assert_eq!(read(&component("version", b"1.2.3")).version.as_deref(), Some("1.2.3"));
        // Subsection 0 of the names, of 5 bytes: a name of 4.
        assert_eq!(read(&component("component-name", b"\0\x05\x04etcd")).name.as_deref(), Some("etcd"));
        let tools = b"\x01\x0cprocessed-by\x01\x05rustc\x041.95";
        assert_eq!(read(&component("producers", tools)).made_with, ["rustc 1.95"]);
    }

    #[test]
    fn nothing_of_it_moves_the_cursor_or_fills_the_screen() {
        assert_eq!(read(&component("version", b"1\x1b[2J\n2")).version.as_deref(), Some("1\\u{1b}[2J\\n2"));
        assert_eq!(shown("a\u{202e}b\u{2066}c\u{200b}\u{2028}d\u{feff}ä"), "a\\u{202e}b\\u{2066}c\\u{200b}\\u{2028}d\\u{feff}ä");
        assert_eq!(shown(&"x".repeat(LONGEST + 1)).len(), LONGEST);
        for damaged in
            [&component("producers", b"\xff\xff")[..], &component("component-name", b"\0\x7f"), &component("version", b"\xff"), b"\0asm"]
        {
            assert_eq!(read(damaged), Metadata::default());
        }
    }
}
