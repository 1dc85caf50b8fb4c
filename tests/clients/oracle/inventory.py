"""Reads everything that a server tells of its store, changing nothing: one tree of values by section and name.

What runs on by itself (how long a lease has left) is left out; when it ends is there instead.
"""

from .client import Client, Refused

# Members that count down or say when the question was asked.
RUNNING = {"ttl", "last_renewal", "last_renewal_time", "expires_in"}


def still(value):
    """The same without what runs on by itself."""
    if isinstance(value, dict):
        return {name: still(member) for name, member in value.items() if name not in RUNNING}
    return value


def whole(address, facts, sections):
    """These sections of the inventory; a section that fails is an entry that says so."""
    c = Client(address, facts["tokens"]["root"])
    found = {}
    for name in sections:
        try:
            found[name] = SECTIONS[name](c, facts)
        except Refused as error:
            found[name] = {"failed": str(error)}
    return found


def mounts(c, _):
    # With their settings, which a mount keeps by itself and shows one by one.
    return {path: {**entry, "tune": still(c.read(f"sys/mounts/{path}tune"))} for path, entry in c.read("sys/mounts").items() if path.endswith("/")}


def auth(c, _):
    return {path: entry for path, entry in c.read("sys/auth").items() if path.endswith("/")}


def policies(c, _):
    names = c.names("sys/policies/acl")
    return {name: c.read(f"sys/policies/acl/{name}")["policy"] for name in names if name not in ("root", "default", "response-wrapping")}


def kv(c, _):
    found = {}
    for path, mount in c.read("sys/mounts").items():
        if not path.endswith("/") or mount["type"] != "kv":
            continue
        if (mount.get("options") or {}).get("version") == "2":
            found[path] = {"config": c.read(f"{path}config"), "secrets": {}}
            for name in c.leaves(f"{path}metadata/"):
                name = name.removeprefix(f"{path}metadata/")
                found[path]["secrets"][name] = versioned(c, path, name)
        else:
            found[path] = {name: c.call("GET", name)[1] for name in c.leaves(path)}
            for answer in found[path].values():
                answer.pop("request_id")
    return found


def versioned(c, mount, name):
    """Metadata, and each version that it has, as it is answered: deleted and destroyed ones have a status of their own."""
    metadata = c.read(f"{mount}metadata/{name}")
    versions = {}
    for number in metadata["versions"]:
        status, answer = c.call("GET", f"{mount}data/{name}?version={number}")
        versions[number] = {"status": status, "data": answer.get("data")}
    return {"metadata": metadata, "versions": versions, "newest": c.call("GET", f"{mount}data/{name}")[0]}


def tokens(c, facts):
    """Each known token as it is looked up by itself, and by its accessor."""
    found = {}
    for name, token in facts["tokens"].items():
        # A use counts down those that are limited, and what is bound to another address denies itself.
        status, answer = c.call("POST", "auth/token/lookup", {"token": token})
        found[name] = {"status": status, **still(answer.get("data") or {})}
        accessor = found[name].get("accessor")
        if accessor:
            found[name]["by accessor"] = still(c.done("POST", "auth/token/lookup-accessor", {"accessor": accessor})["data"])
    for number, token in enumerate(facts["dead"]):
        found[f"dead {number}"] = {"status": c.call("POST", "auth/token/lookup", {"token": token})[0]}
    return found


def accessors(c, _):
    found = {}
    for accessor in c.names("auth/token/accessors"):
        status, answer = c.call("POST", "auth/token/lookup-accessor", {"accessor": accessor})
        found[accessor] = {"status": status, **still(answer.get("data") or {})}
    return found


def token_roles(c, _):
    return {name: c.read(f"auth/token/roles/{name}") for name in c.names("auth/token/roles")}


def cubbyholes(c, facts):
    found = {}
    for name in facts["cubbyhole"]:
        token = facts["tokens"][name]
        found[name] = {path: c.read(path, token=token) for path in c.leaves("cubbyhole/", token=token)}
    return found


