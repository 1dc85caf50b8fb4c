//! Finding and reading configuration files, and the places of what they hold.

use super::{Builder, Config, ConfigError, Environment, Place, Purpose};
use cofferdam_hcl::{Item, Key, Kind, Object, Pos, Value};
use std::path::{Path, PathBuf};

/// Reads the files that the `--config` flags name, in order; of a directory, its `*.hcl` and `*.json` in lexical order.
pub(crate) fn load(paths: &[PathBuf], environment: &Environment) -> Result<Config, ConfigError> {
    read(paths, environment, Purpose::Serve)
}

/// The same for who serves nothing: it has no listeners, and their names need not be known here.
pub(crate) fn look(paths: &[PathBuf], environment: &Environment) -> Result<Config, ConfigError> {
    read(paths, environment, Purpose::Look)
}

fn read(paths: &[PathBuf], environment: &Environment, purpose: Purpose) -> Result<Config, ConfigError> {
    let mut builder = Builder::default();
    let mut files = paths.to_vec();
    for path in paths {
        for file in expand(path)? {
            files.push(file.clone());
            let bytes =
                std::fs::read(&file).map_err(|error| ConfigError::whole(file.display().to_string(), format!("cannot be read: {error}")))?;
            let source = Source { file };
            let root = cofferdam_hcl::parse_bytes(&bytes).map_err(|error| source.error(error))?;
            builder.file(&source, &root)?;
        }
    }
    let names: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    Ok(Config { files, ..builder.finish(environment, &names.join(", "), purpose)? })
}

fn expand(path: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let fail = |message: String| ConfigError::whole(path.display().to_string(), message);
    let metadata = std::fs::metadata(path).map_err(|error| fail(format!("cannot be read: {error}")))?;
    if !metadata.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(|error| fail(format!("cannot be listed: {error}")))? {
        let file = entry.map_err(|error| fail(format!("cannot be listed: {error}")))?.path();
        let wanted = matches!(file.extension().and_then(|extension| extension.to_str()), Some("hcl" | "json"));
        // Lock and backup files of editors: `.#x.hcl`, `#x.hcl`.
        let left_by_editor =
            file.file_name().and_then(|name| name.to_str()).is_none_or(|name| name.starts_with(".#") || name.starts_with('#'));
        if wanted && !left_by_editor && file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() { Err(fail("the directory holds no *.hcl and no *.json file".to_owned())) } else { Ok(files) }
}

/// A file that is being read.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// Its path as given.
    pub file: PathBuf,
}

/// A block with its first label.
pub(crate) struct Block<'a> {
    /// The label: the type of a listener, a seal, a storage.
    pub label: &'a Key,
    /// What it holds.
    pub body: &'a Object,
}

impl Source {
    /// A place in this file.
    pub(crate) fn place(&self, pos: Pos) -> Place {
        Place { file: self.file.clone(), pos }
    }

    /// An error at a place in this file.
    pub(crate) fn at(&self, pos: Pos, message: impl Into<String>) -> ConfigError {
        ConfigError::new(self.place(pos), message)
    }

    /// An error of the parser's or a reader's, in this file.
    pub(crate) fn error(&self, error: cofferdam_hcl::Error) -> ConfigError {
        self.at(error.pos, error.message)
    }

    /// The value of the attribute `name`, read by `read`; its errors name the attribute.
    pub(crate) fn value<T>(
        &self,
        object: &Object,
        name: &str,
        read: impl Fn(&Value) -> cofferdam_hcl::Result<T>,
    ) -> Result<Option<(T, Place)>, ConfigError> {
        let Some(item) = object.get(name) else { return Ok(None) };
        match read(&item.value) {
            Ok(value) => Ok(Some((value, self.place(item.value.pos)))),
            Err(error) => Err(self.at(error.pos, format!("{name}: {}", error.message))),
        }
    }

    /// The attribute `name` as a string that `parse` understands.
    pub(crate) fn parsed<T>(
        &self,
        object: &Object,
        name: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, ConfigError> {
        match self.value(object, name, Value::string)? {
            Some((text, place)) if !text.is_empty() => {
                parse(&text).map(Some).map_err(|message| ConfigError::new(place, format!("{name}: {message}")))
            }
            _ => Ok(None),
        }
    }

    /// A switch; false where it is not set.
    pub(crate) fn switch(&self, object: &Object, name: &str) -> Result<bool, ConfigError> {
        Ok(self.value(object, name, Value::boolean)?.is_some_and(|(on, _)| on))
    }

    /// The labelled blocks that an item stands for: `name "label" { … }`, or `name = { label { … } }`.
    pub(crate) fn blocks<'a>(&self, item: &'a Item, wanted: &str) -> Result<Vec<Block<'a>>, ConfigError> {
        let body = item.value.object().map_err(|error| self.at(error.pos, format!("{}: {}", item.name(), error.message)))?;
        match item.keys.as_slice() {
            [_, label] => Ok(vec![Block { label, body }]),
            [_] if !body.items.is_empty() => body
                .items
                .iter()
                .map(|inner| match (inner.keys.as_slice(), &inner.value.kind) {
                    ([label], Kind::Object(body)) => Ok(Block { label, body }),
                    _ => Err(self.at(item.pos, format!("{}: expected {wanted}", item.name()))),
                })
                .collect(),
            _ => Err(self.at(item.pos, format!("{}: expected {wanted}", item.name()))),
        }
    }
}
