//! OpenTelemetry traces: the spans of requests, sent to a collector by OTLP.
//!
//! The rule: a trace never costs a request. Spans that are over go into a bounded queue; what does not fit is dropped and counted, and so is what the
//! collector does not take. Only spans of [`SPANS`] are sent, none of their events, and none of what the server does by itself. What
//! they may hold is the matter of those who make them: no path below a mount, no token, no body.
//!
//! A request that comes with a W3C `traceparent` is a part of the trace that this names. Nothing of a trace is told to AWS or to other servers.

mod collector;
mod queue;
mod sampler;

use crate::config;
use crate::exit::Failure;
use cofferdam_backend::SPANS;
use collector::Collector;
use http::{HeaderMap, HeaderName};
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{SpanContext, TraceContextExt, TraceState, TracerProvider};
use opentelemetry::{Context, Key, KeyValue};
use opentelemetry_http::HeaderExtractor;
use opentelemetry_otlp::{Protocol, RetryPolicy, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanExporter as _};
pub(super) use queue::Running;
use queue::{Pipe, Queue};
use sampler::Requests;
use std::ffi::OsString;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::{Layer, Registry};

/// What the log's subscriber gets besides the log.
pub(super) type SpanLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// Traces that are being recorded, and are sent once [`Traces::start`] was called.
pub(super) struct Traces {
    pipe: Pipe<SpanExporter>,
    /// Spans are sent to the queue for as long as this is there.
    provider: SdkTracerProvider,
    endpoint: http::Uri,
}

impl Traces {
    /// What records spans, and what sends them.
    pub(super) fn new(config: &config::Traces) -> Result<(SpanLayer, Self), Failure> {
        let collector = Collector::new(&config.endpoint, config.ca_cert.as_deref()).map_err(Failure::usage)?;
        let cause = collector.cause();
        // Headers are those of the environment, which this reads by itself, and of which it leaves out in silence what is none.
        check_headers(|name| std::env::var_os(name)).map_err(Failure::usage)?;
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(collector)
            .with_endpoint(config.endpoint.to_string())
            .with_protocol(Protocol::HttpBinary)
            // It would block the thread while it waits.
            .with_retry_policy(RetryPolicy::disabled());
        let mut exporter = exporter.build().map_err(|error| Failure::usage(format!("traces: {error}")))?;
        let resource = resource();
        exporter.set_resource(&resource);
        let (queue, pipe) = Queue::new(exporter, cause);
        let provider = SdkTracerProvider::builder()
            .with_span_processor(queue)
            .with_resource(resource)
            .with_sampler(Requests::new(config.sampling))
            .build();
        let layer = tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("coffer"))
            .with_context_activation(false)
            .with_tracked_inactivity(false)
            .with_location(false)
            .with_threads(false)
            .with_target(false);
        // The level too, so that whatever is below it stays as cheap as without traces.
        let ours = filter_fn(|metadata| metadata.is_span() && metadata.target() == SPANS).with_max_level_hint(LevelFilter::INFO);
        Ok((layer.with_filter(ours).boxed(), Self { pipe, provider, endpoint: config.endpoint.clone() }))
    }

    /// Begins to send.
    pub(super) fn start(self) -> Running {
        tracing::info!(endpoint = %self.endpoint, "traces of requests are sent by OTLP");
        self.pipe.start(self.provider)
    }
}

/// The variables that hold headers for the collector. The first that is set counts.
const HEADERS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"];