def wrapped(c, facts):
    return {name: c.done("POST", "sys/wrapping/lookup", {"token": token}, token="")["data"] for name, token in facts["wrapped"].items()}


def approle(c, _):
    found = {}
    for path, mount in c.read("sys/auth").items():
        if not path.endswith("/") or mount["type"] != "approle":
            continue
        for name in c.names(f"auth/{path}role"):
            at = f"auth/{path}role/{name}"
            found[at] = {"role": c.read(at), "role id": c.read(f"{at}/role-id"), "secret ids": {}}
            for accessor in c.names(f"{at}/secret-id"):
                found[at]["secret ids"][accessor] = c.done("POST", f"{at}/secret-id-accessor/lookup", {"secret_id_accessor": accessor})["data"]
    return found


def leases(c, _):
    found = {}
    for lease in c.leaves("sys/leases/lookup/"):
        lease = lease.removeprefix("sys/leases/lookup/")
        found[lease] = still(c.done("PUT", "sys/leases/lookup", {"lease_id": lease})["data"])
    return found


def audit(c, _):
    return {path: entry for path, entry in c.read("sys/audit").items() if path.endswith("/")}


def key(c, _):
    return {"term": c.read("sys/key-status")["term"], "rotation": c.read("sys/rotate/config")}


def engines(c, facts):
    """Engines and auth methods that our server has not."""
    transit = {name: c.read(f"transit/keys/{name}") for name in c.names("transit/keys")}
    plain = c.done("POST", "transit/decrypt/aes", {"ciphertext": facts["transit"]["ciphertext"]})["data"]["plaintext"]
    certificates = {serial: c.read(f"pki/cert/{serial}") for serial in c.names("pki/certs")}
    roles = {name: c.read(f"pki/roles/{name}") for name in c.names("pki/roles")}
    users = {name: c.read(f"auth/userpass/users/{name}") for name in c.names("auth/userpass/users")}
    return {"transit": transit, "plaintext": plain, "certificates": certificates, "ca": c.read("pki/cert/ca"), "pki roles": roles, "users": users}


def identity(c, _):
    entities = {name: c.read(f"identity/entity/id/{name}") for name in c.names("identity/entity/id")}
    groups = {name: c.read(f"identity/group/id/{name}") for name in c.names("identity/group/id")}
    return {"entities": entities, "groups": groups}


def settings(c, _):
    return {
        "quotas": {name: c.read(f"sys/quotas/rate-limit/{name}") for name in c.names("sys/quotas/rate-limit")},
        "password policies": {name: c.read(f"sys/policies/password/{name}") for name in c.names("sys/policies/password")},
        "headers": c.read("sys/config/ui/headers/X-Custom"),
        "audited headers": c.read("sys/config/auditing/request-headers"),
    }


def namespaces(c, facts):
    found = {}
    for path in ("ns1/", "ns1/child/"):
        within = {"headers": {"X-Vault-Namespace": path.rstrip("/")}}
        found[path] = {
            "mounts": {name: entry for name, entry in c.read("sys/mounts", **within).items() if name.endswith("/")},
            "policies": {name: c.read(f"sys/policies/acl/{name}", **within)["policy"] for name in c.names("sys/policies/acl", **within)},
        }
    found["inside"] = c.read("kv/data/inside", headers={"X-Vault-Namespace": "ns1"}, token=facts["namespace"]["token"])
    found["child"] = c.read("deep/x", headers={"X-Vault-Namespace": "ns1/child"})
    found["records"] = {name: c.read(f"sys/namespaces/{name}") for name in c.names("sys/namespaces")}
    return found


SECTIONS = {
    "mounts": mounts,
    "auth": auth,
    "policies": policies,
    "kv": kv,
    "tokens": tokens,
    "accessors": accessors,
    "token roles": token_roles,
    "cubbyholes": cubbyholes,
    "wrapped": wrapped,
    "approle": approle,
    "leases": leases,
    "audit": audit,
    "key": key,
    "engines": engines,
    "identity": identity,
    "settings": settings,
    "namespaces": namespaces,
}
