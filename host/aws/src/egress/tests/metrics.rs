//! What is counted, and that neither the guest nor the service names a label.

use metrics_exporter_prometheus::PrometheusBuilder;

use super::server::{Reply, Server, json, ok};
use super::*;

#[tokio::test]
async fn requests_refusals_retries_throttles_and_bytes_are_counted() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let counted = recorder.handle();
    let _guard = ::metrics::set_default_local_recorder(&recorder);
    let server = Server::start(|number, _| match number {
        0 => Reply::Cut,
        1 => ok(),
        2 => json(400, r#"{"__type":"x#ProvisionedThroughputExceededException"}"#),
        _ => Reply::Answer(301, Vec::new(), "".into()),
    })
    .await;
    let lease = held(Fencing::Lease, std::time::Duration::from_secs(60));
    let aws = bound(options(&server.url()), Some(Arc::clone(&lease))).await;
    get(&aws).await.unwrap();
    put(&aws).await.unwrap();
    renew(&aws).await.unwrap();
    lease.end();
    put(&aws).await.unwrap_err();
    send(&aws, Purpose::Read, "Evil\"Label", "{}").await.unwrap_err();
    send(&aws, Purpose::Read, "GetItem", "{").await.unwrap_err();

    let text = counted.render();
    let line = |wanted: &str| {
        text.lines().find(|line| line.starts_with(wanted)).unwrap_or_else(|| panic!("{wanted} is not in\n{text}")).to_owned()
    };
    for (name, value) in [
        (r#"coffer_aws_requests{backend="test",class="read",outcome="ok"}"#, "1"),
        (r#"coffer_aws_requests{backend="test",class="mutation",outcome="throttled"}"#, "1"),
        (r#"coffer_aws_requests{backend="test",class="mutation",outcome="refused"}"#, "1"),
        (r#"coffer_aws_requests{backend="test",class="lock",outcome="other-status"}"#, "1"),
        (r#"coffer_aws_throttles{backend="test"}"#, "1"),
        (r#"coffer_aws_retries{backend="test",cause="connection"}"#, "1"),
        (r#"coffer_aws_refusals{backend="test",reason="lease"}"#, "1"),
        (r#"coffer_aws_refusals{backend="test",reason="operation"}"#, "1"),
        (r#"coffer_aws_refusals{backend="test",reason="body"}"#, "1"),
        (r#"coffer_aws_resets{backend="test"}"#, "1"),
        (r#"coffer_aws_signing_seconds_count{backend="test"}"#, "4"),
    ] {
        assert_eq!(line(name), format!("{name} {value}"));
    }
    assert_eq!(
        line("coffer_aws_bytes_sent{"),
        format!("coffer_aws_bytes_sent{{backend=\"test\"}} {}", 2 * GET.len() + PUT.len() + RENEW.len())
    );
    assert!(!text.contains("Evil"), "{text}");
}
