"""Fills a real server with an entry of every kind that a store may hold, and says what a client knows of it."""

from .client import Client

READER = 'path "secret/data/*" { capabilities = ["read"] }\npath "plain/*" { capabilities = ["read", "list"] }\n'
WRITER = 'path "secret/*" { capabilities = ["create", "read", "update", "delete", "list", "patch"] }\n'
TEMPLATED = 'path "secret/data/{{identity.entity.name}}/*" { capabilities = ["read"] }\n'
PARAMETERS = 'path "plain/only" {\n  capabilities = ["create", "update"]\n  allowed_parameters = { "a" = ["1", "2"] }\n  denied_parameters = { "b" = [] }\n}\n'
# What our own policy language has to carry through unharmed though it may not know it.
CURIOUS = '# a remark\npath "sec+/*" { capabilities = ["read"] }\npath "plain/gr\u00fcn" { policy = "write" min_wrapping_ttl = "1s" max_wrapping_ttl = "90s" }\n'


def fill(address, root, audited):
    """The facts: tokens, secret ids, wrapped answers and ciphertexts that must be good afterwards. `audited` is the audit log's file."""
    c = Client(address, root)
    facts = {"tokens": {"root": root}, "wrapped": {}, "approle": {}, "transit": {}, "userpass": {}, "cubbyhole": {}, "counts": {}}
    c.done("PUT", "sys/audit/kept", {"type": "file", "description": "all that is asked", "options": {"file_path": audited}})
    mounts(c)
    secrets(c)
    policies(c)
    tokens(c, facts)
    approle(c, facts)
    others(c, facts)
    namespace(c, facts)
    wrapped(c, facts)
    c.done("PUT", "sys/rotate")
    c.done("POST", "secret/data/after/rotation", {"data": {"term": 2}})
    c.done("POST", "plain/after-rotation", {"term": "2"})
    return facts


def mounts(c):
    c.done("POST", "sys/mounts/secret", {"type": "kv", "options": {"version": "2"}, "description": "versioned", "config": {"max_lease_ttl": "100h"}})
    c.done("POST", "sys/mounts/plain", {"type": "kv", "options": {"version": "1"}, "config": {"default_lease_ttl": "33m", "listing_visibility": "unauth"}})
    c.done("POST", "sys/mounts/team/deep/kv", {"type": "kv-v2", "config": {"audit_non_hmac_request_keys": ["note"]}})
    c.done("POST", "sys/mounts/here", {"type": "kv", "local": True, "options": {"version": "1"}})
    c.done("POST", "sys/mounts/upgraded", {"type": "kv", "options": {"version": "1"}})
    c.done("POST", "upgraded/was/plain", {"version": "one"})
    c.done("POST", "sys/mounts/upgraded/tune", {"options": {"version": "2"}})
    c.until("the upgrade to version 2", lambda: c.call("GET", "upgraded/data/was/plain")[0] == 200)
    c.done("POST", "upgraded/data/was/plain", {"data": {"version": "two"}})


