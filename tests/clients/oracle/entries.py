"""Compares two stores entry by entry, below every API: what went through untouched, what another server wrote anew and why."""

import base64
import gzip
import json

from store import snapshot
from store.barrier import Barrier

# Entries that belong to the node or the server that runs, not to what is stored.
OWN = (
    ("core/leader/", "each server advertises itself"),
    ("core/lock", "raft's leader, taken anew"),
    ("core/raft/", "the raft cluster's own"),
    ("core/initialize-lock", "left behind by the initialisation"),
    ("core/versions/", "each server notes its release"),
)
TABLES = ("core/mounts", "core/local-mounts", "core/auth", "core/local-auth")
# Written anew by our server, and what must hold of them is checked below.
REWRITTEN = {"core/keyring", "core/seal-config", "core/shamir-kek", "core/root-key", "core/master", *TABLES}
# What our server adds, or writes anew with the same meaning.
MADE = ("sys/policy/default", "sys/policy/response-wrapping", "core/audit", "core/local-audit")


def own(key):
    return any(key.startswith(prefix) for prefix, _ in OWN)


def differences(before, after, shares):
    """What was lost, changed or added between two snapshots, beyond what is meant; and how many entries are the same to the byte."""
    old, new = snapshot.read(before), snapshot.read(after)
    found, same = [], 0
    # OpenBao loses the mounts of its namespaces if those of the root have another form than theirs.
    each = "core/mounts" not in old and any(key.startswith("core/namespaces/") for key in old)
    for key in sorted(old):
        if own(key) or key in REWRITTEN or not each and key.startswith(tuple(f"{table}/" for table in TABLES)):
            continue
        if key not in new:
            found.append(f"{key} is lost")
        elif old[key] == new[key]:
            same += 1
        elif key not in MADE:
            found.append(f"{key} was changed")
    for key in sorted(set(new) - set(old)):
        if not own(key) and key not in REWRITTEN and key not in MADE:
            found.append(f"{key} was added")
    shares = [base64.b64decode(share) for share in shares]
    one, other = Barrier(old, shares), Barrier(new, shares)
    if (one.root_key, one.keys) != (other.root_key, other.keys):
        found.append("the keyring holds other keys")
    if "core/root-key" in new or base64.b64decode(other.json("core/master")["Value"]) != other.root_key:
        found.append("core/master alone has to hold the root key")
    if json.loads(new["core/seal-config"]).get("stored_shares") != 1:
        found.append("core/seal-config does not say stored_shares 1: Vault would not open the store")
    for table in TABLES:
        if table in new if each else any(key.startswith(f"{table}/") for key in new):
            found.append(f"{table} is stored in the other form")
        found += [f"{table}: {text}" for text in mounts(one, other, table)]
    return found, same


def mounts(one, other, table):
    """Every mount with all its members, whatever form the table has."""
    before, after = read(one, table), read(other, table)
    return [f"{entry['path']} became {after.get(uuid)}" for uuid, entry in before.items() if after.get(uuid) != entry] + [f"{after[uuid]['path']} was added" for uuid in set(after) - set(before)]


def read(barrier, table):
    if table in barrier.entries:
        raw = barrier.get(table)
        entries = json.loads(gzip.decompress(raw[1:]) if raw[:1] == b"G" else raw)["entries"] or []
    else:
        entries = [barrier.json(key) for key in barrier.below(f"{table}/")]
    # Go leaves out members at their zero, each server its own.
    return {entry["uuid"]: {name: value for name, value in entry.items() if value not in (False, "", None, {}, [])} for entry in entries}
