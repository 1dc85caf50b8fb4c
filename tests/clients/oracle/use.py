"""Uses what the first server handed out: a key that only looks right is found out here. What is wrong is said, one line each."""

from .client import Client


class Uses:
    def __init__(self, address, facts):
        self.c, self.facts, self.wrong = Client(address, facts["tokens"]["root"]), facts, []

    def check(self, what, good, found=""):
        if not good:
            self.wrong.append(f"{what}: {str(found)[:300]}")

    def status(self, what, wanted, method, path, body=None, **more):
        status, answer = self.c.call(method, path, body, **more)
        wanted = wanted if isinstance(wanted, tuple) else (wanted,)
        self.check(what, status in wanted, f"{method} {path}: {status} instead of {wanted}: {answer}")
        return answer


def everything(address, facts, server):
    u = Uses(address, facts)
    tokens(u)
    approle(u)
    wrapped(u)
    secrets(u)
    if server == "real":
        engines(u)
    return u.wrong


def tokens(u):
    t = u.facts["tokens"]
    secret = "secret/data/app/db/main"
    for name in ("plain", "periodic", "orphan", "orphan2", "explicit", "fixed", "bare", "chosen", "second root", "passing root", "batch", "parent", "child", "role service", "role bound", "role batch", "role periodic", "approle plain", "approle batch"):
        u.status(f"the token {name} reads", 200, "GET", secret, token=t[name])
    u.status("a token bound to other addresses", 403, "GET", secret, token=t["role elsewhere"])
    u.status("a token that was revoked before", 403, "GET", secret, token=u.facts["dead"][0])
    u.status("the policy holds", 403, "POST", secret, {"data": {}}, token=t["plain"])
    for number in range(5):
        u.status(f"use {number} of five", 200, "GET", secret, token=t["limited"])
    u.status("the sixth use of five", 403, "GET", secret, token=t["limited"])
    renewed = u.status("a renewal", 200, "POST", "auth/token/renew-self", {"increment": "60h"}, token=t["plain"])
    u.check("it lives on", renewed.get("auth", {}).get("lease_duration") == 60 * 3600, renewed.get("auth"))
    renewed = u.status("a periodic renewal", 200, "POST", "auth/token/renew-self", {}, token=t["periodic"])
    u.check("for its period", renewed.get("auth", {}).get("lease_duration") == 48 * 3600, renewed.get("auth"))
    renewed = u.status("a renewal under a limit", 200, "POST", "auth/token/renew-self", {"increment": "2000h"}, token=t["explicit"])
    u.check("up to the limit", 70 * 3600 < renewed.get("auth", {}).get("lease_duration", 0) <= 73 * 3600, renewed.get("auth"))
    u.status("what is not renewable", 400, "POST", "auth/token/renew-self", {}, token=t["fixed"])
    renewed = u.status("the renewal of a login", 200, "POST", "auth/token/renew-self", {}, token=t["approle plain"])
    u.check("by its role", renewed.get("auth", {}).get("lease_duration") == 40 * 3600, renewed.get("auth"))
    made = u.status("a token by a role", 200, "POST", "auth/token/create/periodic", {"policies": ["reader"]})
    u.check("has the role's period", made.get("auth", {}).get("lease_duration") == 26 * 3600, made.get("auth"))
    u.status("a policy that the role forbids", 400, "POST", "auth/token/create/periodic", {"policies": ["writer"]})
    u.status("the revocation of a parent", (200, 204), "POST", "auth/token/revoke", {"token": t["parent"]})
    for name in ("parent", "child", "child2"):
        u.status(f"the token {name} after it", 403, "GET", secret, token=t[name])
    u.status("an orphan after it", 200, "GET", secret, token=t["orphan"])
    u.status("a cubbyhole of one's own", (200, 204), "POST", "cubbyhole/new", {"a": "b"}, token=t["plain"])
    read = u.status("another's box", 200, "GET", "cubbyhole/mine/box", token=t["chosen"])
    u.check("is still its own", read.get("data") == {"of": "chosen", "n": [1, 2]}, read)


def approle(u):
    roles = u.facts["approle"]
    login = lambda what, wanted, name, secret=None: u.status(what, wanted, "POST", "auth/approle/login", {"role_id": roles[name]["role_id"], **({"secret_id": secret} if secret else {})}, token="")
    for name, kind in (("plain", "made"), ("plain", "chosen"), ("bound", "made"), ("batch", "made"), ("periodic", "made"), ("local", "made")):
        auth = login(f"a login as {name} with the {kind} id", 200, name, roles[name]["secret_ids"][kind]["id"]).get("auth") or {}
        u.check(f"the token of {name}", "reader" in auth.get("policies", []) and auth.get("metadata", {}).get("role_name") == name, auth)
        if auth:
            u.status(f"what {name} reads", 200, "GET", "secret/data/app/db/main", token=auth["client_token"])
    login("a login without a secret id", 200, "open")
    login("a wrong secret id", 400, "plain", "wrong")
    login("a login from elsewhere", (400, 403, 500), "elsewhere", roles["elsewhere"]["secret_ids"]["made"]["id"])
    limited = roles["Limited"]["secret_ids"]["made"]["id"]
    # One of three was used on the first server.
    for number in (2, 3):
        login(f"use {number} of a secret id for three", 200, "Limited", limited)
    login("the fourth", 400, "Limited", limited)


