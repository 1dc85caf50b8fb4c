"""A store made from the formats alone, as Vault 1.14 leaves one behind: single tables, core/master, signed tokens. No server's code has a part in it."""

import base64
import datetime
import hashlib
import hmac
import json
import os
import uuid

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from store import kv, proto, snapshot
from store.barrier import multiply
from store.tables import salted

ZERO = "0001-01-01T00:00:00Z"
NOW = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def text(seconds=0):
    return (NOW + datetime.timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def random62(length):
    return "".join(BASE62[byte % 62] for byte in os.urandom(length))


def split(secret, shares, threshold):
    """Shamir's shares: each the values of one polynomial per byte at x, and x."""
    xs = list(range(11, 11 + shares))
    out = [bytearray() for _ in xs]
    for byte in secret:
        coefficients = [byte, *os.urandom(threshold - 1)]
        for share, x in zip(out, xs):
            value = 0
            for coefficient in reversed(coefficients):
                value = multiply(value, x) ^ coefficient
            share.append(value)
    return [bytes(share) + bytes([x]) for share, x in zip(out, xs)]


class Store:
    """Entries under a barrier with two terms."""

    def __init__(self):
        self.root_key, self.unseal_key = os.urandom(32), os.urandom(32)
        self.keys = {1: os.urandom(32), 2: os.urandom(32)}
        self.entries = {}

    def seal(self, key, plain, term, secret):
        nonce = os.urandom(12)
        return term.to_bytes(4, "big") + b"\x02" + nonce + AESGCM(secret).encrypt(nonce, plain, key.encode())

    def put(self, key, value, term=2):
        plain = value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":")).encode()
        self.entries[key] = self.seal(key, plain, term, self.keys[term])

    def keyring(self, shares, threshold):
        key = lambda term, value, time: {"Term": term, "Version": 1, "Value": base64.b64encode(value).decode(), "InstallTime": time}
        ring = {"MasterKey": base64.b64encode(self.root_key).decode(), "Keys": [key(term, value, text(-100)) for term, value in self.keys.items()], "RotationConfig": {"Disabled": False, "MaxOperations": 3865470566, "Interval": 0}}
        self.entries["core/keyring"] = self.seal("core/keyring", json.dumps(ring).encode(), 1, self.root_key)
        nonce = os.urandom(12)
        sealed = nonce + AESGCM(self.unseal_key).encrypt(nonce, json.dumps([base64.b64encode(self.root_key).decode()]).encode(), None)
        self.entries["core/hsm/barrier-unseal-keys"] = proto.put_bytes(1, sealed) + b"\x2a\x00"
        self.entries["core/seal-config"] = json.dumps({"type": "shamir", "secret_shares": shares, "secret_threshold": threshold, "pgp_keys": None, "nonce": "", "backup": False, "stored_shares": 1}).encode()
        self.put("core/master", key(1, self.root_key, ZERO))
        self.put("core/shamir-kek", self.unseal_key, 1)


def mount(path, kind, table="mounts", **more):
    prefix = "auth_" if table == "auth" else ""
    entry = {"table": table, "path": path, "type": kind, "description": "", "uuid": str(uuid.uuid4()), "backend_aware_uuid": str(uuid.uuid4()), "accessor": f"{prefix}{kind}_{os.urandom(4).hex()}"}
    return {**entry, "config": {}, "options": None, "local": False, "seal_wrap": False, "namespace_id": "root", **more}


def make(path):
    """Writes the snapshot; gives back shares, tokens and what must be found."""
    s = Store()
    s.keyring(3, 2)
    v1, v2, aws = mount("plain/", "kv", options={"version": "1"}), mount("secret/", "kv", options={"version": "2"}), mount("cloud/", "aws", mount_state="", zz_unknown={"kept": 1.50})
    cubbyhole, approle = mount("cubbyhole/", "cubbyhole", local=True), mount("approle/", "approle", "auth")
    s.put("core/mounts", {"type": "mounts", "entries": [mount("sys/", "system", seal_wrap=True), mount("identity/", "identity"), v1, v2, aws]})
    s.put("core/local-mounts", {"type": "mounts", "entries": [cubbyhole]})
    s.put("core/auth", {"type": "auth", "entries": [mount("token/", "token", "auth"), approle]})
    s.put("core/cluster/local/info", {"name": "vault-cluster-scratch", "id": str(uuid.uuid4())})
    s.put("core/cluster/feature-flags", {"namespace_cubbyholes_local": True})
    s.put("sys/counters/activity/config", {"default_report_months": 12})
    s.put("sys/policy/reader", {"Version": 2, "Raw": 'path "secret/*" { capabilities = ["read", "list"] }', "Templated": False, "Type": 0})
    s.put(f"logical/{aws['uuid']}/config/root", {"access_key": "AKIDEXAMPLE"})
    s.put(f"logical/{v1['uuid']}/old/one", {"a": "b", "n": 1}, 1)
    s.put(f"logical/{v1['uuid']}/old/two", {"c": "d"})
    versioned(s, v2)
    facts = tokens(s, cubbyhole)
    facts |= {"approle": role(s, approle), "shares": [base64.b64encode(share).decode() for share in split(s.unseal_key, 3, 2)]}
    facts["secrets"] = {"plain/old/one": {"a": "b", "n": 1}, "plain/old/two": {"c": "d"}, "secret/data/app/db?version=1": {"pass": "first"}, "secret/data/app/db": {"pass": "second"}}
    facts["kept"] = [f"logical/{aws['uuid']}/config/root", "core/cluster/feature-flags", "sys/counters/activity/config"]
    snapshot.write(path, s.entries)
    return facts


