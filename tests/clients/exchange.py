"""Carries stores between the directory layout and the real server, which has no file storage, by raft snapshots.

    exchange.py to-bao --bao BAO --work DIR --directory DIRECTORY --token TOKEN --share S ... SECRET=JSON ...
        A real server restores what lies in the directory, unseals with its shares, and must read the secrets.
    exchange.py from-bao --bao BAO --work DIR --directory DIRECTORY
        A real server is filled; what it stored is laid down as files. Prints {"shares", "token", "secrets"}.
"""

import argparse
import base64
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request

import open_store
from store import files, snapshot


class Server:
    """A real server with raft storage below a directory; ended on leaving."""

    def __init__(self, bao, work):
        self.bao, self.work, self.token = bao, work, ""
        ports = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        listener, cluster = (port.getsockname()[1] for port in ports)
        for port in ports:
            port.close()
        self.address = f"http://127.0.0.1:{listener}"
        data = os.path.join(work, "raft")
        os.makedirs(data, exist_ok=True)
        config = os.path.join(work, "bao.hcl")
        with open(config, "w", encoding="utf-8") as file:
            file.write(
                f'storage "raft" {{\n path = "{data}"\n node_id = "one"\n}}\n'
                f'listener "tcp" {{\n address = "127.0.0.1:{listener}"\n tls_disable = true\n}}\n'
                f'api_addr = "{self.address}"\ncluster_addr = "http://127.0.0.1:{cluster}"\n'
            )
        self.log = open(os.path.join(work, "bao.log"), "w", encoding="utf-8")
        self.process = subprocess.Popen([bao, "server", "-config", config], stdout=self.log, stderr=subprocess.STDOUT, env={**os.environ, "HOME": work})
        self.until("the server to answer", lambda: "sealed" in self.call("GET", "sys/seal-status"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.log.close()

    def call(self, method, path, body=None):
        """One request; the JSON answer, or {} when there is none or the server refuses for the moment."""
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(f"{self.address}/v1/{path}", data, {"X-Vault-Token": self.token} if self.token else {}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return json.loads(response.read() or b"{}")
        except urllib.error.HTTPError as error:
            return {"failed": error.code, **json.loads(error.read() or b"{}")}
        except OSError:
            return {}

    def cli(self, *arguments):
        environment = {**os.environ, "HOME": self.work, "BAO_ADDR": self.address, "BAO_TOKEN": self.token}
        done = subprocess.run([self.bao, *arguments], capture_output=True, text=True, env=environment, timeout=60)
        if done.returncode:
            raise RuntimeError(f"bao {' '.join(arguments[:3])}: {done.stderr}")
        return done.stdout

    def until(self, what, condition, seconds=60):
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError(f"waited {seconds} s for {what}")
            time.sleep(0.1)

    def initialise(self, shares, threshold):
        made = self.call("PUT", "sys/init", {"secret_shares": shares, "secret_threshold": threshold})
        self.unseal(made["keys_base64"][:threshold])
        self.token = made["root_token"]
        return made["keys_base64"]

    def unseal(self, shares):
        for share in shares:
            answer = self.call("PUT", "sys/unseal", {"key": share})
            if "failed" in answer:
                raise ValueError(f"an unseal key is refused: {answer}")
        self.until("the server to lead", lambda: "failed" not in (answer := self.call("GET", "sys/health")) and answer)


def to_bao(arguments):
    entries = files.read(arguments.directory)
    archive = os.path.join(arguments.work, "ours.snap")
    snapshot.write(archive, entries)
    with Server(arguments.bao, arguments.work) as server:
        # With the counts of the store to restore: the server keeps those of its own initialisation until it is restarted.
        counts = json.loads(entries["core/seal-config"])
        server.initialise(counts["secret_shares"], counts["secret_threshold"])
        server.cli("operator", "raft", "snapshot", "restore", "-force", archive)
        server.until("the restored server to seal itself", lambda: server.call("GET", "sys/seal-status").get("sealed"))
        server.token = arguments.token
        server.unseal(arguments.share)
        for secret in arguments.secrets:
            path, _, value = secret.partition("=")
            answer = server.call("GET", path)
            found = answer.get("data", {}).get("data", answer.get("data"))
            if found != json.loads(value):
                raise ValueError(f"the real server reads {answer} at {path} instead of {value}")
            print(f"the real server reads {path}")
        who = server.call("GET", "auth/token/lookup-self")
        if who.get("data", {}).get("policies") != ["root"]:
            raise ValueError(f"the root token is not known: {who}")
        server.cli("operator", "rotate")
        server.cli("token", "create", "-ttl=1h")
    print(f"{len(arguments.secrets)} secrets read by the real server from {len(entries)} entries")


def from_bao(arguments):
    with Server(arguments.bao, arguments.work) as server:
        shares = server.initialise(5, 3)
        server.cli("secrets", "enable", "-path=secret", "-version=2", "kv")
        server.cli("secrets", "enable", "-path=plain", "-version=1", "kv")
        server.cli("policy", "write", "reader", arguments.policy)
        server.cli("kv", "put", "secret/app/db/main", "user=first")
        server.cli("kv", "put", "secret/app/db/main", "user=second", "note=gr\u00fcn")
        server.cli("operator", "rotate")
        server.cli("kv", "put", "secret/app/db", "x=1")
        server.cli("kv", "put", "secret/gone", "x=1")
        server.cli("kv", "delete", "secret/gone")
        server.cli("kv", "put", "secret/lost", "x=1")
        server.cli("kv", "destroy", "-versions=1", "secret/lost")
        server.cli("kv", "put", "plain/a/b", "n=1")
        child = json.loads(server.cli("token", "create", "-format=json", "-policy=reader", "-ttl=20h"))["auth"]["client_token"]
        archive = os.path.join(arguments.work, "theirs.snap")
        server.cli("operator", "raft", "snapshot", "save", archive)
        token = server.token
    entries = snapshot.read(archive)
    # What belongs to the raft node and not to the store.
    entries = {key: value for key, value in entries.items() if not key.startswith(("core/raft/", "core/leader/")) and key != "core/lock"}
    files.write(arguments.directory, entries)
    found = open_store.describe(files.read(arguments.directory), [base64.b64decode(share) for share in shares[:3]])
    expected = {
        "app/db/main": {"current": 2, "versions": {1: {"user": "first"}, 2: {"user": "second", "note": "gr\u00fcn"}}},
        "app/db": {"current": 1, "versions": {1: {"x": "1"}}},
        "gone": {"current": 1, "versions": {1: "deleted"}},
        "lost": {"current": 1, "versions": {1: "destroyed"}},
    }
    if found["secrets"] != {"secret/": expected, "plain/": {"a/b": {"n": "1"}}}:
        raise ValueError(f"the store of the real server opens to {found['secrets']}")
    if found["terms"] != [1, 2] or "reader" not in found["policies"]:
        raise ValueError(f"the store of the real server opens to {found}")
    if {token, child} - {entry["id"] for entry in found["tokens"]}:
        raise ValueError("a token of the real server is missing in its store")
    reads = {"secret/data/app/db/main": {"user": "second", "note": "gr\u00fcn"}, "secret/data/app/db": {"x": "1"}, "plain/a/b": {"n": "1"}}
    print(json.dumps({"shares": shares, "token": token, "child": child, "secrets": reads}, ensure_ascii=False))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("to-bao", "from-bao"):
        command = commands.add_parser(name)
        command.add_argument("--bao", required=True)
        command.add_argument("--work", required=True, help="an empty directory for the server's own files")
        command.add_argument("--directory", required=True)
        if name == "to-bao":
            command.add_argument("--token", required=True)
            command.add_argument("--share", action="append", required=True)
            command.add_argument("secrets", nargs="+")
    arguments = parser.parse_args()
    if arguments.command == "to-bao":
        return to_bao(arguments)
    arguments.policy = os.path.join(arguments.work, "reader.hcl")
    with open(arguments.policy, "w", encoding="utf-8") as file:
        file.write('path "secret/data/*" { capabilities = ["read"] }\n')
    return from_bao(arguments)


if __name__ == "__main__":
    sys.exit(main())
