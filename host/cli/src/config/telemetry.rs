//! The top level's `telemetry` block, and OpenTelemetry's environment variables: where traces are sent.
//!
//! The rule: traces are off until an endpoint is named, and what is named and cannot be used is an error. As everywhere, the environment comes over the
//! files.

use super::keys::Scope;
use super::{ConfigError, Environment, Place, files::Source, replace, schema};
use cofferdam_hcl::{Item, Value};
use std::path::PathBuf;
use std::time::Duration;

/// Where a collector takes traces.
const TRACES: &str = "/v1/traces";
const ENDPOINT: &str = "otlp_endpoint";

/// Where traces are sent, and of which requests.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Traces {
    /// The URL that they are posted to.
    pub endpoint: http::Uri,
    /// Authorities in place of the system's.
    pub ca_cert: Option<PathBuf>,
    /// Of which requests.
    pub sampling: Sampling,
}

/// Of which requests there are traces.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Sampling {
    /// Whether a request that belongs to a trace already is sampled as that one is.
    pub follow: bool,
    /// Of the others this share, from 0 to 1.
    pub share: f64,
}

/// What the files say, until all are read.
#[derive(Default)]
pub(super) struct Draft {
    endpoint: Option<(String, Place)>,
    ca_cert: Option<PathBuf>,
}

impl Draft {
    /// Reads a file's block. What is about metrics changes nothing: they are recorded whatever stands there.
    pub(super) fn read(&mut self, file: &Source, item: &Item, warnings: &mut Vec<String>) -> Result<(), ConfigError> {
        let body = item.value.object().map_err(|error| file.at(error.pos, format!("telemetry: {}", error.message)))?;
        Scope { file, name: "in telemetry", keys: schema::TELEMETRY }.check(body, warnings)?;
        let _: Option<(Duration, Place)> = file.value(body, "prometheus_retention_time", Value::duration)?;
        let text = |name: &str| file.value(body, name, Value::string).map(|found| found.filter(|(text, _)| !text.is_empty()));
        replace(&mut self.endpoint, text(ENDPOINT)?);
        replace(&mut self.ca_cert, text("otlp_ca_cert")?.map(|(path, _)| PathBuf::from(path)));
        Ok(())
    }

