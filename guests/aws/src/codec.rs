//! An SDK's serialisers and parsers, and of the SDK nothing else.
//!
//! The SDK's client would find endpoints, hold credentials, sign, time, retry and make headers. All of that is the host's or [`Transport`]'s business here, so the client is not used and
//! not linked: nothing in the component is able to sign a request, it is half as large, and an operation does not pass through the client's layers and interceptors. What is sent is
//! what the SDK serialised, and what comes back is parsed by the SDK.
//!
//! [`Transport`]: crate::Transport

use std::fmt::Debug;

use aws_smithy_runtime_api::client::interceptors::context::Input;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::ser_de::{DeserializeResponse, SerializeRequest, SharedRequestSerializer, SharedResponseDeserializer};
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::{ConfigBag, FrozenLayer};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use cofferdam_guest::aws::Response;

/// What an operation brings for the SDK's client to use: its serialiser and its parser.
pub type Codec = FrozenLayer;

/// The input of an operation of the service `S`.
pub trait Request<S>: Debug + Send + Sync + 'static {
    /// The operation's name.
    const OPERATION: &'static str;
    /// What a success is.
    type Output: Debug + Send + Sync + 'static;
    /// What a refusal is.
    type Error: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static;

    /// What the operation brings for the SDK's client to use.
    fn codec() -> Option<&'static Codec>;
}

/// What [`operations!`] needs of other crates.
///
/// [`operations!`]: crate::operations
pub mod macros {
    pub use aws_smithy_runtime_api::client::runtime_plugin::RuntimePlugin;
}

/// Makes the inputs of an SDK's operations [`Request`]s of a service: the service's type, the SDK's crate, and for each operation its module, its name, and its types.
#[macro_export]
macro_rules! operations {
    ($service:ty, $sdk:ident: $($module:ident: $name:ident, $input:ident, $output:ident, $error:ident;)+) => {$(
        impl $crate::Request<$service> for $sdk::operation::$module::$input {
            const OPERATION: &'static str = stringify!($name);
            type Output = $sdk::operation::$module::$output;
            type Error = $sdk::operation::$module::$error;

            fn codec() -> Option<&'static $crate::Codec> {
                static CODEC: ::std::sync::LazyLock<Option<$crate::Codec>> =
                    ::std::sync::LazyLock::new(|| $crate::macros::RuntimePlugin::config(&$sdk::operation::$module::$name::new()));
                CODEC.as_ref()
            }
        }
    )+};
}

/// An answer that is no success.
#[derive(Debug)]
pub(crate) enum Refusal<'a, E> {
    /// The service's error, as the SDK understands it.
    Service(&'a E),
    /// The SDK understands nothing of it.
    Unreadable(String),
}

/// The request as the SDK serialises it; it has a body in memory.
pub(crate) fn serialize<S, R: Request<S>>(request: R) -> Result<HttpRequest, String> {
    let serializer = R::codec().and_then(|codec| codec.load::<SharedRequestSerializer>()).ok_or("the SDK has no serialiser")?;
    serializer.serialize_input(Input::erase(request), &mut ConfigBag::base()).map_err(|error| chain(&*error))
}

/// The answer as the SDK parses it. A refusal is shown to `refused`, whose result is returned.
pub(crate) fn parse<S, R: Request<S>, T>(answer: Response, refused: impl FnOnce(Refusal<'_, R::Error>) -> T) -> Result<R::Output, T> {
    let unreadable = |text: &str| Refusal::Unreadable(text.to_owned());
    let Some(parser) = R::codec().and_then(|codec| codec.load::<SharedResponseDeserializer>()) else {
        return Err(refused(unreadable("the SDK has no parser")));
    };
    let Ok(status) = StatusCode::try_from(answer.status) else { return Err(refused(unreadable("it has no HTTP status"))) };
    let mut response = HttpResponse::new(status, SdkBody::from(answer.body));
    if !status.is_success() {
        // Only what names the error is of use, and only there.
        for (name, value) in answer.headers {
            if name.starts_with("x-amzn-") && response.headers_mut().try_insert(name, value).is_err() {
                return Err(refused(unreadable("it has a header that is none")));
            }
        }
    }
    match parser.deserialize_nonstreaming_with_config(&response, &ConfigBag::base()) {
        Ok(output) => output.downcast().map_err(|_| refused(unreadable("the SDK made something else of it"))),
        Err(error) => match error.as_operation_error().and_then(|error| error.downcast_ref::<R::Error>()) {
            Some(error) if !status.is_success() => Err(refused(Refusal::Service(error))),
            Some(error) => Err(refused(Refusal::Unreadable(chain(error)))),
            None => Err(refused(Refusal::Unreadable(chain(&error)))),
        },
    }
}

/// The messages of an error and of what caused it.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
