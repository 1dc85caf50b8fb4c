"""The auth method approle: roles, secret ids, logins and what becomes of their tokens."""

ROLE = "/v1/auth/approle/role"


def login(r, name, role, secret, **more):
    """A login, without a token."""
    body = {"role_id": role, "secret_id": secret, **more}
    answer = r.http(f"approle login {name}", "POST", "/v1/auth/approle/login", body, {"X-Vault-Token": None})
    return answer.get("auth", "client_token")


def roles(r):
    r.cli("approle enable", "auth", "enable", "approle")
    r.cli("approle enable again", "auth", "enable", "approle")
    r.http("approle enable bad kind", "POST", "/v1/sys/auth/apx", {"type": "approle", "config": {"token_type": "weird"}})
    r.http("approle list none", "LIST", ROLE)

    def write(name, body, method="POST"):
        r.http(f"approle role write {name}", method, f"{ROLE}/one", body)

    def read(name):
        r.http(f"approle role read {name}", "GET", f"{ROLE}/one")

    read("missing")
    write("plain", {})
    read("plain")
    write("all", {"token_policies": "p1,default,P1 ", "token_ttl": "1h", "token_max_ttl": 7200, "token_num_uses": "3", "token_no_default_policy": "true",
                  "token_bound_cidrs": ["127.0.0.0/8", "10.1.2.3/32"], "secret_id_num_uses": 4, "secret_id_ttl": "2h", "secret_id_bound_cidrs": "127.0.0.0/8",
                  "token_explicit_max_ttl": "3h"}, "PUT")
    read("all")
    write("unconstrained", {"bind_secret_id": False, "secret_id_bound_cidrs": "", "token_bound_cidrs": ""})
    write("odd", {"token_max_ttl": "9999h", "token_type": "default-service", "bogus": 1, "role_name": "zz", "policies": "b,a,B, c", "period": "1h"})
    read("odd")
    for name, body in {
        "bind text": {"bind_secret_id": "maybe"},
        "no role id": {"role_id": ""},
        "type": {"token_type": "other"},
        "batch with uses": {"token_type": "batch", "token_period": 0},
        "ttl over max": {"token_ttl": "2h", "token_max_ttl": "1h"},
        "uses negative": {"token_num_uses": -2},
        "secret uses negative": {"secret_id_num_uses": -2},
        "secret ttl negative": {"secret_id_ttl": -2},
        "network": {"token_bound_cidrs": "nonsense"},
        "secret network": {"secret_id_bound_cidrs": "10.0.0.1"},
        "period": {"period": "9999h"},
        "local": {"local_secret_ids": True},
        "list of numbers": {"token_policies": [1, "b"]},
    }.items():
        write(name, body)
    read("after refusals")
    r.http("approle role mixed case", "POST", f"{ROLE}/Mixed.Case-1", {"local_secret_ids": True})
    r.http("approle role mixed case read", "GET", f"{ROLE}/mixed.case-1")
    r.http("approle role taken id", "POST", f"{ROLE}/one/role-id", {"role_id": "the-id"})
    r.http("approle role taken id again", "POST", f"{ROLE}/Mixed.Case-1/role-id", {"role_id": "the-id"})
    r.http("approle list", "LIST", ROLE)
    for path in ("", "/", "/one/", "/one/nope", "/-a", "/one/secret-id", "/one/secret-id/lookup"):
        r.http(f"approle path role{path}", "GET", f"{ROLE}{path}")
    r.http("approle path mount", "GET", "/v1/auth/approle")
    r.http("approle path unknown", "GET", "/v1/auth/approle/nope")
    r.cli("approle role delete", "delete", "auth/approle/role/mixed.case-1")
    r.cli("approle role delete again", "delete", "auth/approle/role/mixed.case-1")


