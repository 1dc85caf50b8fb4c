"""Wrapped answers, leases, and the settings below sys/config: what scripts use beside secrets and tokens."""

WRAP = {"X-Vault-Wrap-TTL": "300"}


def wrapping(r):
    r.http("wrap secret", "POST", "/v1/secret/data/wrapped", {"data": {"k": "v"}})
    first = r.http("wrap read", "GET", "/v1/secret/data/wrapped", headers=WRAP).get("wrap_info", "token")
    r.http("wrap lookup", "POST", "/v1/sys/wrapping/lookup", {"token": first})
    r.http("wrap lookup without token", "POST", "/v1/sys/wrapping/lookup", {"token": first}, token="")
    r.http("wrap lookup by itself", "GET", "/v1/sys/wrapping/lookup", token=first)
    r.http("wrap token lookup", "POST", "/v1/auth/token/lookup", {"token": first})
    second = r.http("wrap rewrap", "POST", "/v1/sys/wrapping/rewrap", {"token": first}).get("wrap_info", "token")
    r.http("wrap lookup after rewrap", "POST", "/v1/sys/wrapping/lookup", {"token": first})
    r.http("wrap unwrap", "POST", "/v1/sys/wrapping/unwrap", {"token": second})
    r.http("wrap unwrap again", "POST", "/v1/sys/wrapping/unwrap", {"token": second})
    own = r.http("wrap data", "POST", "/v1/sys/wrapping/wrap", {"foo": "bar", "n": 1}, WRAP).get("wrap_info", "token")
    r.http("wrap unwrap by itself", "PUT", "/v1/sys/wrapping/unwrap", token=own)
    r.http("wrap unwrap by itself again", "PUT", "/v1/sys/wrapping/unwrap", token=own)
    body = r.http("wrap other data", "PUT", "/v1/sys/wrapping/wrap", {"foo": "bar"}, WRAP).get("wrap_info", "token")
    r.http("wrap unwrap without token", "POST", "/v1/sys/wrapping/unwrap", {"token": body}, token="")
    r.http("wrap read the old way", "GET", "/v1/cubbyhole/response", token=body)
    r.http("wrap read the old way again", "GET", "/v1/cubbyhole/response", token=body)
    made = r.http("wrap token create", "POST", "/v1/auth/token/create", {"policies": ["default"], "ttl": "1h"}, WRAP).get("wrap_info", "token")
    r.http("wrap token unwrap", "POST", "/v1/sys/wrapping/unwrap", {"token": made})
    listed = r.http("wrap list", "LIST", "/v1/kv2/metadata/deep", headers=WRAP).get("wrap_info", "token")
    r.http("wrap list unwrap", "POST", "/v1/sys/wrapping/unwrap", {"token": listed})
    shown = r.http("wrap mount", "GET", "/v1/sys/mounts/kv1", headers=WRAP).get("wrap_info", "token")
    r.http("wrap mount unwrap", "POST", "/v1/sys/wrapping/unwrap", {"token": shown})
    nested = r.http("wrap lookup wrapped", "POST", "/v1/sys/wrapping/lookup", {"token": r.http("wrap to look up", "POST", "/v1/sys/wrapping/wrap", {"a": "b"}, WRAP).get("wrap_info", "token")}, WRAP)
    r.http("wrap lookup unwrap", "POST", "/v1/sys/wrapping/unwrap", {"token": nested.get("wrap_info", "token")})
    r.http("wrap empty", "POST", "/v1/sys/wrapping/wrap", {}, WRAP)
    r.http("wrap nothing", "POST", "/v1/kv1/wrapped", {"a": "b"}, WRAP)
    r.http("wrap missing", "GET", "/v1/secret/data/nosuch", headers=WRAP)
    r.http("wrap denied", "GET", "/v1/secret/data/wrapped", headers=WRAP, token="nonsense")
    r.http("wrap status", "GET", "/v1/sys/health", headers=WRAP)
    jwt = {**WRAP, "X-Vault-Wrap-Format": "jwt"}
    first = r.http("wrap jwt", "POST", "/v1/sys/wrapping/wrap", {"j": "w"}, jwt).get("wrap_info", "token")
    r.http("wrap jwt lookup", "POST", "/v1/sys/wrapping/lookup", {"token": first})
    r.http("wrap jwt lookup by itself", "GET", "/v1/sys/wrapping/lookup", token=first)
    r.http("wrap jwt lookup-self", "GET", "/v1/auth/token/lookup-self", token=first)
    r.http("wrap jwt token lookup", "POST", "/v1/auth/token/lookup", {"token": first})
    second = r.http("wrap jwt rewrap", "POST", "/v1/sys/wrapping/rewrap", {"token": first}, {"X-Vault-Wrap-Format": "jwt"}).get("wrap_info", "token")
    r.http("wrap jwt unwrap after rewrap", "POST", "/v1/sys/wrapping/unwrap", {"token": first})
    r.http("wrap jwt unwrap", "POST", "/v1/sys/wrapping/unwrap", {"token": second})
    own = r.http("wrap jwt own", "GET", "/v1/secret/data/wrapped", headers=jwt).get("wrap_info", "token")
    r.http("wrap jwt unwrap by itself", "PUT", "/v1/sys/wrapping/unwrap", token=own)
    r.http("wrap jwt unwrap by itself again", "PUT", "/v1/sys/wrapping/unwrap", token=own)
    r.http("wrap jwt broken", "POST", "/v1/sys/wrapping/unwrap", {"token": "aaaa.bb.cc"})
    r.http("wrap jwt forged", "POST", "/v1/sys/wrapping/unwrap", {"token": own[:-8] + "AAAAAAAA"})
    for name in ("JWT", "nosuch"):
        r.http(f"wrap format {name}", "POST", "/v1/sys/wrapping/wrap", {"j": "w"}, {**WRAP, "X-Vault-Wrap-Format": name})
    r.http("wrap without ttl", "POST", "/v1/sys/wrapping/wrap", {"foo": "bar"})
    for ttl in ("0", "", "1d", "abc", "-5", "1.5"):
        r.http(f"wrap ttl {ttl!r}", "GET", "/v1/secret/data/wrapped", headers={"X-Vault-Wrap-TTL": ttl})
    for verb in ("lookup", "rewrap", "unwrap"):
        r.http(f"wrap {verb} nonsense", "POST", f"/v1/sys/wrapping/{verb}", {"token": "nonsense"})
        r.http(f"wrap {verb} of the caller", "POST", f"/v1/sys/wrapping/{verb}", {})
        r.http(f"wrap {verb} of nobody", "POST", f"/v1/sys/wrapping/{verb}", {}, token="")
    r.http("wrap get", "GET", "/v1/sys/wrapping/wrap", headers=WRAP)
    r.http("wrap delete", "DELETE", "/v1/sys/wrapping/wrap")
    r.http("wrap no such", "GET", "/v1/sys/wrapping/nosuch")
    token = r.cli("wrap cli", "kv", "get", "-format=json", "-wrap-ttl=2m", "secret/wrapped").get("wrap_info", "token")
    r.cli("wrap cli unwrap", "unwrap", "-format=json", token)
    r.cli("wrap cli unwrap again", "unwrap", token)
    token = r.cli("wrap cli token", "token", "create", "-format=json", "-policy=default", "-wrap-ttl=2m").get("wrap_info", "token")
    r.cli("wrap cli login", "login", "-no-store", "-format=json", token)
    r.cli("wrap cli write", "write", "sys/wrapping/wrap", "a=b")


