"""Opens and replaces the stored keys of a store that KMS seals, from the formats alone; keys, region and credentials as boto3 finds them.

    kms_blob.py open DIRECTORY
        Opens what the store's seal protects, then every entry of the store. Prints JSON.
    kms_blob.py replace DIRECTORY --key KEY --mechanism 0|1
        Stores the same root key anew: encrypted by KMS itself (0), or under a key of its own that KMS encrypts (1).
    kms_blob.py key create | kms_blob.py key alias NAME KEY
        Makes a key, or points an alias at one, whether or not there is such an alias yet. Prints the key's ARN.

The service's address is the variable AWS_ENDPOINT_URL_KMS.
"""

import argparse
import base64
import json
import os
import sys

import boto3

from store import blob, files
from store.barrier import Barrier, root_key

STORED_KEYS, RECOVERY_KEY = "core/hsm/barrier-unseal-keys", "core/recovery-key"


def describe(kms, directory):
    entries = files.read(directory)
    # Entries of the server's own, which Vault and OpenBao ignore.
    own = sorted(key for key in entries if key.startswith("core/cofferdam/"))
    stored = blob.open_with(kms, entries[STORED_KEYS])
    key = root_key(stored)
    barrier = Barrier.of_root_key({path: value for path, value in entries.items() if path not in own}, key)
    found = {
        "mechanism": blob.parse(entries[STORED_KEYS])["mechanism"],
        "key_id": blob.parse(entries[STORED_KEYS])["key_id"],
        "root_key": stored.decode(),
        "seal": barrier.seal_config,
        "terms": sorted(barrier.keys),
        "entries": barrier.check(),
        "own": own,
        "recovery": None,
    }
    if RECOVERY_KEY in entries:
        found["recovery"] = {
            "key": base64.b64encode(blob.open_with(kms, entries[RECOVERY_KEY])).decode(),
            "mechanism": blob.parse(entries[RECOVERY_KEY])["mechanism"],
            "config": json.loads(entries["core/recovery-config"]),
        }
    return found


def replace(kms, directory, key_id, mechanism):
    stored = blob.open_with(kms, files.read(directory)[STORED_KEYS])
    os.remove(os.path.join(directory, "core/hsm/_barrier-unseal-keys"))
    files.write(directory, {STORED_KEYS: blob.make(kms, key_id, mechanism, stored)})


def alias(kms, name, key_id):
    try:
        kms.update_alias(AliasName=name, TargetKeyId=key_id)
    except kms.exceptions.NotFoundException:
        kms.create_alias(AliasName=name, TargetKeyId=key_id)
    return kms.describe_key(KeyId=name)["KeyMetadata"]["Arn"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("open").add_argument("directory")
    replacing = commands.add_parser("replace")
    replacing.add_argument("directory")
    replacing.add_argument("--key", required=True)
    replacing.add_argument("--mechanism", type=int, choices=[blob.DIRECT, blob.ENVELOPE], required=True)
    keys = commands.add_parser("key").add_subparsers(dest="what", required=True)
    keys.add_parser("create")
    pointing = keys.add_parser("alias")
    pointing.add_argument("name")
    pointing.add_argument("key")
    arguments = parser.parse_args()
    kms = boto3.client("kms")
    if arguments.command == "open":
        json.dump(describe(kms, arguments.directory), sys.stdout, indent=1)
        print()
    elif arguments.command == "replace":
        replace(kms, arguments.directory, arguments.key, arguments.mechanism)
    elif arguments.what == "create":
        print(kms.create_key()["KeyMetadata"]["Arn"])
    else:
        print(alias(kms, arguments.name, arguments.key))


if __name__ == "__main__":
    main()