def secrets(c):
    put = lambda path, data, **options: c.done("POST", f"secret/data/{path}", {"data": data, "options": options} if options else {"data": data})
    for number in range(1, 4):
        put("app/db/main", {"user": f"user{number}", "note": "gr\u00fcn <&> \u2028", "nested": {"list": [1, 2, {"x": None}], "yes": True}})
    put("app/db", {"x": "a leaf of a folder's name"})
    put("app/api", {"key": "k" * 3000})
    for number in range(1, 14):
        put("many", {"n": str(number)})
    put("gone", {"x": "1"})
    c.done("DELETE", "secret/data/gone")
    for number in range(1, 5):
        put("history", {"n": str(number)})
    c.done("POST", "secret/delete/history", {"versions": [2]})
    c.done("POST", "secret/destroy/history", {"versions": [3]})
    put("undone", {"x": "1"})
    c.done("POST", "secret/delete/undone", {"versions": [1]})
    c.done("POST", "secret/undelete/undone", {"versions": [1]})
    put("lost", {"x": "1"})
    c.done("POST", "secret/destroy/lost", {"versions": [1]})
    c.done("POST", "secret/metadata/owned", {"custom_metadata": {"owner": "team a", "gr\u00fcn": "ja"}, "max_versions": 3, "cas_required": True, "delete_version_after": "3000h"})
    put("owned", {"x": "1"}, cas=0)
    put("owned", {"x": "2"}, cas=1)
    c.done("POST", "secret/metadata/bare", {"custom_metadata": {"only": "metadata"}})
    put("with space/and +plus/\u00fcmlaut", {"x": "named oddly"})
    put("empty", {})
    put("removed", {"x": "1"})
    c.done("DELETE", "secret/metadata/removed")
    c.done("POST", "team/deep/kv/config", {"max_versions": 5, "delete_version_after": "2000h"})
    for number in range(1, 8):
        c.done("POST", "team/deep/kv/data/trimmed", {"data": {"n": str(number)}})
    for path, data in {"a/b": {"n": "1"}, "a": {"leaf": "and folder"}, "ttl": {"value": "v", "ttl": "17m"}, "x/y/z": {"deep": [1, "2", None]}, "html": {"x": "<a href=\"&\">"}}.items():
        c.done("POST", f"plain/{path}", data)
    c.done("POST", "here/local", {"stays": "here"})


def policies(c):
    for name, text in {"reader": READER, "writer": WRITER, "templated": TEMPLATED, "parameters": PARAMETERS, "curious": CURIOUS, "Mixed-Case": READER}.items():
        c.done("PUT", f"sys/policies/acl/{name}", {"policy": text})
    c.done("POST", "sys/policies/password/digits", {"policy": 'length = 9\nrule "charset" { charset = "0123456789" }\n'})


def tokens(c, facts):
    made = lambda name, body, path="auth/token/create", by=None: facts["tokens"].__setitem__(name, c.done("POST", path, body, token=by)["auth"]["client_token"])
    made("plain", {"policies": ["reader"], "ttl": "70h", "meta": {"who": "gr\u00fcn"}, "display_name": "plain one"})
    made("periodic", {"policies": ["writer"], "period": "48h"})
    made("orphan", {"policies": ["reader"], "ttl": "71h", "no_parent": True})
    made("orphan2", {"policies": ["reader"], "ttl": "71h"}, "auth/token/create-orphan")
    made("limited", {"policies": ["reader"], "ttl": "72h", "num_uses": 5})
    made("explicit", {"policies": ["reader"], "ttl": "20h", "explicit_max_ttl": "73h"})
    made("fixed", {"policies": ["reader"], "ttl": "74h", "renewable": False})
    made("bare", {"policies": ["reader"], "ttl": "75h", "no_default_policy": True})
    made("chosen", {"policies": ["reader"], "ttl": "76h", "id": "a-chosen-id"})
    made("second root", {"policies": ["root"]})
    made("passing root", {"policies": ["root"], "ttl": "77h"})
    made("batch", {"policies": ["reader"], "ttl": "78h", "type": "batch", "meta": {"kind": "batch"}})
    c.done("PUT", "sys/policies/acl/parent", {"policy": READER + 'path "auth/token/create" { capabilities = ["update"] }\n'})
    made("parent", {"policies": ["parent", "reader"], "ttl": "79h"})
    made("child", {"policies": ["reader"], "ttl": "60h"}, by=facts["tokens"]["parent"])
    made("child2", {"policies": ["reader"], "ttl": "61h"}, by=facts["tokens"]["parent"])
    roles = {
        "service": {"allowed_policies": ["reader", "writer"], "orphan": True, "token_explicit_max_ttl": "90h", "path_suffix": "suffix", "renewable": True},
        "bound": {"allowed_policies_glob": ["read*"], "token_bound_cidrs": ["127.0.0.0/8"], "token_num_uses": 7, "token_type": "service"},
        "batch": {"allowed_policies": ["reader"], "token_type": "batch", "orphan": True, "renewable": False},
        "periodic": {"disallowed_policies": ["writer"], "token_period": "26h", "token_no_default_policy": True},
        "elsewhere": {"allowed_policies": ["reader"], "token_bound_cidrs": ["192.0.2.0/24", "2001:db8::/32"]},
    }
    for name, role in roles.items():
        c.done("POST", f"auth/token/roles/{name}", role)
    for name in ("service", "bound", "batch", "periodic", "elsewhere"):
        made(f"role {name}", {"policies": ["reader"], "ttl": "50h"}, f"auth/token/create/{name}")
    for name in ("plain", "orphan", "chosen", "root"):
        c.done("POST", "cubbyhole/mine/box", {"of": name, "n": [1, 2]}, token=facts["tokens"][name])
        facts["cubbyhole"][name] = {"mine/box": {"of": name, "n": [1, 2]}}
    revoked = c.done("POST", "auth/token/create", {"policies": ["reader"]})["auth"]["client_token"]
    c.done("POST", "auth/token/revoke", {"token": revoked})
    facts["dead"] = [revoked]


