"""Replaces what differs between two runs of one server: ids, times, keys, remaining lifetimes, counts of
encryptions, column widths."""

import re

# Order matters: the longer forms first, so that a part of one is not taken for another.
PATTERNS = [
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"), "<uuid>"),
    (re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z| ?[+-]\d\d:?\d\d( UTC)?)?"), "<time>"),
    (re.compile(r"\b\d\d? (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d\d \d\d:\d\d UTC\b"), "<time>"),
    (re.compile(r"\bhv[sb]\.[A-Za-z0-9_-]{20,}"), "<token>"),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{20,}"), "<jwt>"),
    (re.compile(r"(?<![A-Za-z0-9])[sb]\.[A-Za-z0-9_-]{24,}"), "<token>"),
    (re.compile(r"\b(?:auth_)?(kv|approle|token|system|identity|cubbyhole|ns_token)_[0-9a-f]{8}\b"), r"\1_<hex>"),
    (re.compile(r"\bvault-cluster-[0-9a-f]{8}\b"), "vault-cluster-<hex>"),
    (re.compile(r"(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{43,44}=?(?![A-Za-z0-9+/=])"), "<key>"),
    (re.compile(r"\b[0-9a-f]{64,66}\b"), "<key>"),
    (re.compile(r"\bh[0-9a-f]{64}\b"), "<hash>"),
    # Accessors: 24 letters and digits, of both kinds or both cases, so that no plain word is taken for one.
    (re.compile(r"(?<![A-Za-z0-9_-])(?=[A-Za-z0-9]*[0-9A-Z])(?=[A-Za-z0-9]*[a-z])[A-Za-z0-9]{24}(?![A-Za-z0-9_-])"), "<accessor>"),
    (re.compile(r"(http://)?127\.0\.0\.1:\d+"), "<address>"),
    (re.compile(r"/tmp/[^\s\"':]*"), "<path>"),
]
DURATION = re.compile(r"\b(?=\d+[hms])(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?\b")
SECONDS = {"ttl", "lease_duration", "creation_ttl", "explicit_max_ttl"}
UNIX = {"creation_time", "last_renewal_time", "server_time_utc", "expire_time_unix"}


def text(value):
    for pattern, name in PATTERNS:
        value = pattern.sub(name, value)
    value = DURATION.sub(duration, value)
    # A build that names no commit has no such line.
    value = re.sub(r"(?m)^Commit Date .*\n", "", value)
    # A key's value in a table, whose seconds have no unit.
    value = re.sub(r"(?m)^(creation_time +)\d{10}$", r"\1<unix>", value)
    value = re.sub(r"(?m)^(Encryption Count +)\d+$", r"\1<count>", value)
    value = re.sub(r"-{2,}", "--", value)
    value = re.sub(r"={2,}", "==", value)
    value = re.sub(r"(?m)^= (.*) =$", r"== \1 ==", value)
    value = re.sub(r"[ \t]+", " ", value)
    return re.sub(r"(?m)[ \t]+$", "", value)


def debug(found):
    """Normalises a value that Rust wrote for its developers: `name: 12` inside a text."""
    if not isinstance(found, str):
        return value(found)
    # This server makes no entities of its own.
    found = re.sub(r'entity_id: "[^"]*"', 'entity_id: ""', found)
    found = re.sub(r'(plugin_version: Some)\("[^"]*"\)', r"\1(<version>)", found)
    found = re.sub(rf"\b({'|'.join(UNIX)}): \d{{10}}\b", r"\1: <unix>", text(found))
    return re.sub(rf"\b({'|'.join(SECONDS)}): (\d+)\b", lambda match: f"{match[1]}: {round_up(int(match[2]))}", found)


def duration(found):
    """Remaining lifetimes, rounded up."""
    hours, minutes, seconds = (int(part or 0) for part in found.groups())
    total = hours * 3600 + minutes * 60 + seconds
    return f"{round_up(total)}s"


def round_up(seconds):
    """To five minutes, and what is short to one: on a slow machine a minute may lie between two steps."""
    step = 1 if seconds < 60 else 60 if seconds < 1800 else 300
    return -(-seconds // step) * step


def value(found, key=""):
    """Normalises text, and whatever holds text; a number only below a key that says what it counts."""
    if isinstance(found, str):
        return text(found)
    if isinstance(found, dict):
        return {value(name): value(inner, name) for name, inner in found.items()}
    if isinstance(found, (list, tuple)):
        return [value(inner, key) for inner in found]
    if isinstance(found, (int, float)) and not isinstance(found, bool):
        if key in SECONDS:
            return round_up(int(found))
        if key in UNIX and found > 1_500_000_000:
            return "<unix>"
        if key == "encryptions":
            return "<count>"
    return found
