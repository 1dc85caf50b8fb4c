"""Compares two inventories value by value, and says which differences are meant and why."""

import re


def differences(expected, found, accepted):
    """Every place where the two differ and no entry of `accepted` (place, why) covers it; and how many values were compared."""
    open_, counted, used = [], 0, set()
    patterns = [re.compile(place) for place, _ in accepted]
    for place, left, right in walk("", expected, found):
        counted += 1
        if left == right:
            continue
        covering = [number for number, pattern in enumerate(patterns) if pattern.fullmatch(place)]
        used.update(covering)
        if not covering:
            open_.append(f"{place}: {short(left)} became {short(right)}")
    return open_, counted, [accepted[number][0] for number in range(len(accepted)) if number not in used]


NOTHING = "(nothing)"


def walk(place, left, right):
    if isinstance(left, dict) and isinstance(right, dict):
        for name in [*left, *(name for name in right if name not in left)]:
            yield from walk(f"{place}/{name}" if place else str(name), left.get(name, NOTHING), right.get(name, NOTHING))
    elif isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        for number, (one, other) in enumerate(zip(left, right)):
            yield from walk(f"{place}/{number}", one, other)
    else:
        yield place, left, right


def short(value):
    text = repr(value)
    return text if len(text) < 200 else text[:200] + "…"