def versioned(s, mounted):
    inner = mounted["backend_aware_uuid"]
    at = f"logical/{mounted['uuid']}/{inner}/"
    key = {"key": base64.b64encode(os.urandom(32)).decode(), "hmac_key": base64.b64encode(os.urandom(32)).decode(), "time": text(), "convergent_version": 3}
    policy = {"name": "metadata", "keys": {"1": key}, "derived": True, "kdf": 1, "convergent_encryption": True, "min_decryption_version": 1, "latest_version": 1}
    policy |= {"archive_version": 1, "convergent_version": -1, "version_template": "{{version}}:", "storage_prefix": inner + "/"}
    salt, stamp = str(uuid.uuid4()), proto.put_varint(1 << 3) + proto.put_varint(int(NOW.timestamp()))
    s.put(at + "policy/metadata", policy)
    s.put(at + "salt", salt.encode())
    s.put(at + "upgrading", proto.put_bytes(1, stamp) + proto.put_varint(2 << 3) + b"\x01")
    segments, names, context = kv.Segments(policy), [], f"{inner}/metadata"
    for segment in ("app", "db"):
        names.append(segments.encrypt(context, segment))
        context += "/" + segment
    versions = b""
    for number, data in ((1, {"pass": "first"}), (2, {"pass": "second"})):
        versions += proto.put_bytes(2, proto.put_varint(1 << 3) + proto.put_varint(number) + proto.put_bytes(2, proto.put_bytes(1, stamp)))
        digest = hashlib.sha256(f"{salt}app/db|{number}".encode()).hexdigest()
        s.put(f"{at}versions/{digest[:3]}/{digest[3:]}", proto.put_bytes(1, json.dumps(data).encode()) + proto.put_bytes(2, stamp))
    # A field that nobody here knows has to be there still after the secret was written to.
    odd = proto.put_bytes(399, b"of a later release")
    s.put(at + "metadata/" + "/".join(names), proto.put_bytes(1, b"app/db") + versions + proto.put_varint(3 << 3) + b"\x02" + proto.put_bytes(5, stamp) + proto.put_bytes(6, stamp) + odd)


def tokens(s, cubbyhole):
    salt, header = str(uuid.uuid4()).encode(), str(uuid.uuid4()).encode()
    s.put("sys/token/salt", salt)
    s.put("core/index-header-hmac-key", header)
    found = {}
    for name, policies, path, ttl in (("root", ["root"], "auth/token/root", 0), ("leased", ["default", "reader"], "auth/token/create", 3600 * 50)):
        inner, accessor = "hvs." + random62(24), random62(24)
        entry = {"type": 1, "id": inner, "accessor": accessor, "parent": "", "policies": policies, "path": path, "display_name": "token", "creation_time": int(NOW.timestamp()), "ttl": ttl * 10**9, "namespace_id": "root", "cubbyhole_id": random62(24), "zz_unknown": "kept"}
        s.put(f"sys/token/id/{salted(salt, inner)}", entry)
        s.put(f"sys/token/accessor/{salted(salt, accessor)}", {"token_id": inner, "accessor_id": accessor, "namespace_id": "root"})
        if ttl:
            lease = f"{path}/{salted(salt, inner)}"
            auth = {"lease": ttl * 10**9, "renewable": True, "display_name": "token", "policies": policies, "token_policies": policies, "client_token": inner, "accessor": accessor, "creation_path": path, "token_type": 1, "orphan": True}
            s.put(f"sys/expire/id/{lease}", {"lease_id": lease, "client_token": inner, "token_type": 0, "path": path, "data": None, "secret": None, "auth": auth, "issue_time": text(), "expire_time": text(ttl), "last_renewal_time": ZERO, "version": 1, "revokeErr": ""})
        s.put(f"logical/{cubbyhole['uuid']}/{entry['cubbyhole_id']}/box", {"of": name})
        token = proto.put_bytes(1, inner.encode())
        signed = b"\x08\x01" + proto.put_bytes(2, hmac.new(header, token, hashlib.sha256).digest()) + proto.put_bytes(3, token)
        found[name] = {"inner": inner, "signed": "hvs." + base64.urlsafe_b64encode(signed).decode().rstrip("="), "accessor": accessor}
    return {"tokens": found}


def role(s, mounted):
    at, salt, key = f"auth/{mounted['uuid']}/", str(uuid.uuid4()), str(uuid.uuid4())
    sha = lambda value: hashlib.sha256((salt + value).encode()).hexdigest()
    mac = lambda value: hmac.new(key.encode(), value.encode(), hashlib.sha256).hexdigest()
    role_id, secret_id, accessor = str(uuid.uuid4()), str(uuid.uuid4()), str(uuid.uuid4())
    s.put(at + "salt", salt.encode())
    s.put(at + "role/app", {"token_policies": ["reader"], "token_ttl": 3600 * 10**9, "token_max_ttl": 7200 * 10**9, "role_id": role_id, "hmac_key": key, "bind_secret_id": True, "lower_case_role_name": True, "secret_id_prefix": "secret_id/"})
    s.put(at + f"role_id/{sha(role_id)}", {"name": "app"})
    entry = {"secret_id_accessor": accessor, "secret_id_num_uses": 0, "secret_id_ttl": 0, "creation_time": text(), "expiration_time": ZERO, "last_updated_time": text(), "metadata": {}, "cidr_list": [], "token_cidr_list": [], "SecretIDNumUses": 0}
    s.put(at + f"secret_id/{mac('app')}/{mac(secret_id)}", entry)
    s.put(at + f"accessor/{sha(accessor)}", {"secret_id_hmac": mac(secret_id)})
    return {"role_id": role_id, "secret_id": secret_id}