def leases(r):
    made = r.http("lease token", "POST", "/v1/auth/token/create", {"policies": ["default"], "ttl": "1h", "display_name": "leased"})
    token = made.get("auth", "client_token")
    names = r.http("lease list", "LIST", "/v1/sys/leases/lookup/auth/token/nosuch").get("data", "keys", default=[])
    assert names == []
    r.http("lease lookup missing", "POST", "/v1/sys/leases/lookup", {"lease_id": "a/b"})
    r.http("lease lookup none", "POST", "/v1/sys/leases/lookup", {})
    r.http("lease lookup get", "GET", "/v1/sys/leases/lookup")
    r.http("lease renew missing", "PUT", "/v1/sys/leases/renew", {"lease_id": "a/b"})
    r.http("lease renew none", "PUT", "/v1/sys/leases/renew", {})
    r.http("lease revoke missing", "PUT", "/v1/sys/leases/revoke", {"lease_id": "a/b", "sync": True})
    r.http("lease revoke none", "PUT", "/v1/sys/leases/revoke", {})
    r.http("lease revoke by path", "PUT", "/v1/sys/leases/revoke/a/b")
    r.http("lease revoke-prefix", "PUT", "/v1/sys/leases/revoke-prefix/a/b", {"sync": True})
    r.http("lease revoke-force", "PUT", "/v1/sys/leases/revoke-force/a/b")
    r.http("lease revoke-prefix none", "PUT", "/v1/sys/leases/revoke-prefix")
    r.http("lease tidy", "POST", "/v1/sys/leases/tidy")
    r.http("lease tidy get", "GET", "/v1/sys/leases/tidy")
    r.http("lease count", "GET", "/v1/sys/leases/count")
    r.http("lease count irrevocable", "GET", "/v1/sys/leases/count?type=irrevocable")
    r.http("lease irrevocable", "GET", "/v1/sys/leases?type=irrevocable")
    r.http("lease other type", "GET", "/v1/sys/leases?type=x")
    for path in ("renew", "revoke", "revoke-prefix/a", "revoke-force/a"):
        r.http(f"lease before {path}", "PUT", f"/v1/sys/{path}", {"lease_id": "a/b"})
    r.http("lease token lives", "GET", "/v1/auth/token/lookup-self", token=token)


