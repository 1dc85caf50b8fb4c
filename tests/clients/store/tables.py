"""Mount tables, policies and tokens out of an opened barrier."""

import gzip
import hashlib
import hmac
import json


def table(barrier, name):
    """A table's entries, from its single entry or from the one entry per mount that transactional storage has."""
    key = f"core/{name}"
    if key in barrier.entries:
        raw = barrier.get(key)
        raw = gzip.decompress(raw[1:]) if raw[:1] == b"G" else raw
        return "single", json.loads(raw)["entries"] or []
    return "one per mount", [barrier.json(found) for found in barrier.below(key + "/")]


def mounts(barrier):
    """Every secrets mount by path, and the form of the table."""
    form, entries = table(barrier, "mounts")
    _, local = table(barrier, "local-mounts")
    return form, {entry["path"]: entry for entry in entries + local}


def policies(barrier):
    prefix = "sys/policy/"
    return {key[len(prefix) :]: barrier.json(key)["Raw"] for key in barrier.below(prefix)}


def salted(salt, identifier):
    """The name under which a token, or an accessor, is stored."""
    if "." in identifier:
        return "h" + hmac.new(salt, identifier.encode(), hashlib.sha256).hexdigest()
    return hashlib.sha1(salt + identifier.encode()).hexdigest()


def tokens(barrier):
    """Every token entry, after checking its name, its accessor's entry and its lease."""
    found = []
    salt = barrier.get("sys/token/salt") if "sys/token/salt" in barrier.entries else b""
    for key in barrier.below("sys/token/id/"):
        entry = barrier.json(key)
        name = salted(salt, entry["id"])
        if key != f"sys/token/id/{name}":
            raise ValueError(f"{key} holds a token whose stored name is {name}")
        accessor = barrier.json(f"sys/token/accessor/{salted(salt, entry['accessor'])}")
        if accessor["token_id"] != entry["id"]:
            raise ValueError(f"the accessor of {key} leads to another token")
        lease = f"sys/expire/id/{entry['path']}/{name}"
        if entry["policies"] != ["root"] and lease not in barrier.entries:
            raise ValueError(f"{key} has no lease: a real server would revoke it on first use")
        found.append(entry)
    return found