def settings(r):
    r.http("approle settings role", "POST", f"{ROLE}/set", {})
    for setting, bodies in {
        "policies": [{}, {"policies": "b,A,b"}, {"token_policies": ["x"]}],
        "period": [{}, {"period": "1h"}, {"token_period": 5}, {"token_period": "9999h"}],
        "bound-cidr-list": [{}, {"bound_cidr_list": "127.0.0.1"}, {"bound_cidr_list": "10.0.0.0/8"}],
        "secret-id-bound-cidrs": [{"secret_id_bound_cidrs": ""}, {"secret_id_bound_cidrs": "10.0.0.0/8,127.0.0.1/32"}],
        "token-bound-cidrs": [{}, {"token_bound_cidrs": "x"}, {"token_bound_cidrs": "10.0.0.0/8,127.0.0.1/32"}],
        "secret-id-num-uses": [{}, {"secret_id_num_uses": -1}, {"secret_id_num_uses": "3"}],
        "secret-id-ttl": [{}, {"secret_id_ttl": "1h"}],
        "token-num-uses": [{}, {"token_num_uses": 3}],
        "token-ttl": [{}, {"token_ttl": "2h"}],
        "token-max-ttl": [{}, {"token_max_ttl": "1h"}, {"token_max_ttl": "3h"}],
        "role-id": [{}, {"role_id": "set-id"}],
        "local-secret-ids": [{}],
        "token-policies": [{}],
    }.items():
        for at, body in enumerate(bodies):
            r.http(f"approle setting {setting} {at}", "POST", f"{ROLE}/set/{setting}", body)
        shown = setting != "role-id"
        r.http(f"approle setting {setting} read", "GET", f"{ROLE}/set/{setting}", body_shown=shown)
        r.http(f"approle setting {setting} delete", "DELETE", f"{ROLE}/set/{setting}")
        r.http(f"approle setting {setting} read default", "GET", f"{ROLE}/set/{setting}", body_shown=shown)
        r.http(f"approle setting {setting} of none", "POST", f"{ROLE}/none/{setting}", bodies[-1])
        r.http(f"approle setting {setting} read of none", "GET", f"{ROLE}/none/{setting}")
    r.http("approle settings in the end", "GET", f"{ROLE}/set")


def secrets(r):
    r.http("approle secrets role", "POST", f"{ROLE}/sec", {"role_id": "sec", "token_policies": "p", "token_ttl": "1h", "token_max_ttl": "2h"})

    def make(name, body, path="sec/secret-id"):
        return r.http(f"approle secret {name}", "POST", f"{ROLE}/{path}", body)

    made = make("plain", {})
    login(r, "generated", "sec", made.get("data", "secret_id"))
    make("all", {"secret_id": "all", "metadata": "Key=VaLue, b = c", "num_uses": 2, "ttl": "1h", "cidr_list": "127.0.0.1/32", "token_bound_cidrs": ["127.0.0.0/8"],
                 "bogus": 1, "role_name": "x"}, "sec/custom-secret-id")
    make("again", {"secret_id": "all"}, "sec/custom-secret-id")
    make("without id", {}, "sec/custom-secret-id")
    make("of none", {}, "none/secret-id")
    for name, body in {
        "metadata text": {"metadata": "nonsense"}, "metadata object": {"metadata": {"a": "b"}}, "metadata empty": {"metadata": '{"a": ""}'},
        "metadata twice": {"metadata": "a=b=c"}, "metadata base64": {"metadata": "eyJhIjoiYiJ9"}, "network": {"cidr_list": "nonsense"},
        "token network": {"token_bound_cidrs": "nonsense"}, "uses": {"num_uses": -1}, "ttl": {"ttl": -1}, "ttl long": {"ttl": "999999h"},
    }.items():
        make(name, body)

    def look(name, path, body, method="POST"):
        return r.http(f"approle secret {name}", method, f"{ROLE}/{path}", body)

    look("lookup", "sec/secret-id/lookup", {"secret_id": "all"})
    look("lookup missing", "sec/secret-id/lookup", {"secret_id": "nope"})
    look("lookup nothing", "sec/secret-id/lookup", {})
    look("lookup of none", "none/secret-id/lookup", {"secret_id": "x"})
    accessor = made.get("data", "secret_id_accessor")
    look("accessor lookup", "sec/secret-id-accessor/lookup", {"secret_id_accessor": accessor})
    look("accessor lookup missing", "sec/secret-id-accessor/lookup", {"secret_id_accessor": "nope"})
    look("accessor lookup nothing", "sec/secret-id-accessor/lookup", {})
    look("accessor of another role", "one/secret-id-accessor/lookup", {"secret_id_accessor": accessor})
    look("accessor destroy of another role", "one/secret-id-accessor/destroy", {"secret_id_accessor": accessor})
    look("list of none", "none/secret-id", None, "LIST")
    login(r, "all", "sec", "all", bogus=1)
    look("lookup after a use", "sec/secret-id/lookup", {"secret_id": "all"})
    login(r, "last use", "sec", "all")
    login(r, "spent", "sec", "all")
    look("lookup spent", "sec/secret-id/lookup", {"secret_id": "all"})
    look("accessor destroy", "sec/secret-id-accessor/destroy", {"secret_id_accessor": accessor})
    look("accessor destroy again", "sec/secret-id-accessor/destroy", {"secret_id_accessor": accessor})
    make("for destruction", {"secret_id": "gone"}, "sec/custom-secret-id")
    look("destroy", "sec/secret-id/destroy", {"secret_id": "gone"}, "PUT")
    look("destroy again", "sec/secret-id/destroy", {"secret_id": "gone"})
    login(r, "destroyed", "sec", "gone")
    r.http("approle tidy", "POST", "/v1/auth/approle/tidy/secret-id", {})
    r.http("approle tidy read", "GET", "/v1/auth/approle/tidy/secret-id")


