"""The directory layout of Vault's file backend: key a/b/c is the file a/b/_c, holding {"Value": base64} and a newline."""

import base64
import json
import os


def read(directory):
    """Every stored entry, by key."""
    entries = {}
    for folder, _, names in os.walk(directory):
        for name in names:
            if not name.startswith("_"):
                continue
            path = os.path.join(folder, name)
            with open(path, encoding="utf-8") as file:
                text = file.read()
            if not text.endswith("\n"):
                raise ValueError(f"{path} does not end in a newline")
            value = json.loads(text)
            if set(value) != {"Value"}:
                raise ValueError(f"{path} has the members {sorted(value)} instead of Value alone")
            key = os.path.relpath(os.path.join(folder, name[1:]), directory)
            entries[key] = base64.b64decode(value["Value"], validate=True)
    return entries


def write(directory, entries):
    """Lays entries down as Vault would, for their owner only."""
    os.umask(0o077)
    for key, value in entries.items():
        folder, _, leaf = key.rpartition("/")
        os.makedirs(os.path.join(directory, folder), exist_ok=True)
        path = os.path.join(directory, folder, "_" + leaf)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            json.dump({"Value": base64.b64encode(value).decode()}, file, separators=(",", ":"))
            file.write("\n")
