"""OpenBao's raft snapshot archives: the one way into and out of the real server for a store of another kind."""

import gzip
import hashlib
import io
import json
import tarfile

from . import proto


def read(path):
    """The entries of a snapshot."""
    with tarfile.open(path, "r:gz") as archive:
        state = archive.extractfile("state.bin").read()
    entries, at = {}, 0
    while at < len(state):
        size, at = proto.varint(state, at)
        entry = proto.fields(state[at : at + size])
        entries[entry[1][0].decode()] = entry.get(2, [b""])[0]
        at += size
    return entries


def frames(entries):
    """The entries as state.bin has them. Keys may be text or bytes."""
    state = b""
    for key, value in entries:
        entry = proto.put_bytes(1, key.encode() if isinstance(key, str) else key) + proto.put_bytes(2, value)
        state += proto.put_varint(len(entry)) + entry
    return state


def members(state, **meta):
    """The members of an archive of these entries; `meta` goes over what is usual."""
    about = {"Version": 1, "ID": "bolt-snapshot", "Index": 1, "Term": 1, "Peers": None, "Configuration": {"Servers": []}, "ConfigurationIndex": 0, "Size": len(state), **meta}
    made = {"meta.json": json.dumps(about).encode() + b"\n", "state.bin": state}
    made["SHA256SUMS"] = "".join(f"{hashlib.sha256(text).hexdigest()}  {name}\n" for name, text in made.items()).encode()
    return made


def pack(path, texts):
    with gzip.open(path, "wb", compresslevel=1) as out, tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, text in texts.items():
            about = tarfile.TarInfo(name)
            about.size, about.mode = len(text), 0o600
            archive.addfile(about, io.BytesIO(text))


def write(path, entries):
    """A snapshot that `snapshot restore -force` accepts."""
    pack(path, members(frames(sorted(entries.items()))))