def logins(r):
    for name, more in {
        "in": {"token_policies": "P,p", "token_ttl": "1h", "token_max_ttl": "3h"},
        "in-root": {"token_policies": "root"},
        "in-bare": {"token_policies": "p", "token_no_default_policy": True, "token_num_uses": 5, "token_explicit_max_ttl": "2h", "token_period": "30m"},
        "in-batch": {"token_policies": "p", "token_type": "batch", "token_ttl": "90m"},
        "in-bound": {"token_bound_cidrs": "10.0.0.0/8"},
        "in-open": {"bind_secret_id": False, "token_bound_cidrs": "127.0.0.0/8"},
    }.items():
        r.http(f"approle logins {name}", "POST", f"{ROLE}/{name}", {"role_id": name, **more})
        r.http(f"approle logins {name} secret", "POST", f"{ROLE}/{name}/custom-secret-id", {"secret_id": "s"})
    tokens = {name: login(r, name, name, " s ") for name in ("in", "in-root", "in-bare", "in-batch", "in-bound", "in-open")}
    for name, (role, secret) in {"wrong secret": ("in", "x"), "wrong role": ("x", "s"), "no secret": ("in", ""), "other's secret": ("sec", "s")}.items():
        login(r, name, role, secret)
    for method in ("GET", "LIST"):
        r.http(f"approle login by {method}", method, "/v1/auth/approle/login", headers={"X-Vault-Token": None})
    r.http("approle login with a bad token", "POST", "/v1/auth/approle/login", {"role_id": "in", "secret_id": "s"}, token="nonsense")
    r.http("approle role without token", "GET", f"{ROLE}/in", headers={"X-Vault-Token": None})
    r.http("approle login below", "POST", "/v1/auth/approle/login/x", {}, {"X-Vault-Token": None})
    r.cli("approle write login", "write", "auth/approle/login", "role_id=in", "secret_id=s")

    def own(name, path, token, body=None):
        return r.http(f"approle token {name}", "GET" if body is None else "POST", f"/v1/auth/token/{path}", body, token=tokens[token])

    for name in ("in", "in-bare", "in-batch", "in-bound"):
        own(f"lookup {name}", "lookup-self", name)
    own("renew", "renew-self", "in", {"increment": "2h"})
    own("renew too long", "renew-self", "in", {"increment": "9h"})
    r.http("approle role shorter", "POST", f"{ROLE}/in", {"token_ttl": "40m", "token_max_ttl": "50m", "token_policies": "q"})
    own("renew shorter", "renew-self", "in", {})
    own("renew periodic", "renew-self", "in-bare", {"increment": "9h"})
    own("renew batch", "renew-self", "in-batch", {})
    r.http("approle role gone", "DELETE", f"{ROLE}/in")
    own("renew without role", "renew-self", "in", {})
    r.http("approle login without role", "POST", "/v1/auth/approle/login", {"role_id": "in", "secret_id": "s"}, {"X-Vault-Token": None})
    r.http("approle tune", "POST", "/v1/sys/auth/approle/tune", {"default_lease_ttl": "20m", "max_lease_ttl": "1h", "token_type": "default-batch"})
    r.http("approle tune read", "GET", "/v1/sys/auth/approle/tune")
    r.http("approle tune bad", "POST", "/v1/sys/auth/approle/tune", {"token_type": "weird"})
    login(r, "tuned", "in-open", "")
    r.http("approle tune kind", "POST", "/v1/sys/auth/approle/tune", {"token_type": "service"})
    tokens["tuned"] = login(r, "tuned again", "in-batch", "s")
    own("lookup tuned", "lookup-self", "tuned")
    r.cli("approle disable", "auth", "disable", "approle")
    own("after disable", "lookup-self", "tuned")
    login(r, "after disable", "in-open", "")


APPROLE = [roles, settings, secrets, logins]
