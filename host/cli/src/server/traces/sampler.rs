//! Which traces there are: those of requests, as the operator wants them.

use crate::config::Sampling;
use opentelemetry::trace::{Link, SpanKind, TraceContextExt, TraceId};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{Sampler, SamplingResult, ShouldSample};

/// A request's spans are sent all or none. What belongs to no request is not sent: it would be a trace of one span every few seconds.
#[derive(Debug, Clone)]
pub(super) struct Requests {
    roots: Sampler,
}

impl Requests {
    pub(super) fn new(Sampling { follow, share }: Sampling) -> Self {
        let roots = Sampler::TraceIdRatioBased(share);
        Self { roots: if follow { Sampler::ParentBased(Box::new(roots)) } else { roots } }
    }
}

impl ShouldSample for Requests {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let within = parent.is_some_and(|parent| {
            let span = parent.span();
            span.span_context().is_valid() && !span.span_context().is_remote()
        });
        let sampler = match (within, kind) {
            (true, _) => &Sampler::ParentBased(Box::new(Sampler::AlwaysOff)),
            (false, SpanKind::Server) => &self.roots,
            (false, _) => &Sampler::AlwaysOff,
        };
        sampler.should_sample(parent, trace, name, kind, attributes, links)
    }
}
