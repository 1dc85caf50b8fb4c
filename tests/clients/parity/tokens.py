"""Token roles, batch tokens and what limits a token: by the command line where it has the option, else by raw HTTP."""

CREATOR = 'path "auth/token/create/*" { capabilities = ["create", "update"] }'


def roles(r):
    def write(name, body, method="POST"):
        return r.http(f"role write {name}", method, "/v1/auth/token/roles/parity", body)

    def read(name):
        r.http(f"role read {name}", "GET", "/v1/auth/token/roles/parity")

    r.http("role list none", "LIST", "/v1/auth/token/roles")
    read("missing")
    write("plain", {})
    read("plain")
    write("lists", {"allowed_policies": "B, a,,A", "disallowed_policies": ["X ", "x", "y"], "allowed_policies_glob": "dev-*", "token_no_default_policy": True})
    read("lists")
    write("again", {"orphan": "true", "renewable": False, "path_suffix": "v1/abc", "token_num_uses": "3"}, "PUT")
    read("again")
    write("old names", {"period": "1h", "explicit_max_ttl": 7200, "bound_cidrs": "127.0.0.1/32,10.1.2.3/8,::1"})
    read("old names")
    write("both names", {"period": 1, "token_period": "2h", "explicit_max_ttl": 1, "token_explicit_max_ttl": "2000h", "bound_cidrs": "1.1.1.1", "token_bound_cidrs": "2.2.2.2/16"})
    read("both names")
    write("unknown", {"colour": "red"})
    for name, body in {
        "batch child": {"token_type": "batch", "orphan": False},
        "batch renewable": {"token_type": "batch", "orphan": True, "renewable": True, "token_period": 0, "token_explicit_max_ttl": 0},
        "type unknown": {"token_type": "nonsense"},
        "type default": {"token_type": "default"},
        "type null": {"token_type": None},
        "suffix short": {"path_suffix": "a"},
        "suffix parent": {"path_suffix": "a..b"},
        "uses negative": {"token_num_uses": -1},
        "period negative": {"token_period": "-1h"},
        "period text": {"token_period": "x"},
        "network": {"token_bound_cidrs": "nonsense"},
        "old network": {"bound_cidrs": ["a b"]},
    }.items():
        write(name, body)
    read("after refusals")
    r.http("role list", "LIST", "/v1/auth/token/roles")
    r.http("role bad name", "POST", "/v1/auth/token/roles/-a", {})
    r.http("role folder", "POST", "/v1/auth/token/roles/a/b", {})
    r.http("role write without name", "POST", "/v1/auth/token/roles", {})
    r.http("role patch", "PATCH", "/v1/auth/token/roles/parity", {}, {"Content-Type": "application/merge-patch+json"})
    r.http("role delete", "DELETE", "/v1/auth/token/roles/parity")
    r.http("role delete again", "DELETE", "/v1/auth/token/roles/parity")
    read("deleted")