def wrapped(u):
    for name, token in u.facts["wrapped"].items():
        answer = u.status(f"the unwrapping of {name}", 200, "POST", "sys/wrapping/unwrap", {}, token=token)
        if name == "secret":
            u.check("the wrapped secret", ((answer.get("data") or {}).get("data") or {}).get("user") == "user3", answer)
        if name == "token":
            u.status("the wrapped token", 200, "GET", "secret/data/app/db/main", token=(answer.get("auth") or {}).get("client_token", "none"))
        if name == "data":
            u.check("the wrapped data", answer.get("data") == {"a": "1", "gr\u00fcn": [2]}, answer)
        u.status(f"unwrapping {name} twice", (400, 403), "POST", "sys/wrapping/unwrap", {}, token=token)


def secrets(u):
    made = u.status("a new version", 200, "POST", "secret/data/app/db/main", {"data": {"user": "after"}})
    u.check("goes on counting", (made.get("data") or {}).get("version") == 4, made)
    u.status("an undeleted version", (200, 204), "POST", "secret/undelete/history", {"versions": [2]})
    read = u.status("is readable", 200, "GET", "secret/data/history?version=2")
    u.check("as it was", ((read.get("data") or {}).get("data")) == {"n": "2"}, read)
    u.status("a destroyed one is not", 404, "GET", "secret/data/history?version=3")
    u.status("a write without check-and-set", 400, "POST", "secret/data/owned", {"data": {}})
    u.status("one with it", 200, "POST", "secret/data/owned", {"data": {"x": "3"}, "options": {"cas": 2}})
    u.status("a new secret beside the old", 200, "POST", "secret/data/app/new", {"data": {"x": "1"}})
    names = u.status("a listing", 200, "LIST", "secret/metadata/app")
    u.check("has both", set((names.get("data") or {}).get("keys", [])) >= {"db", "db/", "new", "api"}, names)
    u.status("a rotation of the key", (200, 204), "PUT", "sys/rotate")


def engines(u):
    plain = u.status("a decryption", 200, "POST", "transit/decrypt/aes", {"ciphertext": u.facts["transit"]["ciphertext"]})
    u.check("of what was encrypted", (plain.get("data") or {}).get("plaintext") == u.facts["transit"]["plaintext"], plain)
    u.status("a certificate", 200, "POST", "pki/issue/web", {"common_name": "b.example.test"})
    u.status("a login by password", 200, "POST", "auth/userpass/login/anna", {"password": u.facts["userpass"]["anna"]}, token="")
    within = {"headers": {"X-Vault-Namespace": "ns1"}, "token": u.facts["namespace"]["token"]}
    u.status("a namespace's secret", 200, "GET", "kv/data/inside", **within)


def scratched(address, facts):
    """The same for the store that no server made."""
    facts["tokens"]["root"], found = facts["tokens"]["root"]["inner"], facts["tokens"]
    signed = {"root": found["root"], "leased": found["leased"]["inner"], "signed": found["leased"]["signed"]}
    u = Uses(address, {"tokens": signed})
    for path, data in facts["secrets"].items():
        answer = u.status("a secret", 200, "GET", path)
        answer = answer.get("data") or {}
        u.check(path, (answer.get("data") if "data/" in path else answer) == data, answer)
    for name in ("leased", "signed"):
        who = u.status(f"the token {name}", 200, "GET", "auth/token/lookup-self", token=signed[name]).get("data") or {}
        u.check("is the one that was written", who.get("accessor") == found["leased"]["accessor"], who)
        u.status(f"{name} reads", 200, "GET", "secret/data/app/db", token=signed[name])
        box = u.status(f"the cubbyhole of {name}", 200, "GET", "cubbyhole/box", token=signed[name])
        u.check("holds what was written", box.get("data") == {"of": "leased"}, box)
        u.status(f"{name} is renewed", 200, "POST", "auth/token/renew-self", {}, token=signed[name])
    u.status("a signature that was tampered with", 403, "GET", "auth/token/lookup-self", token=signed["signed"][:-2] + "AA")
    login = u.status("a login", 200, "POST", "auth/approle/login", facts["approle"], token="").get("auth") or {}
    u.status("reads", 200, "GET", "secret/data/app/db", token=login.get("client_token", "none"))
    made = u.status("a new version", 200, "POST", "secret/data/app/db", {"data": {"pass": "third"}})
    u.check("goes on counting", (made.get("data") or {}).get("version") == 3, made)
    return u.wrong