def approle(c, facts):
    c.done("POST", "sys/auth/approle", {"type": "approle", "description": "machines", "config": {"default_lease_ttl": "5h"}})
    c.done("POST", "sys/auth/second/approle", {"type": "approle"})
    roles = {
        "plain": {"token_policies": ["reader"], "token_ttl": "40h", "token_max_ttl": "80h"},
        "Limited": {"token_policies": ["reader", "writer"], "secret_id_num_uses": 3, "secret_id_ttl": "100h", "token_num_uses": 9},
        "bound": {"token_policies": ["reader"], "secret_id_bound_cidrs": ["127.0.0.0/8"], "token_bound_cidrs": ["127.0.0.0/8"]},
        "elsewhere": {"token_policies": ["reader"], "secret_id_bound_cidrs": ["192.0.2.0/24"]},
        "open": {"token_policies": ["reader"], "bind_secret_id": False, "token_bound_cidrs": ["127.0.0.0/8"]},
        "batch": {"token_policies": ["reader"], "token_type": "batch", "token_ttl": "30h"},
        "periodic": {"token_policies": ["reader"], "token_period": "31h", "token_no_default_policy": True},
        "local": {"token_policies": ["reader"], "local_secret_ids": True},
    }
    for name, role in roles.items():
        c.done("POST", f"auth/approle/role/{name}", role)
        ids = {"role_id": c.read(f"auth/approle/role/{name}/role-id")["role_id"], "secret_ids": {}}
        if role.get("bind_secret_id", True):
            wanted = {"metadata": '{"host": "a", "gr\u00fcn": "b"}'} if name == "plain" else {}
            made = c.done("POST", f"auth/approle/role/{name}/secret-id", wanted)["data"]
            ids["secret_ids"]["made"] = {"id": made["secret_id"], "accessor": made["secret_id_accessor"]}
        facts["approle"][name] = ids
    made = c.done("POST", "auth/approle/role/plain/custom-secret-id", {"secret_id": "chosen by the operator", "cidr_list": ["127.0.0.1/32"], "token_bound_cidrs": ["127.0.0.0/8"]})["data"]
    facts["approle"]["plain"]["secret_ids"]["chosen"] = {"id": "chosen by the operator", "accessor": made["secret_id_accessor"]}
    c.done("POST", "auth/approle/role/plain/role-id", {"role_id": "a role id of the operator's"})
    facts["approle"]["plain"]["role_id"] = "a role id of the operator's"
    login = lambda name: {"role_id": facts["approle"][name]["role_id"], **{"secret_id": found["id"] for found in facts["approle"][name]["secret_ids"].values()}}
    for name in ("plain", "Limited", "bound", "open", "batch", "periodic", "local"):
        facts["tokens"][f"approle {name}"] = c.done("POST", "auth/approle/login", login(name), token="")["auth"]["client_token"]
    c.done("POST", "auth/second/approle/role/other", {"token_policies": ["writer"]})


