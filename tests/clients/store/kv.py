"""What kv mounts hold: plain JSON (v1), versions under encrypted paths (v2)."""

import base64
import hashlib
import hmac as hmac_module
import json

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from . import proto

DIGITS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def v1(barrier, mount):
    prefix = f"logical/{mount['uuid']}/"
    return {key[len(prefix) :]: json.loads(barrier.get(key)) for key in barrier.below(prefix)}


class Segments:
    """Encrypts and decrypts one path segment in its folder's context."""

    def __init__(self, policy):
        latest = policy["keys"][str(policy["latest_version"])]
        self.key = base64.b64decode(latest["key"])
        self.version = policy["latest_version"]

    def derived(self, context):
        both = HKDF(algorithm=hashes.SHA256(), length=64, salt=None, info=context.encode()).derive(self.key)
        return both[:32], both[32:]

    def decrypt(self, context, text):
        number = 0
        for digit in text:
            number = number * 62 + DIGITS.index(digit)
        plain = number.to_bytes((number.bit_length() + 7) // 8, "big").decode()
        version, _, body = plain.partition(":")
        if version != str(self.version):
            raise ValueError(f"segment encrypted with version {version}")
        body = base64.b64decode(body, validate=True)
        segment = AESGCM(self.derived(context)[0]).decrypt(body[:12], body[12:], None).decode()
        if self.encrypt(context, segment) != text:
            raise ValueError(f"the segment {segment!r} would be encrypted to another name")
        return segment

    def encrypt(self, context, segment):
        key, mac = self.derived(context)
        nonce = hmac_module.new(mac, segment.encode(), hashlib.sha256).digest()[:12]
        body = nonce + AESGCM(key).encrypt(nonce, segment.encode(), None)
        number = int.from_bytes(f"{self.version}:{base64.b64encode(body).decode()}".encode(), "big")
        out = ""
        while number:
            number, digit = divmod(number, 62)
            out = DIGITS[digit] + out
        return out


def v2(barrier, mount):
    """Every secret: its path, the plain versions, and what became of the others."""
    prefix = f"logical/{mount['uuid']}/{mount['backend_aware_uuid']}/"
    if prefix + "policy/metadata" not in barrier.entries:
        return {}
    segments = Segments(barrier.json(prefix + "policy/metadata"))
    salt = barrier.get(prefix + "salt").decode() if prefix + "salt" in barrier.entries else ""
    root = f"{mount['backend_aware_uuid']}/metadata"
    secrets, versions = {}, set(barrier.below(prefix + "versions/"))
    for key in barrier.below(prefix + "metadata/"):
        context, plain = root, []
        for text in key[len(prefix + "metadata/") :].split("/"):
            plain.append(segments.decrypt(context, text))
            context += "/" + plain[-1]
        path, metadata = "/".join(plain), proto.fields(barrier.get(key))
        if metadata[1][0].decode() != path:
            raise ValueError(f"{path}: its metadata names {metadata[1][0].decode()}")
        secrets[path] = {"current": metadata.get(3, [0])[0], "versions": {}}
        for pair in metadata.get(2, []):
            pair = proto.fields(pair)
            number, about = pair.get(1, [0])[0], proto.fields(pair[2][0])
            if about.get(3, [0])[0]:
                secrets[path]["versions"][number] = "destroyed"
                continue
            digest = hashlib.sha256(f"{salt}{path}|{number}".encode()).hexdigest()
            name = f"{prefix}versions/{digest[:3]}/{digest[3:]}"
            stored = proto.fields(barrier.get(name))
            versions.discard(name)
            secrets[path]["versions"][number] = "deleted" if 2 in about else json.loads(stored[1][0])
    if versions:
        raise ValueError(f"{len(versions)} versions belong to no secret")
    return secrets
