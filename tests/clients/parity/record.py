"""Runs steps and writes them down, normalised."""

import http.client
import json
import os
import subprocess
import time
import urllib.parse

from . import normal

# What a client may rely on; the rest of the headers (Date, Content-Length) follows from the body or the clock.
HEADERS = ("content-type", "cache-control", "strict-transport-security", "allow", "location", "vary", "access-control-allow-origin",
           "access-control-allow-methods", "access-control-allow-headers", "access-control-max-age")


# No single step takes longer, in seconds.
LONGEST = 240


class Answer:
    """What a step gave back, as it came: later steps take ids and keys from it."""

    def __init__(self, text="", status=0):
        self.text, self.status = text, status

    def get(self, *path, default="missing"):
        """A value inside the JSON answer; a step that failed gives a value that cannot work, so that the suite goes on."""
        try:
            value = json.loads(self.text)
            for part in path:
                value = value[part]
            return value
        except (ValueError, KeyError, IndexError, TypeError):
            return default


class Recorder:
    def __init__(self, bao, address, token, home):
        self.bao, self.address, self.token, self.home = bao, address, token, home
        self.steps = []

    def add(self, name, **what):
        if any(step["name"] == name for step in self.steps):
            raise ValueError(f"two steps are called {name!r}")
        self.steps.append({"name": name, **{key: normal.value(value, key) for key, value in what.items()}})

    def cli(self, name, *arguments, stdin=None, token=None):
        """One call of the real command line."""
        environment = {
            "PATH": os.environ["PATH"], "HOME": self.home, "BAO_ADDR": self.address, "BAO_CLI_NO_COLOR": "1",
            "BAO_MAX_RETRIES": "0", "BAO_CLIENT_TIMEOUT": "120s",
        }
        token = self.token if token is None else token
        if token:
            environment["BAO_TOKEN"] = token
        done = subprocess.run([self.bao, *arguments], input=stdin or "", capture_output=True, text=True, env=environment, cwd=self.home, timeout=LONGEST)
        out = done.stdout
        try:
            out = json.loads(out)
        except ValueError:
            pass
        self.add(name, exit=done.returncode, out=out, err=done.stderr)
        return Answer(done.stdout, done.returncode)

    def file(self, name, text):
        """A file that command lines may name with @."""
        with open(os.path.join(self.home, name), "w", encoding="utf-8") as file:
            file.write(text)
        return name

    def http(self, name, method, path, body=None, headers=None, token=None, body_shown=True):
        """One raw request. A body that is no text or bytes is sent as JSON without a Content-Type."""
        url = urllib.parse.urlsplit(self.address)
        connection = http.client.HTTPConnection(url.hostname, url.port, timeout=LONGEST)
        if body is not None and not isinstance(body, (str, bytes)):
            body = json.dumps(body)
        sent = {"X-Vault-Token": self.token if token is None else token, **(headers or {})}
        sent = {key: value for key, value in sent.items() if value is not None and (key != "X-Vault-Token" or value != "")}
        try:
            connection.request(method, path, body=body.encode() if isinstance(body, str) else body, headers=sent)
            response = connection.getresponse()
            text = response.read().decode("utf-8", "replace")
            seen = {key.lower(): value for key, value in response.getheaders() if key.lower() in HEADERS}
            try:
                shown = json.loads(text, parse_float=str)
            except ValueError:
                shown = text
            self.add(name, status=response.status, headers=seen, body=shown if body_shown else "not compared")
            return Answer(text, response.status)
        except OSError as error:
            self.add(name, failed=type(error).__name__)
            return Answer()
        finally:
            connection.close()

    def wait(self, path):
        """Waits until this can be read, which is no step."""
        end = time.monotonic() + LONGEST
        while Recorder(self.bao, self.address, self.token, self.home).http("probe", "GET", path).status != 200:
            if time.monotonic() > end:
                raise TimeoutError(f"{path} cannot be read after {LONGEST} seconds")
            time.sleep(0.05)

    def call(self, name, function, *arguments, **named):
        """One call of a client library: what it returned or raised."""
        try:
            result = function(*arguments, **named)
        except Exception as error:  # whatever the library raises is what its user sees
            self.add(name, raised=type(error).__name__, text=str(error))
            return None
        if hasattr(result, "status_code"):
            result = {"status": result.status_code, "body": result.text}
        self.add(name, returned=result)
        return result
