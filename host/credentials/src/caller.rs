//! A signed request of `GetCallerIdentity` that somebody else sends: with it an identity proves to a server of secrets who it is.
//!
//! The rule: nothing is sent here, and the credentials leave only as a signature. Whoever has the request can log in with it for some fifteen minutes,
//! so it is wiped like a secret and never shown.

use std::fmt;
use std::time::SystemTime;

use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::endpoint::{Endpoint, is_region, suffix};
use crate::{Credentials, CredentialsError};

/// What is asked.
const BODY: &str = "Action=GetCallerIdentity&Version=2011-06-15";

/// Which server the request is for, in the signature: whom it is handed to cannot use it elsewhere.
const SERVER_ID: &str = "X-Vault-AWS-IAM-Server-ID";

/// Where the global endpoint is, and which region it has in signatures.
const GLOBAL: (&str, &str) = ("https://sts.amazonaws.com/", "us-east-1");

/// An STS, as signatures name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallerEndpoint {
    url: String,
    region: String,
}

impl CallerEndpoint {
    /// The one for all regions.
    pub fn global() -> CallerEndpoint {
        let (url, region) = GLOBAL;
        CallerEndpoint { url: url.to_owned(), region: region.to_owned() }
    }

    /// A region's own. The error says what was expected.
    pub fn regional(region: &str) -> Result<CallerEndpoint, String> {
        checked(region)?;
        Ok(CallerEndpoint { url: format!("https://sts.{region}.{}/", suffix(region)), region: region.to_owned() })
    }

    /// Another one: `http://host:port` or `https://host:port`. The error says what was expected.
    pub fn custom(url: &str, region: &str) -> Result<CallerEndpoint, String> {
        checked(region)?;
        let endpoint = Endpoint::parse(url).map_err(|error| error.to_string())?;
        Ok(CallerEndpoint { url: format!("{endpoint}/"), region: region.to_owned() })
    }

    /// The URL that is signed.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The region of the signature.
    pub fn region(&self) -> &str {
        &self.region
    }
}

fn checked(region: &str) -> Result<(), String> {
    if is_region(region) { Ok(()) } else { Err(format!("{region:?} is no AWS region, such as eu-west-1")) }
}

/// The signed request.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct CallerIdentity {
    #[zeroize(skip)]
    url: String,
    headers: Vec<(String, String)>,
}

impl CallerIdentity {
    /// Signs for this endpoint with what `credentials` give at this time; `server_id` names the server that it is meant for.
    pub async fn sign(
        credentials: &Credentials,
        endpoint: &CallerEndpoint,
        server_id: Option<&str>,
        time: SystemTime,
    ) -> Result<CallerIdentity, CredentialsError> {
        let identity = credentials.get().await?.into();
        // What cannot be signed is in the settings: keys that no header can carry, or the server's id.
        let unfit = |cause: String| CredentialsError::Configuration(format!("GetCallerIdentity cannot be signed: {cause}"));
        let params = SigningParams::builder().identity(&identity).region(&endpoint.region).name("sts").time(time);
        let params = params.settings(SigningSettings::default()).build().map_err(|error| unfit(error.to_string()))?.into();
        let mut headers = vec![("Content-Type".to_owned(), "application/x-www-form-urlencoded".to_owned())];
        headers.extend(server_id.map(|id| (SERVER_ID.to_owned(), id.to_owned())));
        let plain = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let body = SignableBody::Bytes(BODY.as_bytes());
        let request = SignableRequest::new("POST", &endpoint.url, plain, body).map_err(|error| unfit(error.to_string()))?;
        let (instructions, _) = sign(request, &params).map_err(|error| unfit(error.to_string()))?.into_parts();
        headers.extend(instructions.headers().map(|(name, value)| (name.to_owned(), value.to_owned())));
        Ok(CallerIdentity { url: endpoint.url.clone(), headers })
    }

    /// Where it goes, as it was signed. It is a POST.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its headers without `Host`, which the URL tells.
    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    /// Its body.
    pub fn body(&self) -> &'static str {
        BODY
    }
}

impl fmt::Debug for CallerIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallerIdentity").field("url", &self.url).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::{CallerEndpoint, CallerIdentity};
    use crate::{Credentials, Identity, Sources};

    async fn signed(endpoint: &CallerEndpoint, server_id: Option<&str>) -> CallerIdentity {
        let keys = [("AWS_ACCESS_KEY_ID", "AKID"), ("AWS_SECRET_ACCESS_KEY", "hidden"), ("AWS_SESSION_TOKEN", "session")];
        let credentials = Credentials::open(Identity::default(), endpoint.region(), &Sources::of(keys)).await.unwrap();
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        CallerIdentity::sign(&credentials, endpoint, server_id, time).await.unwrap()
    }

    fn header<'a>(request: &'a CallerIdentity, name: &str) -> Option<&'a str> {
        request.headers().iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    #[tokio::test]
    async fn a_request_is_signed_for_its_endpoint_and_its_server() {
        let request = signed(&CallerEndpoint::global(), Some("vault.example.com")).await;
        assert_eq!(request.url(), "https://sts.amazonaws.com/");
        assert_eq!(header(&request, "x-vault-aws-iam-server-id"), Some("vault.example.com"));
        assert_eq!(header(&request, "x-amz-security-token"), Some("session"));
        let authorization = header(&request, "authorization").unwrap();
        assert!(authorization.contains("Credential=AKID/20231114/us-east-1/sts/aws4_request"), "{authorization}");
        let names = authorization.split_once("SignedHeaders=").unwrap().1.split(',').next().unwrap();
        assert_eq!(names, "content-type;host;x-amz-date;x-amz-security-token;x-vault-aws-iam-server-id");
        assert!(!format!("{request:?}").contains("Signature") && !format!("{request:?}").contains("session"));

        let regional = signed(&CallerEndpoint::regional("cn-north-1").unwrap(), None).await;
        assert_eq!(regional.url(), "https://sts.cn-north-1.amazonaws.com.cn/");
        assert!(
            header(&regional, "authorization").unwrap().contains("/cn-north-1/sts/")
                && header(&regional, "x-vault-aws-iam-server-id").is_none()
        );
        assert_eq!(CallerEndpoint::custom("http://127.0.0.1:5000", "us-east-1").unwrap().url(), "http://127.0.0.1:5000/");
        for wrong in ["", "127.0.0.1:5000", "http://x/y", "http://169.254.169.254"] {
            assert!(CallerEndpoint::custom(wrong, "us-east-1").is_err(), "{wrong}");
        }
        assert!(CallerEndpoint::regional("eu.west").unwrap_err().contains("no AWS region"));
    }
}
