"""Drives a server with the real `bao` command line, hvac and raw HTTP, and writes down what it answered.

    parity.py record SUITE --bao BAO --address URL [--token TOKEN] OUT.json
    parity.py normalise STEPS.json OUT.json
    parity.py compare EXPECTED.json FOUND.json

A suite is `dev` (an unsealed development server with a root token and kv v2 at secret/) or `fresh` (an empty server that the
suite initialises). Each step of the transcript is what the client saw: exit code and output, or status, headers and body,
with all that differs from run to run (ids, times, keys) replaced by names. The same suite recorded against a real server
and against ours must compare equal but for the short list in parity/accepted.py.
"""

import argparse
import json
import sys
import tempfile

from parity import approle, cli, compare, http, javascript, library, normal, record, sealing, system, tokens

SUITES = {
    "dev": [cli.status, cli.tokens, cli.policies, cli.mounts, cli.kv1, cli.kv2, cli.generic, cli.enforcement, http.requests, http.kv, http.system, library.hvac, javascript.node_vault, tokens.roles, tokens.by_role, tokens.batch, tokens.ends, *system.SYSTEM, *approle.APPROLE],
    "fresh": [sealing.lifecycle],
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    recording = commands.add_parser("record")
    recording.add_argument("suite", choices=SUITES)
    recording.add_argument("--bao", required=True, help="the real bao binary, used as client")
    recording.add_argument("--address", required=True)
    recording.add_argument("--token", default="")
    recording.add_argument("out")
    normalising = commands.add_parser("normalise", help="a transcript of steps that another program wrote down")
    normalising.add_argument("steps")
    normalising.add_argument("out")
    comparing = commands.add_parser("compare")
    comparing.add_argument("expected")
    comparing.add_argument("found")
    arguments = parser.parse_args()
    if arguments.command == "record":
        with tempfile.TemporaryDirectory() as home:
            recorder = record.Recorder(arguments.bao, arguments.address, arguments.token, home)
            for part in SUITES[arguments.suite]:
                part(recorder)
        with open(arguments.out, "w", encoding="utf-8") as out:
            json.dump(recorder.steps, out, indent=1, ensure_ascii=False)
        print(f"{len(recorder.steps)} steps recorded against {arguments.address}")
        return 0
    if arguments.command == "normalise":
        with open(arguments.steps, encoding="utf-8") as steps, open(arguments.out, "w", encoding="utf-8") as out:
            json.dump([{key: normal.debug(value) for key, value in step.items()} for step in json.load(steps)], out, indent=1, ensure_ascii=False)
        return 0
    with open(arguments.expected, encoding="utf-8") as expected, open(arguments.found, encoding="utf-8") as found:
        differences, accepted, steps = compare.transcripts(json.load(expected), json.load(found))
    for difference in differences:
        print(difference)
    print(f"{steps} steps compared: {len(differences)} differences, {accepted} accepted ones")
    return 1 if differences or not steps else 0


if __name__ == "__main__":
    sys.exit(main())
