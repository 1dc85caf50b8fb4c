"""From unseal key shares to every entry's plaintext, written from the formats alone and not from the server's code."""

import base64
import json

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from . import proto

# The entries that the barrier does not encrypt.
PLAIN = {"core/seal-config", "core/hsm/barrier-unseal-keys", "core/lock", "core/initialize-lock"}


def multiply(a, b):
    """Product in GF(2^8) with the polynomial of AES."""
    result = 0
    while b:
        if b & 1:
            result ^= a
        a = a << 1 ^ (0x11B if a & 0x80 else 0)
        b >>= 1
    return result


def inverse(a):
    result = 1
    for _ in range(254):
        result = multiply(result, a)
    return result


def combine(shares):
    """The unseal key out of enough shares: 32 bytes of y and one of x each. A lone key of 32 bytes is the secret itself."""
    if len(shares) == 1:
        return shares[0][:32] if len(shares[0]) == 32 else shares[0]
    xs = [share[-1] for share in shares]
    if len(set(xs)) != len(xs):
        raise ValueError("a share was given twice")
    secret = bytearray()
    for index in range(len(shares[0]) - 1):
        byte = 0
        for i, share in enumerate(shares):
            basis = 1
            for j, x in enumerate(xs):
                if j != i:
                    basis = multiply(basis, multiply(x, inverse(x ^ xs[i])))
            byte ^= multiply(share[index], basis)
        secret.append(byte)
    return bytes(secret)


class Barrier:
    """An opened store: plaintexts by key."""

    def __init__(self, entries, shares):
        self.entries = entries
        self.seal_config = json.loads(entries["core/seal-config"])
        if len(shares) < self.seal_config["secret_threshold"]:
            raise ValueError(f"{len(shares)} shares given, {self.seal_config['secret_threshold']} needed")
        self.unseal_key = combine(shares)
        blob = proto.fields(entries["core/hsm/barrier-unseal-keys"])
        sealed = blob[1][0]
        stored = json.loads(AESGCM(self.unseal_key).decrypt(sealed[:12], sealed[12:], None))
        if len(stored) != 1:
            raise ValueError(f"{len(stored)} stored keys instead of one")
        self.root_key = base64.b64decode(stored[0], validate=True)
        keyring = json.loads(self.decrypt("core/keyring", entries["core/keyring"], {1: self.root_key}))
        if base64.b64decode(keyring["MasterKey"]) != self.root_key:
            raise ValueError("the keyring names another root key than the one that opens it")
        self.keyring = keyring
        self.keys = {key["Term"]: base64.b64decode(key["Value"]) for key in keyring["Keys"]}

    @staticmethod
    def decrypt(key, value, keys):
        term, version = int.from_bytes(value[:4], "big"), value[4]
        if version != 2:
            raise ValueError(f"{key} has barrier version {version}")
        return AESGCM(keys[term]).decrypt(value[5:17], value[17:], key.encode())

    def get(self, key):
        return self.decrypt(key, self.entries[key], self.keys)

    def json(self, key):
        return json.loads(self.get(key))

    def below(self, prefix):
        return sorted(key for key in self.entries if key.startswith(prefix))

    def check(self):
        """Decrypts everything: an entry that does not open is an error. Gives back how many there were."""
        for key in self.entries:
            if key not in PLAIN and key != "core/keyring":
                try:
                    self.get(key)
                except Exception as error:
                    raise ValueError(f"{key} does not decrypt: {error!r}") from error
        for name in ("core/master", "core/root-key"):
            if name in self.entries and base64.b64decode(self.json(name)["Value"]) != self.root_key:
                raise ValueError(f"{name} is stale: a real server would seal itself")
        if "core/shamir-kek" in self.entries and self.get("core/shamir-kek") != self.unseal_key:
            raise ValueError("core/shamir-kek is not the unseal key")
        return len(self.entries)
