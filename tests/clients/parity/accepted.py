"""Where our answers may differ from bao's: (step, place inside it, what both sides are replaced by, why). Keep it short."""

ACCEPTED = [
    # What a server says of itself.
    (r".*", r"(.*/)?version", r"(Version )?\d+\.\d+\.\d+.*", "the server's own version"),
    (r".*", r"(.*/)?(build_date|commit_date)", r".*", "the server's own build"),
    (r".*", r"(.*/)?(plugin_version|running_plugin_version|running_sha256)", r".*", "versions of bao's builtin plugins"),
    (r".*", r"(.*/)?(storage_type|storage)", r".*", "the storage is what this server is about"),
    (r"sys policy default", r"body/(data/)?rules", r".*", "the default policy is in our own words and allows the same"),
    # Vault's answers, where OpenBao has another.
    (r"batch cubbyhole .*", r"body/errors/0", r"cubbyhole operations are only supported by ['\"]service['\"] type tokens", "Vault's quotation marks"),
    (r".*policy (read|get|default|base64 read).*|read policies", r"(.*/)?(modified|expiration|version|cas_required|allow_(slashes|wildcards)_in_identity_templates)", r".*", "a policy reads as its name and text"),
    (r"node-vault generate root( cancel)?", r".*", r".*", "open without a token unless a listener closes it"),
    (r"lease before .*", r".*", r".*", "the paths of Vault that OpenBao has removed"),
    (r"approle login .*|approle token .*|approle write login", r"(body|out)/((data|auth)/)?entity_id", r".*", "there are no entities"),
    (r"approle login by GET", r".*", r".*", "the operation is refused, not the missing role_id that bao looks for first"),
    (r"(approle|lease|ends) tidy", r"body/warnings/0", r"Tidy operation successfully started\..*", "each server's own name"),
    (r"node-vault generate root( cancel)?", r".*", r".*", "a root token can be asked for without one, as of Vault; bao has that off"),
    (r"remount", r"body/warnings/0", r"Mount move has been queued\..*", "each server's own name"),
    (r"cors( read| any)?", r"body/(data/)?allow_credentials", r"False", "tokens are sent in a header; there are no credentials for a browser to add"),
    (r"cors preflight", r"headers/access-control-allow-methods", r"DELETE,GET,OPTIONS,POST,PUT,LIST(,SCAN)?", "there is no SCAN"),
    # Texts of our own parsers, after the same beginning.
    (r"policy write bad syntax", r"err/\*", r"\* failed to parse policy: At 1:1.*", "the parser's own words"),
    (r"http (broken json|json array|json text)", r"body/errors/0", r"failed to decode JSON input: .*", "the parser's own words"),
    (r"wrap jwt (broken|forged)", r"body/errors/0", r"error validating wrapping token: wrapping token (could not be parsed|signature could not be validated).*", "the parser's own words"),
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
