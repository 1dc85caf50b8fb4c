"""Shows that a store goes from the real server to ours and back, and that nothing of it is lost: by script, value by value.

    oracle.py fill ADDRESS TOKEN FACTS.json              a real server gets an entry of every kind; what it tells of them is written down
    oracle.py read ADDRESS FACTS.json real|ours          what a server tells now is compared with that
    oracle.py use ADDRESS FACTS.json real|ours           the original keys are used: logins, unwraps, renewals, writes
    oracle.py entries BEFORE.snap AFTER.snap FACTS.json  two snapshots are compared entry by entry
    oracle.py scratch OUT.snap FACTS.json                a snapshot is made by nobody's server
    oracle.py scratched ADDRESS FACTS.json               and what it holds is read and used
    oracle.py damage WHOLE.snap DIRECTORY                snapshots with something wrong, each under the name of what it is
"""

import argparse
import json
import os
import sys

from oracle import accepted, busy, compare, damage, entries, inventory, scratch, use


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def save(path, value):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(value, file, indent=1, ensure_ascii=False)


def fill(arguments):
    facts = busy.fill(arguments.address, arguments.token, os.path.join(os.path.dirname(arguments.facts), "audit.log"))
    found = inventory.whole(arguments.address, facts, inventory.SECTIONS)
    failed = {name: section["failed"] for name, section in found.items() if "failed" in section}
    if failed:
        raise ValueError(f"the real server does not answer: {failed}")
    save(arguments.facts, {**facts, "inventory": found})
    print(f"{sum(1 for _ in compare.walk('', found, found))} values in {len(found)} sections")


def read(arguments):
    facts = load(arguments.facts)
    left_out, meant = accepted.OF[arguments.server]
    sections = [name for name in inventory.SECTIONS if name not in left_out]
    expected = {name: facts["inventory"][name] for name in sections}
    different, compared, unused = compare.differences(expected, inventory.whole(arguments.address, facts, sections), meant)
    report(different, f"{compared} values compared; left out: {', '.join(left_out) or 'nothing'}")
    if unused:
        print(f"accepted differences that are none any more: {unused}")


def report(different, text):
    for difference in different:
        print(difference)
    print(f"{len(different)} differences; {text}")
    if different:
        sys.exit(1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name, places in {
        "fill": ("address", "token", "facts"),
        "read": ("address", "facts", "server"),
        "use": ("address", "facts", "server"),
        "entries": ("before", "after", "facts"),
        "scratch": ("snapshot", "facts"),
        "scratched": ("address", "facts"),
        "damage": ("whole", "directory"),
    }.items():
        command = commands.add_parser(name)
        for place in places:
            command.add_argument(place, choices=accepted.OF if place == "server" else None)
    arguments = parser.parse_args()
    match arguments.command:
        case "fill":
            fill(arguments)
        case "read":
            read(arguments)
        case "use":
            report(use.everything(arguments.address, load(arguments.facts), arguments.server), "every key was used")
        case "entries":
            facts = load(arguments.facts)
            different, same = entries.differences(arguments.before, arguments.after, facts["shares"])
            report(different, f"{same} entries are the same to the byte")
        case "scratch":
            save(arguments.facts, scratch.make(arguments.snapshot))
        case "damage":
            print("\n".join(damage.make(arguments.whole, arguments.directory)))
        case "scratched":
            report(use.scratched(arguments.address, load(arguments.facts)), "the store made from scratch was read and used")


if __name__ == "__main__":
    main()
