//! The keys of Vault's and OpenBao's configuration, and what becomes of each here.

use super::keys::Verdict::{self, Accepted, Ignored, IgnoredIfOn, Refused, RefusedIfOn, Repeatable, Supported};

const ENTERPRISE: &str = "it belongs to a feature that this server does not have";
const SUBPROCESS: &str = "backends are WebAssembly components in plugin_directory, and no other plugins are run: remove it";
const NO_CLUSTER: &str = "there is no cluster port";
const PER_LISTENER: &str = "it is a key of listener \"tcp\": set it there";
const LOG_ROTATION: &str =
    "rotate log_file from outside (logrotate with copytruncate), or leave log_file out and log to the service manager";

/// The keys at the top level.
pub(crate) const TOP: &[(&str, Verdict)] = &[
    ("storage", Repeatable),
    ("backend", Repeatable),
    ("listener", Repeatable),
    ("seal", Repeatable),
    ("aws", Supported),
    ("telemetry", Supported),
    ("plugin", Repeatable),
    ("plugin_directory", Supported),
    ("plugin_trusted_keys", Supported),
    ("log_level", Supported),
    ("log_format", Supported),
    ("log_file", Supported),
    ("pid_file", Supported),
    ("state_path", Supported),
    ("api_addr", Supported),
    ("cluster_addr", Supported),
    ("cluster_name", Supported),
    ("default_lease_ttl", Supported),
    ("max_lease_ttl", Supported),
    ("default_max_request_duration", Supported),
    ("disable_cache", Supported),
    // Key material is in locked pages of its own; locking all of the process would lock the address space of every guest.
    ("disable_mlock", Accepted),
    ("disable_clustering", Accepted),
    ("disable_sealwrap", Accepted),
    ("disable_performance_standby", Accepted),
    ("disable_sentinel_trace", Accepted),
    ("disable_indexing", Accepted),
    ("disable_standby_reads", Accepted),
    ("disable_unauthed_rekey_endpoints", Ignored(PER_LISTENER)),
    ("disable_unauthed_generate_root_endpoints", Ignored(PER_LISTENER)),
    // Two stanzas are two seals.
    ("enable_multiseal", Accepted),
    ("ui", IgnoredIfOn("there is no web interface")),
    ("raw_storage_endpoint", RefusedIfOn("sys/raw is not built in: remove it")),
    ("introspection_endpoint", IgnoredIfOn("there is no introspection endpoint")),
    ("cache_size", Ignored("the size of the cache is fixed")),
    ("disable_printable_check", IgnoredIfOn("names with control characters are always refused")),
    ("enable_response_header_hostname", IgnoredIfOn("the header is not sent")),
    ("enable_response_header_raft_node_id", IgnoredIfOn("there is no raft")),
    ("log_requests_level", Ignored("requests are logged at level debug")),
    ("imprecise_lease_role_tracking", IgnoredIfOn("leases are not counted by role")),
    ("detect_deadlocks", Ignored("it is a developers' aid of Vault's")),
    ("disable_ssct_tokens", IgnoredIfOn("tokens have the form of Vault 1.10 and later")),
    ("audit", Repeatable),
    ("unsafe_allow_api_audit_creation", Supported),
    ("allow_audit_log_prefixing", Supported),
    ("unsafe_cross_namespace_identity", IgnoredIfOn("there are no namespaces")),
    ("allow_unauthenticated_workflows", IgnoredIfOn("there are no workflows")),
    ("enable_unauthenticated_access", Ignored("nothing more is opened")),
    ("remove_irrevocable_lease_after", Ignored("there are no leases on other systems")),
    ("user_lockout", Repeatable),
    ("service_registration", Ignored("the server registers nowhere: let the service manager do it")),
    ("license_path", Ignored("no licence is needed")),
    ("reporting", Ignored("nothing is reported to anybody")),
    ("experiments", Ignored(ENTERPRISE)),
    ("sentinel", Ignored(ENTERPRISE)),
    ("plugin_tmpdir", Ignored("plugins are not unpacked")),
    ("enable_post_unseal_trace", IgnoredIfOn("it is a developers' aid of Vault's")),
    ("post_unseal_trace_directory", Ignored("it is a developers' aid of Vault's")),
    (
        "ha_storage",
        Refused("the lock of several servers is kept in the storage itself: remove it, and set ha_enabled = true in the storage block"),
    ),
    ("log_rotate_bytes", Refused(LOG_ROTATION)),
    ("log_rotate_duration", Refused(LOG_ROTATION)),
    ("log_rotate_max_files", Refused(LOG_ROTATION)),
    ("initialize", Refused("the server does not initialise itself: run coffer operator init")),
    ("entropy", Refused("random bytes come from the operating system only: remove it")),
    ("kms_library", Refused("seals are WebAssembly components: remove it")),
    ("administrative_namespace_path", Refused("there are no namespaces: remove it")),
    ("replication", Refused("there is no replication: remove it")),
    ("request_limiter", Refused("bound the load with pool.size of the storage block and max_request_size of the listener")),
    ("adaptive_overload_protection", Refused("bound the load with pool.size of the storage block and max_request_size of the listener")),
    ("plugin_file_uid", Refused(SUBPROCESS)),
    ("plugin_file_permissions", Refused(SUBPROCESS)),
    ("plugin_auto_download", RefusedIfOn(SUBPROCESS)),
    ("plugin_auto_register", RefusedIfOn(SUBPROCESS)),
    ("plugin_download_behavior", Refused(SUBPROCESS)),
    ("plugin_download_max_size", Refused(SUBPROCESS)),
];