def config(r):
    r.http("cors off", "GET", "/v1/sys/config/cors")
    r.http("cors nothing", "POST", "/v1/sys/config/cors", {})
    r.http("cors too much", "POST", "/v1/sys/config/cors", {"allowed_origins": "*,http://a.example"})
    r.http("cors on", "POST", "/v1/sys/config/cors", {"allowed_origins": ["http://a.example"], "allowed_headers": "X-Foo,X-Bar"})
    r.http("cors read", "GET", "/v1/sys/config/cors")
    asks = {"Origin": "http://a.example", "Access-Control-Request-Method": "PUT"}
    r.http("cors allowed", "GET", "/v1/secret/data/h", headers={"Origin": "http://a.example"})
    r.http("cors refused", "GET", "/v1/secret/data/h", headers={"Origin": "http://b.example"})
    r.http("cors refused status", "GET", "/v1/sys/health", headers={"Origin": "http://b.example"})
    r.http("cors no origin", "GET", "/v1/sys/init")
    r.http("cors preflight", "OPTIONS", "/v1/secret/data/h", headers=asks, token="")
    r.http("cors preflight method", "OPTIONS", "/v1/secret/data/h", headers={**asks, "Access-Control-Request-Method": "BREW"}, token="")
    r.http("cors preflight refused", "OPTIONS", "/v1/secret/data/h", headers={**asks, "Origin": "http://b.example"}, token="")
    r.http("cors any", "PUT", "/v1/sys/config/cors", {"allowed_origins": "*"})
    r.http("cors allowed any", "GET", "/v1/sys/init", headers={"Origin": "http://b.example"})
    r.http("cors delete", "DELETE", "/v1/sys/config/cors")
    r.http("cors deleted", "GET", "/v1/sys/config/cors")
    r.http("cors list", "LIST", "/v1/sys/config/cors")
    r.http("audited headers", "GET", "/v1/sys/config/auditing/request-headers")
    r.http("audited header missing", "GET", "/v1/sys/config/auditing/request-headers/X-Foo")
    r.http("audited header", "POST", "/v1/sys/config/auditing/request-headers/X-Foo", {"hmac": True})
    r.http("audited header put", "PUT", "/v1/sys/config/auditing/request-headers/x-bar")
    r.http("audited header read", "GET", "/v1/sys/config/auditing/request-headers/x-FOO")
    r.http("audited headers all", "GET", "/v1/sys/config/auditing/request-headers")
    r.http("audited header delete", "DELETE", "/v1/sys/config/auditing/request-headers/X-FOO")
    r.http("audited header delete other", "DELETE", "/v1/sys/config/auditing/request-headers/X-Bar")
    r.http("audited header none", "POST", "/v1/sys/config/auditing/request-headers", {})
    r.http("config no such", "GET", "/v1/sys/config/nosuch")
    r.http("audit list", "GET", "/v1/sys/audit")
    r.cli("audit cli list", "audit", "list")


def mounts(r):
    r.http("remount mount", "POST", "/v1/sys/mounts/movable", {"type": "kv"})
    moved = r.http("remount", "POST", "/v1/sys/remount", {"from": "movable", "to": "moved"}).get("migration_id")
    r.http("remount status", "GET", f"/v1/sys/remount/status/{moved}", body_shown=False)
    r.wait("/v1/sys/mounts/moved")
    r.http("remount status missing", "GET", "/v1/sys/remount/status/x")
    r.http("remount auth elsewhere", "POST", "/v1/sys/remount", {"from": "auth/token", "to": "moved2"})
    for name, body in [
        ("visible", {"listing_visibility": "unauth"}),
        ("invisible", {"listing_visibility": "x"}),
        ("plain keys", {"audit_non_hmac_request_keys": ["a"], "audit_non_hmac_response_keys": "b,c"}),
        ("headers", {"passthrough_request_headers": ["X-A"], "allowed_response_headers": ["X-B"]}),
        ("times", {"default_lease_ttl": "1h", "max_lease_ttl": "2h"}),
        ("times wrong", {"default_lease_ttl": "3h"}),
        ("times of the server", {"default_lease_ttl": "system", "max_lease_ttl": "system"}),
        ("description", {"description": "d"}),
        ("option", {"options": {"a": "b"}}),
        ("no option", {"options": {"a": ""}}),
        ("token type", {"token_type": "batch"}),
        ("unknown", {"force_no_cache": True, "nosuch": 1}),
    ]:
        r.http(f"tune {name}", "POST", "/v1/sys/mounts/moved/tune", body)
        r.http(f"tune {name} read", "GET", "/v1/sys/mounts/moved/tune")
    r.http("tune auth by mounts", "GET", "/v1/sys/mounts/auth/token/tune")
    r.http("tune required", "POST", "/v1/sys/mounts/cubbyhole/tune", {"default_lease_ttl": "1h"})
    r.http("mounts without token", "GET", "/v1/sys/internal/ui/mounts", token="")
    r.http("remount unmount", "DELETE", "/v1/sys/mounts/moved")


