"""Where our answers may differ from bao's: (step, place inside it, what both sides are replaced by, why). Keep it short."""

ACCEPTED = [
    # What a server says of itself.
    (r".*", r"(.*/)?version", r"(Version )?\d+\.\d+\.\d+.*", "the server's own version"),
    (r".*", r"(.*/)?(build_date|commit_date)", r".*", "the server's own build"),
    (r".*", r"(.*/)?(plugin_version|running_plugin_version|running_sha256)", r".*", "versions of bao's builtin plugins"),
    (r".*", r"(.*/)?(storage_type|storage)", r".*", "the storage is what this server is about"),
    (r"sys policy default", r"body/(data/)?rules", r".*", "the default policy is in our own words and allows the same"),
    # Texts of our own parsers, after the same beginning.
    (r"policy write bad syntax", r"err/\*", r"\* failed to parse policy: At 1:1.*", "the parser's own words"),
    (r"http (broken json|json array|json text)", r"body/errors/0", r"failed to decode JSON input: .*", "the parser's own words"),
    (r"secrets enable bad version", r"err/\*", r"\* .*", "bao's text names a nil backend"),
    (r"http list parameter bad", r"body/errors", r".*", "bao gives no reason"),
    # Numbers of a secret are kept to the digit; bao's kv v2 makes floats of them.
    (r"kv2 get( json)?", r"out/(data/data/)?(big|number)", r".*", "exact numbers"),
    (r"http numbers v1 read", r"body/data/c", r"1e\+?3", "the same number"),
    # Stricter, or without a browser's part.
    (r"http json twice", r".*", r".*", "text after the JSON value is refused, not ignored"),
    (r"http options", r".*", r".*", "a method that is not supported, not a bad request"),
    (r"http root", r".*", r".*", "there is no web interface to redirect to"),
    (r"http (parent reference|double slash)|sys mount bad path", r"body|headers/(content-type|location)", r".*", "a redirect without a page of HTML"),
    (r"http huge body", r"headers/.*", r".*", "the usual headers on this refusal too"),
    (r"http list parameter false", r"body/warnings", r".*", "list=false is understood, not unrecognized"),
    (r"http v2 detailed metadata", r"body/data/key_info/er//.*", r".*", "a folder has no metadata; bao shows that of the leaf of the same name"),
]