const FORWARDED: &str = "addresses forwarded by a proxy are not evaluated, so requests that it should refuse would pass: remove it, and let only the proxy reach this listener";
const ACME: &str = "certificates are not obtained by ACME: set tls_cert_file and tls_key_file";
const TIMEOUT: &str = "a request's head has 10 s, and max_request_duration bounds the whole request";
const REDACT: &str = "nothing is redacted from the unauthenticated answers: remove it if that is acceptable";

/// The keys of `listener "tcp"`.
pub(crate) const LISTENER: &[(&str, Verdict)] = &[
    ("address", Supported),
    ("tls_disable", Supported),
    ("tls_cert_file", Supported),
    ("tls_key_file", Supported),
    ("tls_min_version", Supported),
    ("tls_max_version", Supported),
    ("tls_client_ca_file", Supported),
    ("tls_require_and_verify_client_cert", Supported),
    ("tls_disable_client_certs", Supported),
    ("max_request_size", Supported),
    ("max_request_duration", Supported),
    ("telemetry", Supported),
    ("cluster_address", Accepted),
    ("disable_unauthed_rekey_endpoints", Supported),
    ("disable_unauthed_generate_root_endpoints", Supported),
    ("disable_replication_status_endpoints", Accepted),
    ("cluster_cipher_suites", Ignored(NO_CLUSTER)),
    ("purpose", Ignored("a listener serves the whole API")),
    ("tls_prefer_server_cipher_suites", Ignored("all cipher suites spoken are strong")),
    ("tls_auto_reload", IgnoredIfOn("certificates are read again on SIGHUP")),
    ("tls_auto_reload_interval", Ignored("certificates are read again on SIGHUP")),
    ("http_read_timeout", Ignored(TIMEOUT)),
    ("http_read_header_timeout", Ignored(TIMEOUT)),
    ("http_write_timeout", Ignored(TIMEOUT)),
    ("http_idle_timeout", Ignored(TIMEOUT)),
    ("max_request_json_memory", Ignored("max_request_size bounds a request's memory")),
    ("max_request_json_strings", Ignored("max_request_size bounds a request's memory")),
    ("profiling", Ignored("there is no profiling endpoint")),
    ("inflight_requests_logging", Ignored("there is no endpoint for requests in flight")),
    ("cors_enabled", IgnoredIfOn("no origin is allowed")),
    ("cors_allowed_origins", Ignored("no origin is allowed")),
    ("cors_allowed_headers", Ignored("no origin is allowed")),
    ("cors_allow_credentials", IgnoredIfOn("no origin is allowed")),
    ("disable_request_limiter", Ignored("there is no request limiter")),
    (
        "tls_cipher_suites",
        Refused("the suites are fixed (those of TLS 1.3, and ECDHE with AES-GCM or ChaCha20 of TLS 1.2): remove it if that is acceptable"),
    ),
    ("tls_key_exchange_preferences", Refused("the key exchanges are fixed: remove it if that is acceptable")),
    ("tls_acme_alpn_challenge_port", Refused(ACME)),
    ("tls_acme_ca_directory", Refused(ACME)),
    ("tls_acme_ca_root", Refused(ACME)),
    ("tls_acme_cache_path", Refused(ACME)),
    ("tls_acme_challenge_host", Refused(ACME)),
    ("tls_acme_disable_alpn_challenge", Refused(ACME)),
    ("tls_acme_disable_http_challenge", Refused(ACME)),
    ("tls_acme_domains", Refused(ACME)),
    ("tls_acme_eab_key_id", Refused(ACME)),
    ("tls_acme_eab_mac_key", Refused(ACME)),
    ("tls_acme_email", Refused(ACME)),
    ("tls_acme_http_challenge_port", Refused(ACME)),
    ("tls_acme_key_type", Refused(ACME)),
    ("tls_acme_test_ca_directory", Refused(ACME)),
    ("x_forwarded_for_authorized_addrs", Refused(FORWARDED)),
    ("x_forwarded_for_hop_skips", Refused(FORWARDED)),
    ("x_forwarded_for_reject_not_authorized", Refused(FORWARDED)),
    ("x_forwarded_for_reject_not_present", Refused(FORWARDED)),
    ("x_forwarded_for_client_cert_header", Refused(FORWARDED)),
    ("x_forwarded_for_client_cert_decoders", Refused(FORWARDED)),
    ("x_forwarded_for_client_cert_keep_not_forwarded", Refused(FORWARDED)),
    ("x_forwarded_for_client_cert_keep_unauthorized", Refused(FORWARDED)),
    ("proxy_protocol_behavior", Refused("the PROXY protocol is not spoken: turn it off in the proxy")),
    ("proxy_protocol_authorized_addrs", Refused("the PROXY protocol is not spoken: turn it off in the proxy")),
    ("require_request_header", RefusedIfOn("the header X-Vault-Request is not demanded: remove it if that is acceptable")),
    ("custom_response_headers", Refused("no further response headers are sent: let a proxy add them")),
    ("redact_addresses", RefusedIfOn(REDACT)),
    ("redact_cluster_name", RefusedIfOn(REDACT)),
    ("redact_version", RefusedIfOn(REDACT)),
    ("chroot_namespace", Refused("there are no namespaces: remove it")),
    ("role", Refused("a listener serves the whole API: remove it if that is acceptable")),
    ("socket_mode", Refused("it belongs to a listener \"unix\", which is not supported")),
    ("socket_user", Refused("it belongs to a listener \"unix\", which is not supported")),
    ("socket_group", Refused("it belongs to a listener \"unix\", which is not supported")),
];

