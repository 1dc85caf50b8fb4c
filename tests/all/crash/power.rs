//! Every state that a loss of power can leave.
//!
//! What the disk promises is little: a file's bytes are there after a sync of the file; a name in a directory is there (or gone) after a sync of that
//! directory. Until then each name is by itself: it may be in any of the states it went through since, whatever its neighbours do. The bytes of an unsynced file
//! may be there, be missing, be zeros, or be there in part. A rename changes two directories, and either half may be missing.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashSet};
use std::hash::{Hash as _, Hasher as _};

use super::disk::{Content, Disk, Event, Node, ROOT, write_at};
use super::machine::Machine;

/// More combinations than this are sampled, evenly.
const MOST: usize = 1 << 12;

enum Operation {
    Put(&'static str, &'static [u8], u32),
    Delete(&'static str),
}
use Operation::{Delete, Put};

const LONG: &[u8] = &[0x5a; 150];

/// Values that grow and shrink, folders that come, stay and go, a leaf beside a folder; the numbers are what a host knows of the folders.
const SCRIPT: &[Operation] = &[
    Put("a", b"1", 0),
    Put("b/c/d", b"2", 0),
    Put("b/c/e", LONG, 2),
    Put("b/c/d", LONG, 2),
    Put("a", b"", 0),
    Put("b/f/g/h", b"3", 1),
    Delete("b/c/d"),
    Delete("b/f/g/h"),
    Put("b", b"4", 0),
    Put("b/f/g/h", b"5", 1),
    Delete("b/c/e"),
    Delete("a"),
    Put("b/c/d", b"6", 1),
    Delete("b/f/g/h"),
    Delete("b/c/d"),
    Delete("b"),
];

type Entries = BTreeMap<&'static str, &'static [u8]>;

fn apply(entries: &mut Entries, operation: &Operation) {
    match operation {
        Put(key, value, _) => entries.insert(key, value),
        Delete(key) => entries.remove(key),
    };
}

/// Runs the script and returns what the disk saw of it.
fn record() -> Vec<Event> {
    let mut machine = Machine::open(Disk::empty(), 0);
    for (number, operation) in SCRIPT.iter().enumerate() {
        machine.disk().record.push(Event::Began(number));
        match operation {
            Put(key, value, known) => machine.put(key, value, *known).unwrap(),
            Delete(key) => drop(machine.delete(key).unwrap()),
        }
        machine.disk().record.push(Event::Acknowledged(number));
    }
    machine.into_disk().record
}

/// Of a file: what was synced, and what was written.
type Bytes = (Vec<u8>, Vec<u8>);

/// What is on the disk for certain, and what may be.
#[derive(Default)]
struct Cut {
    /// Of each node, if it is a file: its bytes.
    nodes: Vec<Option<Bytes>>,
    /// Of each name: the states that it may be in; the first is certain to have been reached.
    names: BTreeMap<(Node, String), Vec<Option<Node>>>,
}

impl Cut {
    fn new() -> Cut {
        Cut { nodes: vec![None], names: BTreeMap::new() }
    }

    fn advance(&mut self, event: &Event) {
        match event {
            Event::Made { directory, .. } => self.nodes.push((!directory).then(Default::default)),
            Event::Named { directory, name, node } => self.reach(*directory, name, Some(*node)),
            Event::Unnamed { directory, name } => self.reach(*directory, name, None),
            Event::Written { file, at, bytes } => {
                let written = &mut self.nodes[*file].as_mut().unwrap().1;
                let mut content = Content::File(std::mem::take(written));
                write_at(&mut content, *at, bytes);
                let Content::File(bytes) = content else { panic!("a file is no directory") };
                *written = bytes;
            }
            Event::Synced { node } => {
                if let Some((synced, written)) = &mut self.nodes[*node] {
                    synced.clone_from(written);
                }
                for (_, states) in self.names.iter_mut().filter(|((directory, _), _)| directory == node) {
                    states.drain(..states.len() - 1);
                }
            }
            Event::Began(_) | Event::Acknowledged(_) => {}
        }
    }

    fn reach(&mut self, directory: Node, name: &str, node: Option<Node>) {
        self.names.entry((directory, name.to_owned())).or_insert_with(|| vec![None]).push(node);
    }

    /// What may stand in a file.
    fn contents(&self, file: Node) -> Vec<&[u8]> {
        self.nodes[file].as_ref().map_or_else(Vec::new, |(synced, written)| {
            if synced == written { vec![written.as_slice()] } else { vec![synced, written, &written[..written.len() / 2]] }
        })
    }

    /// Calls `each` with every disk that may be left.
    fn disks(&self, mut each: impl FnMut(Disk)) {
        let scratch = self.names.iter().find(|((directory, name), _)| *directory == ROOT && name == ".cofferdam");
        let scratch = scratch.and_then(|(_, states)| states.iter().copied().flatten().next());
        let (loose, open): (Vec<_>, Vec<_>) =
            self.names.iter().partition(|((directory, _), states)| Some(*directory) == scratch || states.len() == 1);
        // Temporary files meet nobody: for each combination of the rest they are all there as first made, all as last known, or all as synced.
        let choices: Vec<usize> = open.iter().map(|(_, states)| states.len()).chain([3, 4]).collect();
        let combinations: usize = choices.iter().product();
        let step = combinations.div_ceil(MOST);
        for number in (0..combinations).step_by(step) {
            let mut rest = number;
            let mut chosen = choices.iter().map(|many| {
                let choice = rest % many;
                rest /= many;
                choice
            });
            let mut names: BTreeMap<(Node, &str), Node> = BTreeMap::new();
            for (((directory, name), states), choice) in open.iter().zip(&mut chosen) {
                if let Some(node) = states[choice] {
                    names.insert((*directory, name), node);
                }
            }
            let temporaries = chosen.next().unwrap();
            let bytes = chosen.next().unwrap();
            for ((directory, name), states) in &loose {
                if let Some(node) = states[[0, 1, states.len() - 1][temporaries].min(states.len() - 1)] {
                    names.insert((*directory, name), node);
                }
            }
            each(self.disk(&names, bytes));
        }
    }