    /// Where traces are sent, if they are.
    pub(super) fn finish(self, environment: &Environment) -> Result<Option<Traces>, ConfigError> {
        let first = |names: &[&'static str]| names.iter().find_map(|name| Some((*name, environment.variable(name)?)));
        if first(&["OTEL_SDK_DISABLED"]).is_some_and(|(_, value)| value.eq_ignore_ascii_case("true")) {
            return Ok(None);
        }
        match first(&["OTEL_TRACES_EXPORTER"]) {
            None | Some((_, "otlp")) => {}
            Some((_, "none")) => return Ok(None),
            Some((name, other)) => return Err(ConfigError::whole(name, format!("expected otlp or none, found {other:?}"))),
        }
        let named = first(&["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"]);
        let endpoint = match (named, &self.endpoint) {
            // Alone this one is the whole URL.
            (Some((name @ "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", url)), _) => {
                url_of(url).map_err(|message| ConfigError::whole(name, message))
            }
            (Some((name, url)), _) => with_path(url).map_err(|message| ConfigError::whole(name, message)),
            (None, Some((url, place))) => {
                with_path(url).map_err(|message| ConfigError::new(place.clone(), format!("{ENDPOINT}: {message}")))
            }
            (None, None) => return Ok(None),
        }?;
        if let Some((name, protocol)) = first(&["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"])
            && protocol != "http/protobuf"
        {
            let message =
                format!("traces are sent by http/protobuf only, found {protocol:?}: name the collector's port for HTTP, usually 4318");
            return Err(ConfigError::whole(name, message));
        }
        let authorities = first(&["OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE"]);
        let ca_cert = authorities.map(|(_, path)| PathBuf::from(path)).or(self.ca_cert);
        Ok(Some(Traces { endpoint, ca_cert, sampling: sampling(environment)? }))
    }
}

fn url_of(text: &str) -> Result<http::Uri, String> {
    // Errors and the log name the URL: a secret has no place in it.
    if text.contains(['@', '?']) {
        return Err("a URL must hold no password and no key here: set OTEL_EXPORTER_OTLP_HEADERS".to_owned());
    }
    let wrong = || format!("expected a URL such as http://127.0.0.1:4318, found {text:?}");
    let url: http::Uri = text.trim().parse().map_err(|_| wrong())?;
    match (url.scheme_str(), url.authority()) {
        (Some("http" | "https"), Some(_)) => Ok(url),
        _ => Err(wrong()),
    }
}

fn with_path(text: &str) -> Result<http::Uri, String> {
    let base = text.trim().trim_end_matches('/');
    url_of(base).and_then(|_| url_of(&if base.ends_with(TRACES) { base.to_owned() } else { format!("{base}{TRACES}") }))
}

fn sampling(environment: &Environment) -> Result<Sampling, ConfigError> {
    const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
    const ARGUMENT: &str = "OTEL_TRACES_SAMPLER_ARG";
    let share = || match environment.variable(ARGUMENT) {
        None => Ok(1.0),
        Some(text) => match text.trim().parse() {
            Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
            _ => Err(ConfigError::whole(ARGUMENT, format!("expected a share from 0 to 1, found {text:?}"))),
        },
    };
    let (follow, share) = match environment.variable(SAMPLER) {
        None | Some("parentbased_always_on") => (true, 1.0),
        Some("parentbased_always_off") => (true, 0.0),
        Some("parentbased_traceidratio") => (true, share()?),
        Some("always_on") => (false, 1.0),
        Some("always_off") => (false, 0.0),
        Some("traceidratio") => (false, share()?),
        Some(other) => {
            let message = format!("expected always_on, always_off, traceidratio, or one of them after parentbased_, found {other:?}");
            return Err(ConfigError::whole(SAMPLER, message));
        }
    };
    Ok(Sampling { follow, share })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finish(endpoint: Option<&str>, environment: &[(&str, &str)]) -> Result<Option<Traces>, String> {
        let place = Place { file: "c.hcl".into(), pos: cofferdam_hcl::Pos { line: 1, column: 2 } };
        let draft = Draft { endpoint: endpoint.map(|url| (url.to_owned(), place)), ca_cert: Some("/ca.pem".into()) };
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        draft.finish(&environment).map_err(|error| error.to_string())
    }

    #[test]
    fn an_endpoint_turns_traces_on_and_the_environment_comes_over_the_file() {
        assert_eq!(finish(None, &[]), Ok(None));
        assert_eq!(finish(None, &[("OTEL_TRACES_SAMPLER", "always_on")]), Ok(None));
        let url = |endpoint, environment: &[_]| finish(endpoint, environment).unwrap().unwrap().endpoint.to_string();
        assert_eq!(url(Some("http://127.0.0.1:4318"), &[]), "http://127.0.0.1:4318/v1/traces");
        assert_eq!(url(Some("https://otel.example/base/"), &[]), "https://otel.example/base/v1/traces");
        assert_eq!(url(Some("http://a:1/v1/traces"), &[]), "http://a:1/v1/traces");
        let general = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://general:4318");
        assert_eq!(url(Some("http://a:1"), &[general]), "http://general:4318/v1/traces");
        assert_eq!(url(None, &[general, ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces:1/x")]), "http://traces:1/x");
        for off in [("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none")] {
            assert_eq!(finish(Some("http://a:1"), &[general, off]), Ok(None), "{off:?}");
        }
    }

    #[test]
    fn authorities_and_samplers_are_those_of_the_environment() {
        let traces = |environment: &[_]| finish(Some("http://a:1"), environment).unwrap().unwrap();
        assert_eq!(traces(&[]).ca_cert, Some("/ca.pem".into()));
        assert_eq!(traces(&[("OTEL_EXPORTER_OTLP_CERTIFICATE", "/other.pem")]).ca_cert, Some("/other.pem".into()));
        assert_eq!(traces(&[]).sampling, Sampling { follow: true, share: 1.0 });
        let sampler = |name, share| traces(&[("OTEL_TRACES_SAMPLER", name), ("OTEL_TRACES_SAMPLER_ARG", share)]).sampling;
        assert_eq!(sampler("traceidratio", "0.25"), Sampling { follow: false, share: 0.25 });
        assert_eq!(sampler("parentbased_traceidratio", "0"), Sampling { follow: true, share: 0.0 });
        assert_eq!(sampler("always_off", "1"), Sampling { follow: false, share: 0.0 });
    }

    #[test]
    fn what_cannot_be_used_is_an_error() {
        for (endpoint, environment, wanted) in [
            (Some("collector:4318"), vec![], "c.hcl:1:2: otlp_endpoint: expected a URL"),
            (Some("http://u:geheim@a:1"), vec![], "must hold no password"),
            (Some("http://u:p geheim@a:1"), vec![], "must hold no password"),
            (Some("http://a:1/v1/traces?key=geheim"), vec![], "must hold no password"),
            (None, vec![("OTEL_EXPORTER_OTLP_ENDPOINT", "grpc://a:4317")], "OTEL_EXPORTER_OTLP_ENDPOINT: expected a URL"),
            (
                Some("http://a:1"),
                vec![("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")],
                "OTEL_EXPORTER_OTLP_PROTOCOL: traces are sent by http/protobuf",
            ),
            (Some("http://a:1"), vec![("OTEL_TRACES_SAMPLER", "xray")], "OTEL_TRACES_SAMPLER: expected always_on"),
            (
                Some("http://a:1"),
                vec![("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "2")],
                "OTEL_TRACES_SAMPLER_ARG: expected a share",
            ),
            (Some("http://a:1"), vec![("OTEL_TRACES_EXPORTER", "zipkin")], "OTEL_TRACES_EXPORTER: expected otlp or none"),
        ] {
            let error = finish(endpoint, &environment).unwrap_err();
            assert!(error.contains(wanted) && !error.contains("geheim"), "{error}");
        }
    }
}
