//! `config/client`: how STS is reached, and for whom clients must sign.
//!
//! Stored as Vault stores it. What Vault uses for questions of its own (keys, the endpoints of EC2 and IAM, the region) is kept and handed back, and used
//! for nothing: this server asks AWS nothing but what a client signed.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::headers::canonical;
use super::sts;
use crate::auth::stored;
use crate::kv::fields::{Input, Kind, Schema};
use crate::logical::{Error, Fields, Request, Response, Result};
use crate::view::View;

/// Where it is stored.
const KEY: &str = "config/client";
/// What [`Client::max_retries`] says where nobody said anything.
const UNSET: i64 = -1;
/// How often a request is sent again by default, as the SDK of Vault does.
const RETRIES: u32 = 3;
/// More would outlast any client.
const MOST_RETRIES: u32 = 10;

const FIELDS: Schema = &[
    ("access_key", Kind::Text),
    ("secret_key", Kind::Text),
    ("endpoint", Kind::Text),
    ("iam_endpoint", Kind::Text),
    ("sts_endpoint", Kind::Text),
    ("sts_region", Kind::Text),
    ("iam_server_id_header_value", Kind::Text),
    ("allowed_sts_header_values", Kind::Texts),
    ("max_retries", Kind::Int),
    ("use_sts_region_from_client", Kind::Bool),
];

const NO_SERVER_ID: &str = "iam_server_id_header_value is not set: whoever holds a login request that a client signed for another server can log in \
                            here with it";

/// The settings. Members that are not known are kept.
#[derive(Clone, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Client {
    pub(super) access_key: String,
    pub(super) secret_key: Zeroizing<String>,
    pub(super) endpoint: String,
    pub(super) iam_endpoint: String,
    /// In place of AWS's own hosts.
    pub(super) sts_endpoint: String,
    pub(super) sts_region: String,
    /// What the header of the server's id must say.
    pub(super) iam_server_id_header_value: String,
    /// Headers of AWS's that a signed request may have besides the usual ones.
    pub(super) allowed_sts_header_values: Option<Vec<String>>,
    pub(super) max_retries: i64,
    #[serde(flatten)]
    pub(super) other: Map<String, Value>,
}

impl Default for Client {
    fn default() -> Client {
        Client {
            access_key: String::new(),
            secret_key: Zeroizing::default(),
            endpoint: String::new(),
            iam_endpoint: String::new(),
            sts_endpoint: String::new(),
            sts_region: String::new(),
            iam_server_id_header_value: String::new(),
            allowed_sts_header_values: None,
            max_retries: UNSET,
            other: Map::new(),
        }
    }
}

impl Client {
    /// How often a request is sent again.
    pub(super) fn retries(&self) -> u32 {
        u32::try_from(self.max_retries).map_or(RETRIES, |retries| retries.min(MOST_RETRIES))
    }

    fn shown(&self) -> Fields {
        let mut data = Fields::new();
        for (name, value) in [
            ("access_key", &self.access_key),
            ("endpoint", &self.endpoint),
            ("iam_endpoint", &self.iam_endpoint),
            ("sts_endpoint", &self.sts_endpoint),
            ("sts_region", &self.sts_region),
            ("iam_server_id_header_value", &self.iam_server_id_header_value),
        ] {
            data.insert(name.to_owned(), value.as_str().into());
        }
        data.insert("allowed_sts_header_values".to_owned(), self.allowed_sts_header_values.clone().into());
        data.insert("max_retries".to_owned(), self.max_retries.into());
        data
    }

    /// Takes over the fields of a request. Returns what the operator should know.
    fn change(&mut self, input: &Input<'_>) -> Result<Vec<String>> {
        let mut unused = Vec::new();
        for (name, member) in
            [("access_key", &mut self.access_key), ("endpoint", &mut self.endpoint), ("iam_endpoint", &mut self.iam_endpoint)]
        {
            if let Some(value) = input.text(name) {
                value.clone_into(member);
                unused.extend((!member.is_empty()).then_some(name));
            }
        }
        if let Some(value) = input.text("secret_key") {
            self.secret_key = Zeroizing::new(value.to_owned());
            unused.extend((!self.secret_key.is_empty()).then_some("secret_key"));
        }
        if let Some(value) = input.text("sts_endpoint") {
            if !value.is_empty() && sts::endpoint(value).is_none() {
                return Err(Error::bad_request(
                    "invalid sts_endpoint: https://host or http://host is expected, each also with :port, and no path",
                ));
            }
            value.clone_into(&mut self.sts_endpoint);
        }
        if let Some(value) = input.text("sts_region") {
            value.clone_into(&mut self.sts_region);
            unused.extend((!self.sts_region.is_empty()).then_some("sts_region"));
        }
        if let Some(value) = input.text("iam_server_id_header_value") {
            value.clone_into(&mut self.iam_server_id_header_value);
        }
        if let Some(values) = input.texts("allowed_sts_header_values") {
            let mut values: Vec<String> = values.iter().filter(|value| !value.is_empty()).map(|value| canonical(value)).collect();
            values.sort();
            values.dedup();
            if let Some(other) = values.iter().find(|value| !value.starts_with("X-Amz-")) {
                return Err(Error::BadRequest(format!(
                    "invalid allowed_sts_header_values: {other:?} does not begin with X-Amz-, and other headers are not restricted"
                )));
            }
            self.allowed_sts_header_values = Some(values);
        }
        if let Some(retries) = input.int("max_retries") {
            self.max_retries = retries;
        }
        if input.bool("use_sts_region_from_client") == Some(false) {
            return Err(Error::bad_request(
                "use_sts_region_from_client cannot be turned off: without an sts_endpoint a request goes to the host of AWS's that its client signed for",
            ));
        }
        let mut warnings = Vec::new();
        if !unused.is_empty() {
            warnings.push(format!("[{}] kept, but not used: this server asks AWS nothing but what a client signed", unused.join(" ")));
        }
        if self.iam_server_id_header_value.is_empty() {
            warnings.push(NO_SERVER_ID.to_owned());
        }
        Ok(warnings)
    }
}

