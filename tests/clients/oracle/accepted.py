"""What a server after the move need not tell as the first one did: sections it does not offer, and places that differ, each with its reason."""

# The same server again: only what it counts by itself.
REAL = [
    (r"identity/entities/[^/]+/aliases/\d+/custom_metadata", "an empty map is read back as none"),
    (r"identity/groups/[^/]+/modify_index", "a group is stored anew when it is loaded"),
]
# Our server: it says of itself what it is.
OURS = [
    (r"(mounts|auth)/.*/running_plugin_version", "the version of the server that answers"),
    (r"(mounts|auth)/(pki|transit|userpass)//deprecation_status", "not said of engines that are not offered"),
]

# What our server keeps untouched and has no API for: the second real server tells of it, and the entries are compared to the byte.
NOT_OFFERED = ["engines", "identity", "settings", "namespaces"]

OF = {"real": ([], REAL), "ours": (NOT_OFFERED, OURS)}