def lockouts(r):
    r.http("lockout enable", "POST", "/v1/sys/auth/locking", {"type": "approle"})
    r.http("lockout tune read", "GET", "/v1/sys/auth/locking/tune")
    for name, config in [
        ("some", {"lockout_threshold": 2, "lockout_duration": "20m", "lockout_counter_reset_duration": 600}),
        ("texts", {"lockout_threshold": "2", "lockout_disable": False, "nosuch": 1, "lockout_duration": ""}),
        ("nothing", {}),
        ("not a number", {"lockout_threshold": "many"}),
        ("negative", {"lockout_threshold": -1}),
        ("not a time", {"lockout_duration": "long"}),
        ("not a switch", {"lockout_disable": "x"}),
        ("no object", "x"),
    ]:
        r.http(f"lockout tune {name}", "POST", "/v1/sys/auth/locking/tune", {"user_lockout_config": config})
        r.http(f"lockout tune {name} read", "GET", "/v1/sys/auth/locking/tune")
    accessor = r.http("lockout mount", "GET", "/v1/sys/auth/locking").get("accessor")
    r.http("lockout of tokens", "POST", "/v1/sys/auth/token/tune", {"user_lockout_config": {"lockout_threshold": 2}})
    r.http("lockout of secrets", "POST", "/v1/sys/mounts/secret/tune", {"user_lockout_config": {"lockout_threshold": 2}})
    r.http("lockout role", "POST", "/v1/auth/locking/role/r", {"role_id": "rid"})
    r.http("lockout secret id", "POST", "/v1/auth/locking/role/r/custom-secret-id", {"secret_id": "right"})
    login = "/v1/auth/locking/login"
    for step in ("one", "two", "three"):
        r.http(f"lockout nobody {step}", "POST", login, {"role_id": "nosuch", "secret_id": "x"}, token="")
        r.http(f"lockout without secret id {step}", "POST", login, {"role_id": "rid"}, token="")
    r.http("lockouts before", "GET", "/v1/sys/locked-users")
    r.http("lockout wrong one", "POST", login, {"role_id": "rid", "secret_id": "x"}, token="")
    r.http("lockout wrong two", "POST", login, {"role_id": "rid", "secret_id": "x"}, token="")
    r.http("lockouts", "GET", "/v1/sys/locked-users")
    r.http("lockouts of another", "GET", "/v1/sys/locked-users?mount_accessor=x")
    r.http("lockout locked", "POST", login, {"role_id": "rid", "secret_id": "x"}, token="")
    r.http("lockout locked all the same", "POST", login, {"role_id": "rid", "secret_id": "right"}, token="")
    for method, rest in [("LIST", ""), ("POST", ""), ("GET", f"/{accessor}"), ("POST", f"/{accessor}/unlock"), ("GET", f"/{accessor}/unlock/rid"), ("DELETE", f"/{accessor}/unlock/rid"), ("POST", f"/{accessor}/nosuch/rid"), ("POST", f"/{accessor}/unlock/nosuch"), ("POST", "/nosuch/unlock/x"), ("POST", f"/{accessor}/unlock/rid")]:
        r.http(f"lockouts {method} {rest.replace(accessor, 'accessor')}", method, f"/v1/sys/locked-users{rest}")
    r.http("lockouts after", "GET", "/v1/sys/locked-users")
    r.http("lockout in again", "POST", login, {"role_id": "rid", "secret_id": "right"}, token="", body_shown=False)
    r.http("lockouts without token", "GET", "/v1/sys/locked-users", token="")
    r.http("lockout disable", "DELETE", "/v1/sys/auth/locking")


def backups(r):
    for path in ("rekey/backup", "rekey/recovery-key-backup", "rotate/root/backup", "rotate/recovery/backup"):
        for method in ("GET", "DELETE", "POST", "LIST"):
            r.http(f"backup {method} {path}", method, f"/v1/sys/{path}")
        r.http(f"backup {path} without token", "GET", f"/v1/sys/{path}", token="")


SYSTEM = [wrapping, leases, config, mounts, lockouts, backups]
