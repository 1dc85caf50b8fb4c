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


def write(path, entries):
    """A snapshot that `snapshot restore -force` accepts."""
    state = b""
    for key in sorted(entries):
        entry = proto.put_bytes(1, key.encode()) + proto.put_bytes(2, entries[key])
        state += proto.put_varint(len(entry)) + entry
    meta = {"Version": 1, "ID": "bolt-snapshot", "Index": 1, "Term": 1, "Peers": None, "Configuration": {"Servers": []}, "ConfigurationIndex": 0, "Size": len(state)}
    members = {"meta.json": json.dumps(meta).encode() + b"\n", "state.bin": state}
    members["SHA256SUMS"] = "".join(f"{hashlib.sha256(text).hexdigest()}  {name}\n" for name, text in members.items()).encode()
    with gzip.open(path, "wb", compresslevel=1) as out, tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, text in members.items():
            about = tarfile.TarInfo(name)
            about.size, about.mode = len(text), 0o600
            archive.addfile(about, io.BytesIO(text))