    fn disk(&self, names: &BTreeMap<(Node, &str), Node>, bytes: usize) -> Disk {
        let content = |(number, node): (usize, &Option<Bytes>)| match node {
            None => {
                let below = names.iter().filter(|((directory, _), _)| *directory == number);
                Content::Directory(below.map(|((_, name), node)| ((*name).to_owned(), *node)).collect())
            }
            Some((synced, written)) => {
                let may = self.contents(number);
                Content::File(match (bytes, may.get(bytes)) {
                    (3, _) if synced != written => vec![0; written.len()],
                    (_, Some(content)) => content.to_vec(),
                    (_, None) => written.clone(),
                })
            }
        };
        Disk { nodes: self.nodes.iter().enumerate().map(content).collect(), ..Disk::default() }
    }
}

/// What is wrong on the disk, if anything: each key must have one of the values that it may have, and be listed exactly if it has one.
fn fault(disk: Disk, before: &Entries, after: &Entries) -> Option<String> {
    let mut machine = Machine::new(disk, 1);
    if let Err(error) = machine.try_open(&[]) {
        return Some(format!("open: {error:?}"));
    }
    let mut found = Vec::new();
    let universe: std::collections::BTreeSet<&str> = SCRIPT
        .iter()
        .map(|operation| match operation {
            Put(key, ..) | Delete(key) => *key,
        })
        .collect();
    for key in universe {
        match machine.get(key) {
            Err(error) => return Some(format!("get {key}: {error:?}")),
            Ok(value) => {
                let may = [before.get(key), after.get(key)];
                if !may.contains(&value.as_deref().as_ref()) {
                    return Some(format!("{key} is {value:?}, not one of {may:?}"));
                }
                found.extend(value.map(|_| key.to_owned()));
            }
        }
    }
    match machine.keys() {
        Ok(keys) if keys == found => {}
        keys => return Some(format!("listed are {keys:?}, stored are {found:?}")),
    }
    // The store can be used.
    if let Err(error) = machine.put("b/f/new", b"n", 0) {
        return Some(format!("put: {error:?}"));
    }
    let left: Vec<String> = machine.disk().tree().into_keys().filter(|path| path.starts_with(".cofferdam/")).collect();
    (!left.is_empty()).then(|| format!("left over: {left:?}"))
}

/// Checks every state at every moment of the record. Returns how many there were, or the first fault.
fn check(record: &[Event]) -> Result<usize, String> {
    let mut cut = Cut::new();
    let (mut before, mut after) = (Entries::new(), Entries::new());
    let mut seen = HashSet::new();
    for (moment, event) in record.iter().enumerate() {
        match event {
            Event::Began(number) => apply(&mut after, &SCRIPT[*number]),
            Event::Acknowledged(_) => before.clone_from(&after),
            event => cut.advance(event),
        }
        let mut wrong = None;
        cut.disks(|disk| {
            let mut hasher = DefaultHasher::new();
            (disk.tree(), &before, &after).hash(&mut hasher);
            if wrong.is_none() && seen.insert(hasher.finish()) {
                wrong = fault(disk, &before, &after);
            }
        });
        if let Some(wrong) = wrong {
            return Err(format!("after {moment} of {} events, the last {event:?}: {wrong}", record.len()));
        }
    }
    Ok(seen.len())
}

#[test]
fn a_loss_of_power_at_any_moment_leaves_every_acknowledged_write_whole() {
    let states = check(&record()).unwrap();
    assert!(states > 200, "only {states} states were tried");
}

/// Takes syncs out of the record: `keep` is asked for each with the names that it makes certain, and whether these are of files.
fn without(record: &[Event], keep: impl Fn(bool, &[bool]) -> bool) -> Vec<Event> {
    let mut cut = Cut::new();
    let mut kept = Vec::new();
    for event in record {
        if let Event::Synced { node } = event {
            let pending = cut.names.iter().filter(|((directory, _), states)| directory == node && states.len() > 1);
            let files: Vec<bool> = pending.flat_map(|(_, states)| states.iter().flatten()).map(|node| cut.nodes[*node].is_some()).collect();
            if keep(cut.nodes[*node].is_some(), &files) {
                kept.push(event.clone());
            }
        } else {
            kept.push(event.clone());
        }
        cut.advance(event);
    }
    assert!(kept.len() < record.len(), "nothing was taken out");
    kept
}

#[test]
fn without_the_sync_of_files_the_check_finds_a_fault() {
    check(&without(&record(), |file, _| !file)).unwrap_err();
}

#[test]
fn without_the_sync_of_directories_the_check_finds_a_fault() {
    check(&without(&record(), |file, _| file)).unwrap_err();
}

#[test]
fn without_the_sync_of_new_folders_parents_the_check_finds_a_fault() {
    check(&without(&record(), |file, files| file || files.contains(&true))).unwrap_err();
}

#[test]
fn without_the_sync_that_ends_a_delete_the_check_finds_a_fault() {
    let record = record();
    // The last sync before the acknowledgement of the last operation, which is a delete.
    let last = record.iter().rposition(|event| matches!(event, Event::Synced { .. })).unwrap();
    let mut mutated = record.clone();
    mutated.remove(last);
    // A moment after, so that the states are those with the operation acknowledged.
    mutated.push(Event::Acknowledged(SCRIPT.len() - 1));
    check(&mutated).unwrap_err();
}
