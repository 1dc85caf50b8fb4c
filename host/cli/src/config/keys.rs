//! What becomes of each key: the check of an object against a table of known keys.

use super::{ConfigError, files::Source, nearest::nearest};
use cofferdam_hcl::Object;

/// What becomes of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is read, and may stand once.
    Supported,
    /// It is read, and may stand several times.
    Repeatable,
    /// It changes nothing here, whatever its value, and that is as it should be.
    Accepted,
    /// It is ignored with a warning that says why. Only for what cannot weaken safety.
    Ignored(&'static str),
    /// A switch that may be off; on, it is ignored with a warning.
    IgnoredIfOn(&'static str),
    /// A switch that may be off; on, it is an error that says why.
    RefusedIfOn(&'static str),
    /// It is an error that says why.
    Refused(&'static str),
}

/// A place for keys, and which are known there.
pub(crate) struct Scope<'a> {
    /// The file.
    pub file: &'a Source,
    /// For messages: `in listener "tcp"`.
    pub name: &'a str,
    /// The known keys.
    pub keys: &'a [(&'a str, Verdict)],
}

impl Scope<'_> {
    /// Checks every key of `object`, and adds to `warnings` what is ignored.
    pub(crate) fn check(&self, object: &Object, warnings: &mut Vec<String>) -> Result<(), ConfigError> {
        for (index, item) in object.items.iter().enumerate() {
            let name = item.name();
            let Some((_, verdict)) = self.keys.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)) else {
                let hint = match nearest(name, self.keys.iter().map(|(known, _)| *known)) {
                    Some(near) => format!("did you mean {near:?}?"),
                    None => "remove it".to_owned(),
                };
                return Err(self.file.at(item.pos, format!("unknown key {name:?} {}: {hint}", self.name)));
            };
            let earlier = object.items.iter().take(index).find(|earlier| earlier.name().eq_ignore_ascii_case(name));
            if let (Some(earlier), true) = (earlier, *verdict != Verdict::Repeatable) {
                return Err(self.file.at(item.pos, format!("{name}: set twice {}, first at {}: remove one", self.name, earlier.pos)));
            }
            let on = || item.value.boolean().map_err(|error| self.file.at(error.pos, format!("{name}: {}", error.message)));
            let mut warn = |why: &str| warnings.push(format!("{}: {name} {} is ignored: {why}", self.file.place(item.pos), self.name));
            match verdict {
                Verdict::Supported | Verdict::Repeatable | Verdict::Accepted => {}
                Verdict::Ignored(why) => warn(why),
                Verdict::IgnoredIfOn(why) => {
                    if on()? {
                        warn(why);
                    }
                }
                Verdict::RefusedIfOn(why) => {
                    if on()? {
                        return Err(self.file.at(item.pos, format!("{name} cannot be turned on {}: {why}", self.name)));
                    }
                }
                Verdict::Refused(why) => return Err(self.file.at(item.pos, format!("{name} is not supported {}: {why}", self.name))),
            }
        }
        Ok(())
    }
}