/// The keys of `telemetry` in a listener.
pub(crate) const LISTENER_TELEMETRY: &[(&str, Verdict)] = &[
    ("unauthenticated_metrics_access", Supported),
    (
        "disallow_metrics",
        RefusedIfOn(
            "the metrics cannot be closed for one listener; they need a token unless unauthenticated_metrics_access is set: remove it if that is acceptable",
        ),
    ),
    ("metrics_only", RefusedIfOn("a listener serves the whole API: remove it if that is acceptable")),
    ("metrics_path", Refused("the metrics are at /v1/sys/metrics: remove it")),
];

const PULL: &str = "metrics are not pushed anywhere: let Prometheus read /v1/sys/metrics";
const GAUGE: &str = "the metrics that it shapes are not recorded";

/// The keys of `telemetry` at the top level. Metrics are there to be read whatever stands here.
pub(crate) const TELEMETRY: &[(&str, Verdict)] = &[
    // A positive time turns the Prometheus format on in Vault; here it is always on, and nothing is forgotten.
    ("prometheus_retention_time", Supported),
    ("otlp_endpoint", Supported),
    ("otlp_ca_cert", Supported),
    ("disable_hostname", Accepted),
    ("enable_hostname_label", IgnoredIfOn("the name of the host is not part of a metric")),
    ("metrics_prefix", Ignored("the names of the metrics are fixed")),
    ("usage_gauge_period", Ignored(GAUGE)),
    ("maximum_gauge_cardinality", Ignored(GAUGE)),
    ("lease_metrics_epsilon", Ignored(GAUGE)),
    ("num_lease_metrics_buckets", Ignored(GAUGE)),
    ("add_lease_metrics_namespace_labels", Ignored(GAUGE)),
    ("add_mount_point_rollback_metrics", Ignored(GAUGE)),
    ("rollback_metrics_include_mount_point", Ignored(GAUGE)),
    ("filter_default", Ignored("all metrics are recorded")),
    ("prefix_filter", Ignored("all metrics are recorded")),
    ("statsite_address", Ignored(PULL)),
    ("statsd_address", Ignored(PULL)),
    ("dogstatsd_addr", Ignored(PULL)),
    ("dogstatsd_tags", Ignored(PULL)),
    ("circonus_api_token", Ignored(PULL)),
    ("circonus_api_app", Ignored(PULL)),
    ("circonus_api_url", Ignored(PULL)),
    ("circonus_submission_interval", Ignored(PULL)),
    ("circonus_submission_url", Ignored(PULL)),
    ("circonus_check_id", Ignored(PULL)),
    ("circonus_check_force_metric_activation", Ignored(PULL)),
    ("circonus_check_instance_id", Ignored(PULL)),
    ("circonus_check_search_tag", Ignored(PULL)),
    ("circonus_check_tags", Ignored(PULL)),
    ("circonus_check_display_name", Ignored(PULL)),
    ("circonus_broker_id", Ignored(PULL)),
    ("circonus_broker_select_tag", Ignored(PULL)),
    ("stackdriver_project_id", Ignored(PULL)),
    ("stackdriver_location", Ignored(PULL)),
    ("stackdriver_namespace", Ignored(PULL)),
    ("stackdriver_debug_logs", Ignored(PULL)),
];

/// What the host reads of a storage stanza; everything else is handed to the component.
pub(crate) const LIMITS: &[(&str, Verdict)] = &[
    ("memory", Supported),
    ("cpu", Supported),
    ("call", Supported),
    ("open", Supported),
    ("response", Supported),
    ("handles", Supported),
    ("random", Supported),
    ("log_lines", Supported),
];

/// The keys of `pool` in a storage stanza.
pub(crate) const POOL: &[(&str, Verdict)] =
    &[("policy", Supported), ("size", Supported), ("wait", Supported), ("calls", Supported), ("memory_mark", Supported)];

/// The keys of `ha` in a storage stanza.
pub(crate) const HA: &[(&str, Verdict)] =
    &[("ttl", Supported), ("renew", Supported), ("retry", Supported), ("margin", Supported), ("step_down_pause", Supported)];