/// Fails if what the environment has for headers is none. They may hold a key: no error has their text.
fn check_headers(variable: impl Fn(&str) -> Option<OsString>) -> Result<(), String> {
    let Some((name, text)) = HEADERS.into_iter().find_map(|name| Some((name, variable(name)?))) else { return Ok(()) };
    let is_header = |part: &str| {
        part.split_once('=').is_some_and(|(name, value)| {
            let is_value = !value.trim().is_empty() && value.bytes().all(|byte| byte == b'\t' || !byte.is_ascii_control());
            is_value && HeaderName::try_from(name.trim()).is_ok()
        })
    };
    let is_list = |text: &str| text.trim().is_empty() || text.split_terminator(',').all(is_header);
    if text.to_str().is_some_and(is_list) {
        return Ok(());
    }
    Err(format!("{name}: expected headers such as name=value,other=value, with what is special in a value as in a URL (%20)"))
}

/// Who sends. OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES are read with it.
fn resource() -> Resource {
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let resource = Resource::builder().with_attribute(version.clone()).build();
    match resource.get(&Key::new("service.name")) {
        Some(name) if !name.as_str().starts_with("unknown_service") => resource,
        _ => Resource::builder().with_attribute(version).with_service_name("coffer").build(),
    }
}

/// Makes a request's span a part of the trace that its `traceparent` names. Its `tracestate` is left out: it may hold anything.
pub(super) fn adopt(span: &Span, headers: &HeaderMap) {
    let named = TraceContextPropagator::new().extract_with_context(&Context::new(), &HeaderExtractor(headers));
    let named = named.span().span_context().clone();
    if named.is_valid() {
        let parent = SpanContext::new(named.trace_id(), named.span_id(), named.trace_flags(), true, TraceState::NONE);
        // It fails for a span that is not recorded.
        drop(span.set_parent(Context::new().with_remote_span_context(parent)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sampling;

    #[test]
    fn headers_that_are_none_are_errors_without_their_text() {
        let checked = |name: &'static str, text: &str| {
            let text = OsString::from(text);
            check_headers(move |asked| (asked == name).then(|| text.clone()))
        };
        for text in ["", " ", "a=b", "a=b, x-key = c%20d", "a=b,"] {
            assert_eq!(checked(HEADERS[1], text), Ok(()), "{text}");
        }
        for name in HEADERS {
            for text in ["geheim", "a=b,geheim", "a=", "=geheim", "a b=geheim", "a=geheim\n", "a=b,,c=geheim"] {
                let error = checked(name, text).unwrap_err();
                assert!(error.starts_with(name) && !error.contains("geheim"), "{text:?}: {error}");
            }
        }
    }
    use tracing_subscriber::layer::SubscriberExt;

    #[test]
    fn only_spans_of_requests_are_recorded_and_parents_are_kept() {
        let config = config::Traces {
            endpoint: "http://127.0.0.1:9/v1/traces".parse().unwrap(),
            ca_cert: None,
            sampling: Sampling { follow: true, share: 1.0 },
        };
        let (layer, mut traces) = Traces::new(&config).unwrap();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(vec![layer]), || {
            let mut headers = HeaderMap::new();
            headers.insert("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse().unwrap());
            headers.insert("tracestate", "geheim=geheim".parse().unwrap());
            let request = tracing::info_span!(target: SPANS, "request", "otel.kind" = "server");
            adopt(&request, &headers);
            request.in_scope(|| {
                tracing::error!("an event of the log");
                let _other = tracing::error_span!("of the log").entered();
                drop(tracing::info_span!(target: SPANS, "barrier").entered());
            });
            // What no request asked for.
            drop(tracing::info_span!(target: SPANS, "barrier"));
        });
        let spans = traces.pipe.waiting();
        let names: Vec<_> = spans.iter().map(|span| span.name.as_ref()).collect();
        assert_eq!(names, ["barrier", "request"]);
        let [barrier, request] = spans.as_slice() else { panic!("{spans:?}") };
        assert_eq!(barrier.parent_span_id, request.span_context.span_id());
        assert_eq!(request.parent_span_id.to_string(), "b7ad6b7169203331");
        assert_eq!(request.span_context.trace_id().to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert!(spans.iter().all(|span| span.events.is_empty() && !format!("{span:?}").contains("geheim")));
    }
}
