//! The configuration file: the keys of the flags, and `secret` blocks. The rule: an unknown key is a mistake, at its place.

use std::path::Path;

use cofferdam_hcl::{Item, Kind, nearest};

use super::lookup::{File, KEYS};

/// Of a `secret` block.
const SECRET: [&str; 2] = ["path", "file"];

/// Reads it; what is wrong in it goes to `mistakes`.
pub(super) fn read(path: &Path, mistakes: &mut Vec<String>) -> Option<File> {
    let named = path.display();
    let bytes = std::fs::read(path).map_err(|error| mistakes.push(format!("{named}: cannot be read: {error}"))).ok()?;
    let root = cofferdam_hcl::parse_bytes(&bytes).map_err(|error| mistakes.push(format!("{named}:{error}"))).ok()?;
    let file = File { path: path.to_owned(), root };
    for (index, item) in file.root.items.iter().enumerate() {
        if let Err(message) = check(&file, item, index) {
            mistakes.push(format!("{}: {message}", file.at(item.pos)));
        }
    }
    Some(file)
}

fn check(file: &File, item: &Item, index: usize) -> Result<(), String> {
    let name = item.name();
    if name == "secret" {
        return secret(item);
    }
    if !KEYS.iter().any(|(key, _)| *key == name) {
        let known = KEYS.iter().map(|(key, _)| *key).chain(["secret"]);
        return Err(unknown(name, nearest(name, known)));
    }
    let twice = file.root.items.iter().take(index).find(|earlier| earlier.name() == name);
    if let Some(earlier) = twice {
        return Err(format!("{name}: set twice, first at {}: remove one", earlier.pos));
    }
    if item.keys.len() > 1 {
        return Err(format!("{name}: expected a value, found a block"));
    }
    item.value.setting().map(|_| ()).map_err(|error| format!("{name}: {}", error.message))
}

/// `secret "name" { path = "…" file = "…" }`.
fn secret(item: &Item) -> Result<(), String> {
    let expected = || "secret: expected secret \"name\" { path = \"…\" file = \"…\" }".to_owned();
    let (Some(_), 2, Kind::Object(body)) = (item.label(0), item.keys.len(), &item.value.kind) else { return Err(expected()) };
    for inner in &body.items {
        let name = inner.name();
        if !SECRET.contains(&name) {
            return Err(unknown(name, nearest(name, SECRET)));
        }
        inner.value.setting().map_err(|error| format!("{name}: {}", error.message))?;
    }
    Ok(())
}

fn unknown(name: &str, near: Option<&str>) -> String {
    let hint = near.map_or_else(|| "remove it".to_owned(), |near| format!("did you mean {near:?}?"));
    format!("unknown key {name:?}: {hint}")
}
