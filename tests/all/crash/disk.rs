//! A disk in memory that keeps a record of what was done to it.

use std::collections::BTreeMap;

/// A file or a directory, by its place in [`Disk::nodes`]. The root is 0.
pub(super) type Node = usize;

pub(super) const ROOT: Node = 0;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Content {
    File(Vec<u8>),
    Directory(BTreeMap<String, Node>),
}

/// What changed the disk, in order. A rename is two of these: one in each directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A new node, as yet without a name.
    Made {
        node: Node,
        directory: bool,
    },
    /// The name now stands for the node.
    Named {
        directory: Node,
        name: String,
        node: Node,
    },
    /// The name is gone.
    Unnamed {
        directory: Node,
        name: String,
    },
    Written {
        file: Node,
        at: usize,
        bytes: Vec<u8>,
    },
    Synced {
        node: Node,
    },
    /// The test began its operation of this number, or was told that it is done.
    Began(usize),
    Acknowledged(usize),
}

/// The calls that can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    OpenFile,
    CreateFile,
    OpenDirectory,
    Read,
    ReadDirectory,
    Stat,
    Write,
    SyncFile,
    SyncDirectory,
    MakeDirectory,
    Rename,
    Unlink,
    RemoveDirectory,
}

/// Errors by the names that WASI has for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    Exist,
    Io,
    IsDirectory,
    NoEntry,
    NoSpace,
    NotDirectory,
    NotEmpty,
    NotPermitted,
    Quota,
    ReadOnly,
}

/// Given a call and how many were made before it: how it fails, if it does.
pub(super) type Fails = Box<dyn Fn(Call, usize) -> Option<Failure> + Send>;

#[derive(Default)]
pub(super) struct Disk {
    pub(super) nodes: Vec<Content>,
    pub(super) record: Vec<Event>,
    /// The calls made since this was last emptied.
    pub(super) calls: Vec<Call>,
    pub(super) fails: Option<Fails>,
}

impl Disk {
    pub(super) fn empty() -> Disk {
        Disk { nodes: vec![Content::Directory(BTreeMap::new())], ..Disk::default() }
    }

    pub(super) fn check(&mut self, call: Call) -> Result<(), Failure> {
        let number = self.calls.len();
        self.calls.push(call);
        self.fails.as_ref().and_then(|fails| fails(call, number)).map_or(Ok(()), Err)
    }

    pub(super) fn names(&self, directory: Node) -> Result<&BTreeMap<String, Node>, Failure> {
        match &self.nodes[directory] {
            Content::Directory(names) => Ok(names),
            Content::File(_) => Err(Failure::NotDirectory),
        }
    }

    pub(super) fn is_directory(&self, node: Node) -> bool {
        matches!(self.nodes[node], Content::Directory(_))
    }

    pub(super) fn find(&self, path: &str) -> Result<Node, Failure> {
        if path == "." {
            return Ok(ROOT);
        }
        path.split('/').try_fold(ROOT, |at, name| self.names(at)?.get(name).copied().ok_or(Failure::NoEntry))
    }

    /// The directory that a path lies in, and its last name.
    fn above<'a>(&self, path: &'a str) -> Result<(Node, &'a str), Failure> {
        let (directory, name) = path.rsplit_once('/').unwrap_or((".", path));
        let directory = self.find(directory)?;
        self.names(directory)?;
        Ok((directory, name))
    }

    fn set(&mut self, directory: Node, name: &str, node: Option<Node>) {
        let Content::Directory(names) = &mut self.nodes[directory] else { panic!("a name in a file") };
        let name = name.to_owned();
        match node {
            Some(node) => {
                names.insert(name.clone(), node);
                self.record.push(Event::Named { directory, name, node });
            }
            None => {
                names.remove(&name);
                self.record.push(Event::Unnamed { directory, name });
            }
        }
    }

    fn make(&mut self, path: &str, content: Content) -> Result<Node, Failure> {
        let (directory, name) = self.above(path)?;
        if self.names(directory)?.contains_key(name) {
            return Err(Failure::Exist);
        }
        let node = self.nodes.len();
        self.record.push(Event::Made { node, directory: matches!(content, Content::Directory(_)) });
        self.nodes.push(content);
        self.set(directory, name, Some(node));
        Ok(node)
    }

    pub(super) fn make_file(&mut self, path: &str) -> Result<Node, Failure> {
        self.make(path, Content::File(Vec::new()))
    }

    pub(super) fn make_directory(&mut self, path: &str) -> Result<(), Failure> {
        self.make(path, Content::Directory(BTreeMap::new())).map(drop)
    }

    pub(super) fn read(&self, file: Node) -> Result<&[u8], Failure> {
        match &self.nodes[file] {
            Content::File(bytes) => Ok(bytes),
            Content::Directory(_) => Err(Failure::IsDirectory),
        }
    }

    pub(super) fn write(&mut self, file: Node, at: usize, bytes: Vec<u8>) -> Result<(), Failure> {
        write_at(&mut self.nodes[file], at, &bytes);
        self.record.push(Event::Written { file, at, bytes });
        Ok(())
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) -> Result<(), Failure> {
        let (from_directory, from_name) = self.above(from)?;
        let node = self.find(from)?;
        let (to_directory, to_name) = self.above(to)?;
        if self.names(to_directory)?.get(to_name).is_some_and(|old| self.is_directory(*old)) {
            return Err(Failure::IsDirectory);
        }
        self.set(to_directory, to_name, Some(node));
        self.set(from_directory, from_name, None);
        Ok(())
    }

    pub(super) fn unlink(&mut self, below: Node, path: &str) -> Result<(), Failure> {
        let (folders, name) = path.rsplit_once('/').map_or((None, path), |(folders, name)| (Some(folders), name));
        let mut folders = folders.into_iter().flat_map(|folders| folders.split('/'));
        let directory = folders.try_fold(below, |at, name| self.names(at)?.get(name).copied().ok_or(Failure::NoEntry))?;
        let node = *self.names(directory)?.get(name).ok_or(Failure::NoEntry)?;
        if self.is_directory(node) {
            return Err(Failure::IsDirectory);
        }
        self.set(directory, name, None);
        Ok(())
    }

    pub(super) fn remove_directory(&mut self, path: &str) -> Result<(), Failure> {
        let (directory, name) = self.above(path)?;
        if !self.names(self.find(path)?)?.is_empty() {
            return Err(Failure::NotEmpty);
        }
        self.set(directory, name, None);
        Ok(())
    }

    pub(super) fn sync(&mut self, node: Node) {
        self.record.push(Event::Synced { node });
    }

    /// Every path below a directory, with the bytes of files.
    pub(super) fn tree(&self) -> BTreeMap<String, Option<Vec<u8>>> {
        let mut found = BTreeMap::new();
        self.collect(ROOT, "", &mut found);
        found
    }

    fn collect(&self, directory: Node, prefix: &str, found: &mut BTreeMap<String, Option<Vec<u8>>>) {
        for (name, node) in self.names(directory).unwrap() {
            let path = format!("{prefix}{name}");
            match &self.nodes[*node] {
                Content::File(bytes) => {
                    found.insert(path, Some(bytes.clone()));
                }
                Content::Directory(_) => {
                    self.collect(*node, &format!("{path}/"), found);
                    found.insert(path, None);
                }
            }
        }
    }
}

pub(super) fn write_at(content: &mut Content, at: usize, bytes: &[u8]) {
    let Content::File(file) = content else { panic!("a write to a directory") };
    if file.len() < at + bytes.len() {
        file.resize(at + bytes.len(), 0);
    }
    file[at..at + bytes.len()].copy_from_slice(bytes);
}
