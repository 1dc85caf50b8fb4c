"""What a seal of KMS stores: go-kms-wrapping's message BlobInfo, by the numbers of its fields.

BlobInfo: ciphertext 1, iv 2, key_info 5. KeyInfo: mechanism 1, key_id 3, wrapped_key 5. Mechanism 0 is a plaintext that KMS encrypted itself; under
mechanism 1 KMS encrypted a key of 32 bytes, and that one the plaintext: AES-256-GCM, the tag at the end, nothing authenticated beside it.
"""

import os

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from . import proto

DIRECT, ENVELOPE = 0, 1


def one(fields, number, default=None):
    values = fields.get(number, [default])
    if len(values) != 1 or values[0] is None:
        raise ValueError(f"field {number} is there {len(values) if number in fields else 0} times")
    return values[0]


def parse(data):
    """Mechanism, key id, and the parts of a blob."""
    blob = proto.fields(data)
    info = proto.fields(one(blob, 5))
    unknown = (set(blob) - {1, 2, 5}) | {f"5.{number}" for number in set(info) - {1, 3, 5}}
    if unknown:
        raise ValueError(f"unknown fields {unknown}")
    found = {
        "mechanism": one(info, 1, 0),
        "key_id": one(info, 3, b"").decode(),
        "ciphertext": one(blob, 1),
        "iv": one(blob, 2, b""),
        "wrapped_key": one(info, 5, b""),
    }
    return found


def open_with(kms, data):
    """The plaintext of a blob; KMS is asked for what only KMS can tell."""
    blob = parse(data)
    if blob["mechanism"] == DIRECT:
        return kms.decrypt(CiphertextBlob=blob["ciphertext"], KeyId=blob["key_id"])["Plaintext"]
    if blob["mechanism"] != ENVELOPE:
        raise ValueError(f"mechanism {blob['mechanism']}")
    if len(blob["iv"]) != 12:
        raise ValueError(f"an iv of {len(blob['iv'])} bytes")
    key = kms.decrypt(CiphertextBlob=blob["wrapped_key"], KeyId=blob["key_id"])["Plaintext"]
    if len(key) != 32:
        raise ValueError(f"a data-encryption key of {len(key)} bytes")
    return AESGCM(key).decrypt(blob["iv"], blob["ciphertext"], None)


def make(kms, key_id, mechanism, plaintext):
    """A blob of that plaintext."""
    if mechanism == DIRECT:
        made = kms.encrypt(KeyId=key_id, Plaintext=plaintext)
        # proto3 leaves out what is 0.
        return proto.put_bytes(1, made["CiphertextBlob"]) + proto.put_bytes(5, proto.put_bytes(3, made["KeyId"].encode()))
    key, iv = os.urandom(32), os.urandom(12)
    made = kms.encrypt(KeyId=key_id, Plaintext=key)
    info = proto.put_varint(1 << 3) + proto.put_varint(ENVELOPE) + proto.put_bytes(3, made["KeyId"].encode()) + proto.put_bytes(5, made["CiphertextBlob"])
    return proto.put_bytes(1, AESGCM(key).encrypt(iv, plaintext, None)) + proto.put_bytes(2, iv) + proto.put_bytes(5, info)
