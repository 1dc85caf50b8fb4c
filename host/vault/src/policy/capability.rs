//! The capabilities that a policy can give, and sets of them.

use crate::logical::Operation;

/// What a policy lets a token do with a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// Nothing, whatever else is given.
    Deny,
    /// Write what is not there yet.
    Create,
    /// Delete.
    Delete,
    /// List the names below.
    List,
    /// Change some fields.
    Patch,
    /// Read.
    Read,
    /// List everything below (OpenBao's; no path here takes it).
    Scan,
    /// Use paths that are kept for the powerful.
    Sudo,
    /// Write what is there.
    Update,
}

use Capability::{Create, Delete, Deny, List, Patch, Read, Scan, Sudo, Update};

impl Capability {
    /// All of them, sorted by name.
    const ALL: [Capability; 9] = [Create, Delete, Deny, List, Patch, Read, Scan, Sudo, Update];

    /// The name in a policy.
    pub fn name(self) -> &'static str {
        match self {
            Deny => "deny",
            Create => "create",
            Delete => "delete",
            List => "list",
            Patch => "patch",
            Read => "read",
            Scan => "scan",
            Sudo => "sudo",
            Update => "update",
        }
    }

    /// The capability of this name.
    pub fn from_name(name: &str) -> Option<Capability> {
        Capability::ALL.into_iter().find(|capability| capability.name() == name)
    }

    /// What an operation needs.
    pub fn needed(operation: Operation) -> Capability {
        match operation {
            Operation::Create => Create,
            Operation::Update => Update,
            Operation::Patch => Patch,
            Operation::Read => Read,
            Operation::List => List,
            Operation::Delete => Delete,
        }
    }
}

/// A set of capabilities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities(u16);

impl Capabilities {
    /// The set with `capability` in it; with [`Deny`](Capability::Deny) only that.
    #[must_use]
    pub fn with(self, capability: Capability) -> Capabilities {
        self.union(Capabilities(1 << capability as u16))
    }

    /// What two policies for one path give together: all of both, or nothing if either denies.
    #[must_use]
    pub fn union(self, other: Capabilities) -> Capabilities {
        let deny = 1 << Deny as u16;
        let all = self.0 | other.0;
        Capabilities(if all & deny == 0 { all } else { deny })
    }

    /// Whether `capability` is in the set.
    pub fn has(self, capability: Capability) -> bool {
        self.0 & 1 << capability as u16 != 0
    }

    /// Whether the set grants anything.
    pub fn grant(self) -> bool {
        self.0 != 0 && !self.has(Deny)
    }

    /// The names, sorted; `deny` alone if nothing is granted.
    pub fn names(self) -> Vec<String> {
        if !self.grant() {
            return vec![Deny.name().to_owned()];
        }
        Capability::ALL.into_iter().filter(|&capability| self.has(capability)).map(|capability| capability.name().to_owned()).collect()
    }
}

impl FromIterator<Capability> for Capabilities {
    fn from_iter<T: IntoIterator<Item = Capability>>(capabilities: T) -> Capabilities {
        capabilities.into_iter().fold(Capabilities::default(), Capabilities::with)
    }
}
