"""Opens a store in Vault's file layout with unseal key shares and shows what it holds, by an implementation of its own.

    open_store.py DIRECTORY SHARE [SHARE ...]

From the shares to the unseal key, the stored root key, the keyring, the mount table (either form), policies, tokens and
every kv secret, whose encrypted paths are decrypted and encrypted again. Every entry must decrypt. Prints JSON.
"""

import base64
import json
import sys

from store import files, kv, tables
from store.barrier import Barrier


def describe(entries, shares):
    barrier = Barrier(entries, shares)
    count = barrier.check()
    form, mounts = tables.mounts(barrier)
    _, auth = tables.table(barrier, "auth")
    secrets = {}
    for path, mount in mounts.items():
        if mount["type"] == "kv":
            read = kv.v2 if (mount.get("options") or {}).get("version") == "2" else kv.v1
            secrets[path] = read(barrier, mount)
    return {
        "entries": count,
        "seal": barrier.seal_config,
        "terms": sorted(barrier.keys),
        "root_key_entries": sorted(name for name in ("core/master", "core/root-key") if name in entries),
        "mount_table": form,
        "mounts": {path: mount["type"] for path, mount in mounts.items()},
        "auth": {entry["path"]: entry["type"] for entry in auth},
        "policies": tables.policies(barrier),
        "tokens": [{"id": token["id"], "policies": token["policies"]} for token in tables.tokens(barrier)],
        "secrets": secrets,
    }


if __name__ == "__main__":
    found = describe(files.read(sys.argv[1]), [base64.b64decode(share, validate=True) for share in sys.argv[2:]])
    json.dump(found, sys.stdout, indent=1, ensure_ascii=False)
    print()
