"""Plain requests to a server of either kind, over one connection that is kept."""

import http.client
import json
import time
import urllib.parse


class Refused(Exception):
    """An answer that is no success."""

    def __init__(self, method, path, status, answer):
        super().__init__(f"{method} {path}: {status} {json.dumps(answer)[:500]}")
        self.status, self.answer = status, answer


class Client:
    def __init__(self, address, token=""):
        self.address, self.token = address, token
        self.host = urllib.parse.urlsplit(address).netloc
        self.connection = None

    def call(self, method, path, body=None, token=None, headers=None):
        """One request: the status, and the JSON of the answer or {}."""
        sent = {"X-Vault-Request": "true", "X-Vault-Token": self.token if token is None else token, **(headers or {})}
        text = json.dumps(body).encode() if body is not None else None
        for fresh in (False, True):
            # A connection that was kept may have been closed by the server meanwhile.
            if fresh or self.connection is None:
                self.connection = http.client.HTTPConnection(self.host, timeout=120)
            try:
                self.connection.request(method, "/v1/" + urllib.parse.quote(path, safe="/?=&"), text, {name: value for name, value in sent.items() if value})
                response = self.connection.getresponse()
                raw = response.read()
                break
            except (http.client.HTTPException, ConnectionError):
                self.connection.close()
                if fresh:
                    raise
        try:
            return response.status, json.loads(raw) if raw.strip() else {}
        except ValueError:
            return response.status, {"text": raw.decode(errors="replace")}

    def done(self, method, path, body=None, **more):
        """The same, and it must succeed."""
        status, answer = self.call(method, path, body, **more)
        if not 200 <= status < 300:
            raise Refused(method, path, status, answer)
        return answer

    def read(self, path, **more):
        """What stands in `data`; None where there is nothing."""
        status, answer = self.call("GET", path, **more)
        if status == 404:
            return None
        if not 200 <= status < 300:
            raise Refused("GET", path, status, answer)
        return answer.get("data", answer)

    def names(self, path, **more):
        """A listing; empty where there is nothing."""
        status, answer = self.call("LIST", path, **more)
        if status == 404:
            return []
        if not 200 <= status < 300:
            raise Refused("LIST", path, status, answer)
        return answer["data"]["keys"]

    def leaves(self, folder, **more):
        """Every leaf at any depth below a folder, which ends in a slash."""
        found = []
        for name in self.names(folder, **more):
            found += self.leaves(folder + name, **more) if name.endswith("/") else [folder + name]
        return found

    def until(self, what, condition, seconds=180):
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError(f"waited {seconds} s for {what}")
            time.sleep(0.1)

    def unseal(self, shares):
        """Gives the shares until the server serves."""
        for share in shares:
            if not self.done("PUT", "sys/unseal", {"key": share}, token="")["sealed"]:
                break
        self.until("the server to lead", lambda: self.call("GET", "sys/health", token="")[0] == 200)