def by_role(r):
    def create(name, role, body, token=None):
        return r.http(f"by role {name}", "POST", f"/v1/auth/token/create/{role}", body, token=token)

    r.cli("by role policy", "policy", "write", "creator", "-", stdin=CREATOR)
    user = r.cli("by role user", "token", "create", "-format=json", "-policy=creator", "-ttl=1h").get("auth", "client_token")
    for role, body in {
        "some": {"allowed_policies": "a,b", "allowed_policies_glob": "dev-*"},
        "not": {"disallowed_policies": "bad", "disallowed_policies_glob": "prod-*"},
        "nodefault": {"disallowed_policies_glob": "def*"},
        "unlisted": {},
        "limits": {"orphan": True, "path_suffix": "v1/abc", "token_num_uses": 9, "token_period": "1h", "token_explicit_max_ttl": "10h"},
        "fixed": {"renewable": False, "token_explicit_max_ttl": "1h"},
        "near": {"token_bound_cidrs": "127.0.0.1/32,::1"},
        "far": {"token_bound_cidrs": "10.0.0.0/8"},
    }.items():
        r.http(f"by role make {role}", "POST", f"/v1/auth/token/roles/{role}", body)
    create("unknown", "nosuch", {})
    create("wrong method folder", "some/", {})
    r.http("by role read", "GET", "/v1/auth/token/create/some")
    create("allowed", "some", {}, user)
    create("allowed asked", "some", {"policies": ["A", "dev-x"]}, user)
    create("allowed without default", "some", {"no_default_policy": True}, user)
    create("not allowed", "some", {"policies": ["c"]}, user)
    create("disallowed", "not", {"policies": ["bad"]}, user)
    create("disallowed glob", "not", {"policies": ["prod-1"]}, user)
    create("disallowed root", "not", {"policies": ["root"]}, user)
    create("not disallowed", "not", {"policies": ["other"]}, user)
    create("disallowed default", "nodefault", {"policies": ["other"]}, user)
    create("parents", "unlisted", {}, user)
    create("beyond parents", "unlisted", {"policies": ["a"]}, user)
    create("alias", "unlisted", {"entity_alias": "x"}, user)
    create("period without sudo", "unlisted", {"period": "1h"}, user)
    limited = create("limits", "limits", {"policies": ["default"], "period": "3h", "explicit_max_ttl": "5h", "num_uses": 12, "meta": {"a": "b"}, "display_name": "by role!"}).get("auth", "client_token")
    r.http("by role limits lookup", "POST", "/v1/auth/token/lookup", {"token": limited})
    r.http("by role limits renew", "POST", "/v1/auth/token/renew", {"token": limited})
    r.http("by role limits change", "POST", "/v1/auth/token/roles/limits", {"token_period": "2h"})
    r.http("by role limits renew changed", "POST", "/v1/auth/token/renew", {"token": limited})
    r.http("by role limits gone", "DELETE", "/v1/auth/token/roles/limits")
    r.http("by role limits renew without role", "POST", "/v1/auth/token/renew", {"token": limited})
    r.http("by role revoke prefix", "PUT", "/v1/sys/leases/revoke-prefix/auth/token/create/limits/v1", {"sync": True})
    r.http("by role limits lookup revoked", "POST", "/v1/auth/token/lookup", {"token": limited})
    fixed = create("fixed", "fixed", {"ttl": "20h", "policies": ["default"]}).get("auth", "client_token")
    r.http("by role fixed renew", "POST", "/v1/auth/token/renew", {"token": fixed})
    near = create("near", "near", {"policies": ["default"]}).get("auth", "client_token")
    r.http("by role near self", "GET", "/v1/auth/token/lookup-self", token=near)
    bound = create("near maker", "near", {"policies": ["root"], "ttl": "1h"}).get("auth", "client_token")
    for name, body in {"child": {}, "orphan": {"no_parent": True}, "period": {"period": "30m"}}.items():
        child = r.http(f"by role near {name}", "POST", "/v1/auth/token/create", {"policies": ["default"], "ttl": "30m", **body}, token=bound).get("auth", "client_token")
        r.http(f"by role near {name} lookup", "POST", "/v1/auth/token/lookup", {"token": child})
    far = create("far", "far", {"policies": ["default"]}).get("auth", "client_token")
    r.http("by role far self", "GET", "/v1/auth/token/lookup-self", token=far)
    r.http("by role far lookup", "POST", "/v1/auth/token/lookup", {"token": far})
    r.http("by role far capabilities", "POST", "/v1/sys/capabilities", {"token": far, "paths": ["auth/token/lookup-self"]})
    r.http("by role far root", "POST", "/v1/auth/token/create/far", {})
    r.cli("by role command line", "token", "create", "-format=json", "-role=some", "-ttl=30m")