def others(c, facts):
    """Engines, auth methods and settings that our server has not, or has otherwise."""
    c.done("POST", "sys/mounts/transit", {"type": "transit"})
    for name, kind in {"aes": "aes256-gcm96", "sign": "ed25519"}.items():
        c.done("POST", f"transit/keys/{name}", {"type": kind})
    facts["transit"] = {"plaintext": "Z3LDvG4=", "ciphertext": c.done("POST", "transit/encrypt/aes", {"plaintext": "Z3LDvG4="})["data"]["ciphertext"]}
    c.done("POST", "transit/keys/aes/rotate")
    c.done("POST", "sys/mounts/pki", {"type": "pki", "config": {"max_lease_ttl": "8760h"}})
    c.done("POST", "pki/root/generate/internal", {"common_name": "example.test", "ttl": "8000h", "key_type": "ec"})
    c.done("POST", "pki/roles/web", {"allowed_domains": ["example.test"], "allow_subdomains": True, "max_ttl": "72h", "generate_lease": True})
    c.done("POST", "pki/issue/web", {"common_name": "a.example.test"})
    c.done("POST", "sys/auth/userpass", {"type": "userpass"})
    c.done("POST", "auth/userpass/users/anna", {"password": "a password", "token_policies": ["reader"]})
    facts["userpass"] = {"anna": "a password"}
    facts["tokens"]["userpass anna"] = c.done("POST", "auth/userpass/login/anna", {"password": "a password"}, token="")["auth"]["client_token"]
    entity = c.done("POST", "identity/entity", {"name": "somebody", "policies": ["reader"], "metadata": {"floor": "3"}})["data"]["id"]
    accessor = c.read("sys/auth")["userpass/"]["accessor"]
    c.done("POST", "identity/entity-alias", {"name": "bert", "canonical_id": entity, "mount_accessor": accessor})
    c.done("POST", "identity/group", {"name": "people", "policies": ["writer"], "member_entity_ids": [entity]})
    c.done("POST", "sys/quotas/rate-limit/wide", {"rate": 1e6})
    c.done("POST", "sys/config/ui/headers/X-Custom", {"values": ["a"]})
    c.done("PUT", "sys/config/auditing/request-headers/x-team", {"hmac": True})


def namespace(c, facts):
    c.done("POST", "sys/namespaces/ns1", {"custom_metadata": {"team": "one"}})
    within = {"headers": {"X-Vault-Namespace": "ns1"}}
    c.done("POST", "sys/namespaces/child", {}, **within)
    c.done("POST", "sys/mounts/kv", {"type": "kv-v2"}, **within)
    c.until("the namespace's kv", lambda: c.call("POST", "kv/data/inside", {"data": {"of": "ns1"}}, **within)[0] == 200)
    c.done("PUT", "sys/policies/acl/inner", {"policy": 'path "kv/*" { capabilities = ["read"] }'}, **within)
    facts["namespace"] = {"path": "ns1/", "token": c.done("POST", "auth/token/create", {"policies": ["inner"], "ttl": "70h"}, **within)["auth"]["client_token"]}
    c.done("POST", "sys/mounts/deep", {"type": "kv"}, headers={"X-Vault-Namespace": "ns1/child"})
    c.done("POST", "deep/x", {"of": "the child"}, headers={"X-Vault-Namespace": "ns1/child"})


def wrapped(c, facts):
    wrap = lambda method, path, body=None: c.done(method, path, body, headers={"X-Vault-Wrap-TTL": "60h"})["wrap_info"]["token"]
    facts["wrapped"] = {
        "secret": wrap("GET", "secret/data/app/db/main"),
        "token": wrap("POST", "auth/token/create", {"policies": ["reader"], "ttl": "65h"}),
        "data": wrap("POST", "sys/wrapping/wrap", {"a": "1", "gr\u00fcn": [2]}),
        "secret id": wrap("POST", "auth/approle/role/plain/secret-id"),
        "left": wrap("POST", "sys/wrapping/wrap", {"left": "for the last server"}),
    }
