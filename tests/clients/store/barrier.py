"""From unseal key shares, or from the root key, to every entry's plaintext: written from the formats alone and not from the server's code."""

import base64
import json

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from . import proto

# The entries that the barrier does not encrypt.
PLAIN = {
    "core/seal-config",
    "core/recovery-config",
    "core/hsm/barrier-unseal-keys",
    "core/recovery-key",
    "core/lock",
    "core/initialize-lock",
}


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


def root_key(stored):
    """The root key in the plaintext of core/hsm/barrier-unseal-keys: a JSON list of one."""
    keys = json.loads(stored)
    if len(keys) != 1:
        raise ValueError(f"{len(keys)} stored keys instead of one")
    key = base64.b64decode(keys[0], validate=True)
    if len(key) != 32:
        raise ValueError(f"a root key of {len(key)} bytes")
    return key


class Barrier:
    """An opened store: plaintexts by key."""

    def __init__(self, entries, shares):
        seal_config = json.loads(entries["core/seal-config"])
        if len(shares) < seal_config["secret_threshold"]:
            raise ValueError(f"{len(shares)} shares given, {seal_config['secret_threshold']} needed")
        unseal_key = combine(shares)
        blob = proto.fields(entries["core/hsm/barrier-unseal-keys"])
        sealed = blob[1][0]
        self.open(entries, root_key(AESGCM(unseal_key).decrypt(sealed[:12], sealed[12:], None)), unseal_key)

    @classmethod
    def of_root_key(cls, entries, key):
        """A store that a key service seals: what the service gave is the root key."""
        barrier = cls.__new__(cls)
        barrier.open(entries, key, None)
        return barrier

    def open(self, entries, key, unseal_key):
        self.entries, self.root_key, self.unseal_key = entries, key, unseal_key
        self.seal_config = json.loads(entries["core/seal-config"])
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
