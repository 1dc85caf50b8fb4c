"""Snapshots with something wrong, made from one that is right: each under the name of what is wrong with it."""

import gzip
import os

from store import proto, snapshot


def make(whole, directory):
    entries = snapshot.read(whole)
    state = snapshot.frames(sorted(entries.items()))
    at = lambda name: os.path.join(directory, f"{name}.snap")
    with open(whole, "rb") as file:
        raw = file.read()
    good = snapshot.members(state)

    # The archive.
    put(at("truncated"), raw[: len(raw) // 2])
    put(at("empty"), b"")
    put(at("text"), b"no archive\n" * 100)
    put(at("unpacked"), gzip.decompress(raw))
    flipped = bytearray(raw)
    flipped[len(raw) // 2] ^= 1
    put(at("flipped"), bytes(flipped))
    digests = good["SHA256SUMS"].splitlines(keepends=True)
    snapshot.pack(at("digest"), {**good, "SHA256SUMS": digests[0] + b"0" * 64 + digests[1][64:]})
    snapshot.pack(at("size"), snapshot.members(state, Size=len(state) + 1))
    snapshot.pack(at("version"), snapshot.members(state, Version=7))
    snapshot.pack(at("member"), {**good, "more.txt": b"more"})
    snapshot.pack(at("sums"), {name: text for name, text in good.items() if name != "SHA256SUMS"})
    snapshot.pack(at("state"), {name: text for name, text in good.items() if name != "state.bin"})
    snapshot.pack(at("meta"), {**good, "meta.json": good["meta.json"].replace(b"bolt", b"salt")})

    # The entries, under digests that are right.
    snapshot.pack(at("cut"), snapshot.members(state[:-7]))
    snapshot.pack(at("overlong"), snapshot.members(state + b"\xff" * 11))
    snapshot.pack(at("bytes"), snapshot.members(snapshot.frames([(b"logical/\xff\xfe", b"1")]) + state))
    snapshot.pack(at("nameless"), snapshot.members(snapshot.frames([("", b"1")]) + state))
    huge = proto.put_varint(1 << 40)
    snapshot.pack(at("huge"), snapshot.members(state + huge + b"x" * 100))

    # Entries that are right to an archive, and not to whoever reads them.
    large = {**entries, "logical/large": b"7" * 3_000_000}
    snapshot.write(at("large"), large)
    odd = ["core/sscGenCounter/", "a//b", "./x", "y/../z", "/first", "line\nfeed", "core/_lock"]
    snapshot.write(at("odd"), {**entries, **{key: b"odd" for key in odd}})
    secret = next(key for key in sorted(entries) if key.endswith("/old/one"))
    snapshot.write(at("secret"), {**entries, secret: entries[secret][:-1] + bytes([entries[secret][-1] ^ 1])})
    table = entries["core/mounts"]
    snapshot.write(at("table"), {**entries, "core/mounts": table[:-1] + bytes([table[-1] ^ 1])})
    snapshot.write(at("moved"), {**entries, "core/mounts": entries["core/auth"]})
    return sorted(name.removesuffix(".snap") for name in os.listdir(directory) if name.endswith(".snap"))


def put(path, data):
    with open(path, "wb") as file:
        file.write(data)
