"""Compares two transcripts, step by step and value by value."""

import json
import re

from .accepted import ACCEPTED

RULES = [(re.compile(step), re.compile(place), re.compile(text, re.DOTALL)) for step, place, text, _ in ACCEPTED]


def transcripts(expected, found):
    """The differences as text, how many were accepted, and how many steps were compared."""
    differences, accepted = [], 0
    theirs = {step["name"]: step for step in found}
    for step in expected:
        name = step["name"]
        if name not in theirs:
            differences.append(f"{name}: missing")
            continue
        for place, left, right in walk(step, theirs.pop(name)):
            if covered(name, place, left, right):
                accepted += 1
            else:
                differences.append(f"{name}: {place}\n  expected {shown(left)}\n  found    {shown(right)}")
    differences += [f"{name}: not expected" for name in theirs]
    return differences, accepted, len(expected)


def covered(step, place, left, right):
    return any(
        rule.fullmatch(step) and where.fullmatch(place) and all(side is ABSENT or text.fullmatch(str(side)) for side in (left, right))
        for rule, where, text in RULES
    )


ABSENT = object()
LONGEST = 600


def shown(side):
    text = "nothing" if side is ABSENT else json.dumps(side, ensure_ascii=False)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}... ({len(text)} characters)"


def walk(left, right, place=""):
    """Every place where the two differ."""
    if isinstance(left, dict) and isinstance(right, dict):
        for key in sorted(left.keys() | right.keys()):
            yield from walk(left.get(key, ABSENT), right.get(key, ABSENT), f"{place}/{key}".lstrip("/"))
    elif isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        for index, (one, other) in enumerate(zip(left, right)):
            yield from walk(one, other, f"{place}/{index}")
    elif isinstance(left, str) and isinstance(right, str) and "\n" in left + right:
        # Text line by line, so that an accepted line does not hide its neighbours.
        if len(left.splitlines()) != len(right.splitlines()):
            yield place, left, right
            return
        for one, other in zip(left.splitlines(), right.splitlines()):
            if one != other:
                yield f"{place}/{one.split(' ')[0].lower()}", one, other
    elif left is not right and (left != right or type(left) is not type(right)):
        yield place, left, right
