//! What is counted, and that neither guest nor server names a label.

use metrics_exporter_prometheus::PrometheusBuilder;

use super::*;
use crate::tests::server::ok;

#[tokio::test]
async fn requests_and_bytes_are_counted_by_backend_and_outcome() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let counted = recorder.handle();
    let _guard = ::metrics::set_default_local_recorder(&recorder);
    let server = Server::start(|number, _| match number {
        0 | 1 => ok(),
        2 => Reply::Answer(404, Vec::new(), Bytes::new()),
        3 => Reply::Answer(503, Vec::new(), Bytes::new()),
        4 => Reply::Answer(301, Vec::new(), Bytes::new()),
        5 => Reply::Cut,
        6 => Reply::Answer(200, Vec::new(), Bytes::from(vec![0; 101])),
        _ => Reply::Hold,
    })
    .await;
    let closed = std::net::TcpListener::bind("127.0.0.3:0").unwrap().local_addr().unwrap().port();
    let rules = vec![rule(&server), Rule::new(Scheme::Http, "127.0.0.3", closed)];
    let grant = HttpGrant::new("tested", rules, Options { max_response: 100, ..options() }).unwrap();
    let post = || Request::post(server.url()).body(Bytes::from_static(b"12345")).unwrap();
    for _ in 0..7 {
        let _ = send(&grant, post()).await;
    }
    let _ = send(&grant, get("http://evil.example/")).await;
    let _ = send(&grant, get(&format!("http://127.0.0.3:{closed}/"))).await;
    {
        let given_up = send(&grant, post());
        tokio::select! {
            _ = given_up => panic!("there was an answer"),
            () = server.wait_for_requests(8) => {}
        }
    }
    let text = counted.render();
    for (outcome, times) in [
        ("ok", 2),
        ("client-error", 1),
        ("server-error", 1),
        ("other-status", 1),
        ("interrupted", 1),
        ("too-large", 1),
        ("refused", 1),
        ("unreachable", 1),
        ("cancelled", 1),
    ] {
        let line = format!("coffer_http_requests{{backend=\"tested\",outcome=\"{outcome}\"}} {times}\n");
        assert!(text.contains(&line), "{line} is not in\n{text}");
    }
    assert!(text.contains("coffer_http_bytes_sent{backend=\"tested\"} 40\n"), "{text}");
    assert!(text.contains("coffer_http_bytes_received{backend=\"tested\"} 8\n"), "{text}");
    assert!(!text.contains("evil"), "{text}");
}
