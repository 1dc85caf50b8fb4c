"""node-vault, the client that JavaScript programs use: a script of node's, whose lines are steps."""

import json
import os
import subprocess

from .record import LONGEST

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "node_vault.js")


def node_vault(r):
    tools = os.path.dirname(os.path.dirname(os.path.abspath(r.bao)))
    package = os.path.join(tools, "node", "node_modules", "node-vault")
    done = subprocess.run(
        ["node", SCRIPT, package, r.address, r.token],
        capture_output=True, text=True, timeout=LONGEST, check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"node_vault.js ended with {done.returncode}: {done.stderr}")
    for line in done.stdout.splitlines():
        step = json.loads(line)
        r.add(step.pop("name"), **step)
