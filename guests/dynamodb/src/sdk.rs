//! The SDK's serialisers and parsers, and of the SDK nothing else.
//!
//! The SDK's client would find endpoints, hold credentials, sign, time, retry and make headers. All of that is the host's or [`Transport`]'s business here, so the client is not used and
//! not linked: nothing in this component is able to sign a request, it is half as large, and an operation does not pass through the client's layers and interceptors. What is sent is
//! what the SDK serialised, and what comes back is parsed by the SDK.
//!
//! [`Transport`]: crate::transport::Transport

use std::fmt::Debug;
use std::sync::LazyLock;

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::operation;
use aws_smithy_runtime_api::client::interceptors::context::Input;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_plugin::RuntimePlugin;
use aws_smithy_runtime_api::client::ser_de::{DeserializeResponse, SerializeRequest, SharedRequestSerializer, SharedResponseDeserializer};
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::{ConfigBag, FrozenLayer};
use cofferdam_guest::aws::Response;

/// The input of an operation.
pub(crate) trait Request: Debug + Send + Sync + 'static {
    /// The operation's name.
    const OPERATION: &'static str;
    /// What a success is.
    type Output: Debug + Send + Sync + 'static;
    /// What a refusal is.
    type Error: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static;

    /// What the operation brings for the SDK's client to use: its serialiser and its parser.
    fn codec() -> Option<&'static FrozenLayer>;
}

macro_rules! operations {
    ($($module:ident: $name:ident, $input:ident, $output:ident, $error:ident;)+) => {$(
        impl Request for operation::$module::$input {
            const OPERATION: &'static str = stringify!($name);
            type Output = operation::$module::$output;
            type Error = operation::$module::$error;

            fn codec() -> Option<&'static FrozenLayer> {
                static CODEC: LazyLock<Option<FrozenLayer>> = LazyLock::new(|| operation::$module::$name::new().config());
                CODEC.as_ref()
            }
        }
    )+};
}

operations! {
    batch_get_item: BatchGetItem, BatchGetItemInput, BatchGetItemOutput, BatchGetItemError;
    batch_write_item: BatchWriteItem, BatchWriteItemInput, BatchWriteItemOutput, BatchWriteItemError;
    create_table: CreateTable, CreateTableInput, CreateTableOutput, CreateTableError;
    delete_item: DeleteItem, DeleteItemInput, DeleteItemOutput, DeleteItemError;
    describe_table: DescribeTable, DescribeTableInput, DescribeTableOutput, DescribeTableError;
    get_item: GetItem, GetItemInput, GetItemOutput, GetItemError;
    put_item: PutItem, PutItemInput, PutItemOutput, PutItemError;
    query: Query, QueryInput, QueryOutput, QueryError;
    scan: Scan, ScanInput, ScanOutput, ScanError;
    transact_write_items: TransactWriteItems, TransactWriteItemsInput, TransactWriteItemsOutput, TransactWriteItemsError;
    update_continuous_backups: UpdateContinuousBackups, UpdateContinuousBackupsInput, UpdateContinuousBackupsOutput, UpdateContinuousBackupsError;
    update_item: UpdateItem, UpdateItemInput, UpdateItemOutput, UpdateItemError;
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
pub(crate) fn serialize<R: Request>(request: R) -> Result<HttpRequest, String> {
    let serializer = R::codec().and_then(|codec| codec.load::<SharedRequestSerializer>()).ok_or("the SDK has no serialiser")?;
    serializer.serialize_input(Input::erase(request), &mut ConfigBag::base()).map_err(|error| chain(&*error))
}

/// The answer as the SDK parses it. A refusal is shown to `refused`, whose result is returned.
pub(crate) fn parse<R: Request, T>(answer: Response, refused: impl FnOnce(Refusal<'_, R::Error>) -> T) -> Result<R::Output, T> {
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