def batch(r):
    made = r.cli("batch create", "token", "create", "-format=json", "-type=batch", "-policy=default", "-ttl=1h", "-metadata=a=b", "-display-name=x")
    token = made.get("auth", "client_token")
    r.cli("batch create table", "token", "create", "-type=batch", "-policy=default", "-ttl=1h")
    r.cli("batch create root", "token", "create", "-type=batch")
    r.cli("batch create orphan", "token", "create", "-format=json", "-type=batch", "-policy=default", "-orphan")
    for name, body in {
        "period": {"period": "1h"}, "explicit": {"explicit_max_ttl": "1h"}, "uses": {"num_uses": 2}, "period zero": {"period": "0"},
        "renewable": {"renewable": True}, "id": {"id": "mine-and-batch"}, "type wrong": {"type": "nonsense"}, "ttl long": {"ttl": "20000h"},
    }.items():
        r.http(f"batch create {name}", "POST", "/v1/auth/token/create", {"type": "batch", "policies": ["default"], **body})
    r.cli("batch lookup", "token", "lookup", "-format=json", token)
    r.cli("batch lookup self", "token", "lookup", "-format=json", token=token)
    r.cli("batch renew", "token", "renew", token)
    r.cli("batch renew self", "token", "renew", token=token)
    r.cli("batch revoke", "token", "revoke", token)
    r.cli("batch revoke self", "token", "revoke", "-self", token=token)
    r.cli("batch revoke orphan", "token", "revoke", "-mode=orphan", token)
    r.cli("batch capabilities", "token", "capabilities", token, "auth/token/lookup-self")
    r.cli("batch capabilities self", "token", "capabilities", "auth/token/lookup-self", token=token)
    for method, body in {"GET": None, "POST": {"a": "b"}, "LIST": None, "DELETE": None}.items():
        r.http(f"batch cubbyhole {method}", method, "/v1/cubbyhole/x", body, token=token)
    r.cli("batch policy", "policy", "write", "creator", "-", stdin='path "auth/token/create" { capabilities = ["update"] }')
    creator = r.cli("batch creator", "token", "create", "-format=json", "-type=batch", "-policy=creator", "-ttl=1h").get("auth", "client_token")
    r.cli("batch creates", "token", "create", "-ttl=1h", token=creator)
    parent = r.cli("batch parent", "token", "create", "-format=json", "-policy=creator", "-ttl=1h").get("auth", "client_token")
    child = r.cli("batch child", "token", "create", "-format=json", "-type=batch", "-ttl=30m", token=parent).get("auth", "client_token")
    r.http("batch child lives", "GET", "/v1/auth/token/lookup-self", token=child)
    r.cli("batch parent revoked", "token", "revoke", parent)
    r.http("batch child is gone", "GET", "/v1/auth/token/lookup-self", token=child)
    r.http("batch lookup of a gone one", "POST", "/v1/auth/token/lookup", {"token": child})
    r.http("batch renew of a gone one", "POST", "/v1/auth/token/renew", {"token": child})
    r.http("batch revoke of a gone one", "POST", "/v1/auth/token/revoke", {"token": child})
    r.http("batch forged", "GET", "/v1/auth/token/lookup-self", token="b.AAAAAQJjwfKwiUAsnog4ad_JOJsR-MngHaAMBp8FQphP5pIZ9sbbLmymgvjul25GbcOErOKP")
    r.http("batch short", "GET", "/v1/auth/token/lookup-self", token="b.AAAA")
    r.http("batch role", "POST", "/v1/auth/token/roles/batches", {"token_type": "batch", "orphan": True, "renewable": False})
    r.http("batch role read", "GET", "/v1/auth/token/roles/batches")
    r.http("batch role default", "POST", "/v1/auth/token/roles/mostly", {"token_type": "default-batch"})
    r.http("batch by role", "POST", "/v1/auth/token/create/batches", {"policies": ["default"], "type": "service"})
    r.http("batch by role default", "POST", "/v1/auth/token/create/mostly", {"policies": ["default"]})
    r.http("batch by role service", "POST", "/v1/auth/token/create/mostly", {"policies": ["default"], "type": "service"})
    r.http("batch by role uses", "POST", "/v1/auth/token/create/mostly", {"policies": ["default"], "num_uses": 1})


def ends(r):
    parent = r.cli("ends parent", "token", "create", "-format=json", "-policy=root", "-ttl=1h").get("auth", "client_token")
    child = r.http("ends child", "POST", "/v1/auth/token/create", {"policies": ["default"], "ttl": "1h"}, token=parent)
    r.http("ends orphan by path", "POST", "/v1/auth/token/create-orphan", {"policies": ["default"], "ttl": "1h"}, token=parent)
    r.http("ends accessors", "LIST", "/v1/auth/token/accessors", body_shown=False)
    r.http("ends revoke accessor", "POST", "/v1/auth/token/revoke-accessor", {"accessor": child.get("auth", "accessor")})
    r.http("ends revoke accessor again", "POST", "/v1/auth/token/revoke-accessor", {"accessor": child.get("auth", "accessor")})
    r.http("ends lookup of revoked", "POST", "/v1/auth/token/lookup", {"token": child.get("auth", "client_token")})
    r.http("ends revoke orphan unknown", "POST", "/v1/auth/token/revoke-orphan", {"token": "nosuch"})
    r.http("ends renew accessor unknown", "POST", "/v1/auth/token/renew-accessor", {"accessor": "nosuch"})
    r.http("ends tidy", "POST", "/v1/auth/token/tidy", {})