/// The settings, if there are any.
pub(super) async fn load(view: &View) -> Result<Option<Client>> {
    stored::get(view, KEY).await
}

pub(super) async fn exists(view: &View) -> Result<bool> {
    Ok(view.get(KEY).await?.is_some())
}

pub(super) async fn read(view: &View) -> Result<Response> {
    Ok(Response::data(load(view).await?.ok_or(Error::NotFound)?.shown()))
}

/// Writes what is given; an empty write is one, too.
pub(super) async fn write(view: &View, request: &Request) -> Result<Response> {
    let input = Input::new(request, FIELDS, true)?;
    let mut client = load(view).await?.unwrap_or_default();
    let warnings = client.change(&input)?;
    stored::put(view, KEY, &client).await?;
    Ok(input.warn(Response { warnings, ..Response::empty() }))
}

pub(super) async fn delete(view: &View) -> Result<Response> {
    view.delete(KEY).await?;
    Ok(Response::empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::auth::aws::tests::request;
    use crate::logical::Operation;

    const VAULTS: &str = r#"{"access_key":"AKIA","secret_key":"hidden","endpoint":"","iam_endpoint":"","sts_endpoint":"https://sts.eu-west-1.amazonaws.com","sts_region":"eu-west-1","iam_server_id_header_value":"v","allowed_sts_header_values":null,"max_retries":-1,"n":1.50,"role_arn":"r"}
"#;

    fn changed(client: &mut Client, body: Value) -> Result<Vec<String>> {
        client.change(&Input::new(&request(Operation::Update, KEY, body), FIELDS, true)?)
    }

    #[test]
    fn vaults_entry_is_read_and_written_as_the_same() {
        let client = serde_json::from_str::<Client>(VAULTS).unwrap();
        assert_eq!(std::str::from_utf8(&stored::encode(&client).unwrap()).unwrap(), VAULTS);
        assert_eq!(client.retries(), 3);
        let shown = Value::from(client.shown());
        assert_eq!(shown["sts_region"], "eu-west-1");
        assert!(!shown.to_string().contains("hidden") && shown.get("secret_key").is_none());
        // Before it could be set, nobody had set it.
        assert_eq!(serde_json::from_str::<Client>("{}").unwrap().retries(), 3);
    }

    #[test]
    fn an_empty_write_warns_of_the_missing_id_only() {
        let mut client = Client::default();
        assert_eq!(changed(&mut client, json!({})).unwrap(), [NO_SERVER_ID]);
        assert_eq!(changed(&mut client, json!({"iam_server_id_header_value": "v"})).unwrap(), Vec::<String>::new());
        assert_eq!(changed(&mut client, json!({})).unwrap(), Vec::<String>::new());
        let warnings = changed(&mut client, json!({"access_key": "a", "secret_key": "b", "sts_region": "c"})).unwrap();
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].starts_with("[access_key secret_key sts_region] kept, but not used"), "{warnings:?}");
    }

    #[test]
    fn settings_that_would_mean_nothing_are_refused() {
        for body in [
            json!({"sts_endpoint": "sts.example"}),
            json!({"sts_endpoint": "https://sts.example/path"}),
            json!({"allowed_sts_header_values": "X-Amz-A,Accept"}),
            json!({"max_retries": "many"}),
            json!({"use_sts_region_from_client": false}),
        ] {
            assert!(matches!(changed(&mut Client::default(), body.clone()), Err(Error::BadRequest(_))), "{body}");
        }
        let mut client = Client::default();
        changed(
            &mut client,
            json!({"allowed_sts_header_values": "x-amz-b, x-amz-a,X-AMZ-A", "max_retries": "0", "sts_endpoint": "http://127.0.0.1:1"}),
        )
        .unwrap();
        assert_eq!(client.allowed_sts_header_values.clone().unwrap(), ["X-Amz-A", "X-Amz-B"]);
        assert_eq!(client.retries(), 0);
        changed(&mut client, json!({"sts_endpoint": "", "max_retries": 99})).unwrap();
        assert_eq!((client.sts_endpoint.as_str(), client.retries()), ("", MOST_RETRIES));
    }
}
