"""Where our answers may differ from bao's: (step, place inside it, what both sides are replaced by, why). Keep it short."""

ACCEPTED = [
    (r".*", r"(.*/)?version", r"\d+\.\d+\.\d+.*", "the server's own version"),
    (r".*", r"(.*/)?build_date", r".*", "the server's own build date"),
    (r".*", r"(.*/)?(plugin_version|running_plugin_version|running_sha256)", r".*", "versions of bao's builtin plugins"),
    (r".*", r"(.*/)?storage_type", r".*", "the storage is what this server is about"),
]
