//! What a component asks for, in plain words, and what each grant would let it do.
//!
//! The rule: what is worst is said first and plainly; nobody has to know the names of interfaces to decide.

use crate::config::Role;
use cofferdam_runtime::{ImportKind, Inspection};
use serde::Serialize;

/// A grant that a component asks for.
#[derive(Debug, Serialize)]
pub(super) struct Asked {
    /// Its name in a plugin block.
    pub grant: &'static str,
    /// Whether the component does not start without it.
    pub needed: bool,
    /// What it would let the component do.
    pub lets: &'static str,
}

/// The grants that a component asks for, those that it needs first.
pub(super) fn asked(inspection: &Inspection) -> Vec<Asked> {
    let role = super::role(inspection.world);
    let asked = |needed: bool| move |grant: &'static str| Asked { grant, needed, lets: lets(role, grant) };
    let usable = inspection.grants_usable();
    inspection.grants_needed().into_iter().map(asked(true)).chain(usable.into_iter().map(asked(false))).collect()
}

fn lets(role: Role, grant: &str) -> &'static str {
    match (grant, role) {
        ("directory", Role::Storage) => {
            "See, and with access = \"read-write\" write and delete, every file below the one directory that you name, and no other file of this machine."
        }
        ("directory", Role::Seal) => {
            "See, and with access = \"read-write\" write and delete, every file below the one directory that you name: keep the storage's own directory out of it, since with what \
             is stored there this seal could learn the root key."
        }
        ("http", Role::Storage) => {
            "Send requests of its own making to the servers that you name, and read their answers: it could tell them whatever it stores (ciphertext, and the names, sizes and \
             times of entries). The host checks each address and adds the credentials that you name, which the plugin does not see."
        }
        ("http", Role::Seal) => {
            "Send requests of its own making to the servers that you name. This seal is handed each key that it wraps, and by http the host cannot check what it does with it: \
             with read access to the storage, it or whoever runs those servers could learn the root key."
        }
        ("aws", Role::Storage) => {
            "Have the host sign and send the operations that you name for one DynamoDB table, and read the answers. It sees no credentials, and can reach no other table and no \
             other address."
        }
        ("aws", Role::Seal) => {
            "Have the host sign and send the operations that you name for one KMS key. The host checks that the key which the plugin is handed goes to KMS and nowhere else, and \
             that the answer is KMS's; it sees no credentials."
        }
        _ => "Something that this version of coffer does not know.",
    }
}

/// What the component asks for and could do, a sentence each.
pub(super) fn asks(inspection: &Inspection) -> Vec<String> {
    let mut asks = vec![match super::role(inspection.world) {
        Role::Storage => {
            "It is a storage: it is handed every entry that the vault keeps, encrypted, with its name in plain. It can withhold entries and give back older ones.".to_owned()
        }
        Role::Seal => "It is a seal: it is handed keys that the host makes for one use each, and wraps them. It is never handed the root key itself.".to_owned(),
    }];
    let unknown = super::imports_of(inspection, ImportKind::Unknown);
    if !unknown.is_empty() {
        asks.push(format!("It asks for what this coffer does not offer, so it does not start: {}.", unknown.join(", ")));
    }
    let needed = inspection.grants_needed();
    match needed.as_slice() {
        [] => asks.push("It starts without any grant.".to_owned()),
        needed => asks.push(format!("It does not start without: {}.", needed.join(", "))),
    }
    let usable: Vec<&str> = inspection.grants_usable().into_iter().filter(|grant| !needed.contains(grant)).collect();
    if !usable.is_empty() {
        asks.push(format!(
            "It could use, and starts without: {} (many languages ask for files whether a program uses them or not).",
            usable.join(", ")
        ));
    }
    let inert = super::imports_of(inspection, ImportKind::Inert);
    if !inert.is_empty() {
        asks.push(format!("Of what it imports this does nothing here: {}.", inert.join(", ")));
    }
    asks
}
