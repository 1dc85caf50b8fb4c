//! Which region a backend speaks to, and what said so.
//!
//! The rule: each backend keeps the order that it has in Vault, though the two differ: for DynamoDB the environment has precedence over the
//! stanza, for KMS the stanza over the environment.

use crate::endpoint::is_region;
use crate::profile::Profile;
use crate::sources::variable;
use crate::{CredentialsError, Identity, Sources, imds};

const FALLBACK: &str = "us-east-1";
const DYNAMODB: &str = "AWS_DYNAMODB_REGION";
const ENVIRONMENT: [&str; 2] = ["AWS_REGION", "AWS_DEFAULT_REGION"];

/// Whose order is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegionRule {
    /// `AWS_DYNAMODB_REGION`, `AWS_REGION`, `AWS_DEFAULT_REGION`, the stanza, us-east-1.
    DynamoDb,
    /// The stanza, `AWS_REGION`, `AWS_DEFAULT_REGION`, the profile, the instance metadata, us-east-1. Metadata that do not answer are an
    /// error; us-east-1 is for where they are turned off.
    Kms,
}

/// The region, and where it comes from in words.
pub async fn region(
    rule: RegionRule,
    configured: Option<&str>,
    identity: &Identity,
    sources: &Sources,
) -> Result<(String, String), CredentialsError> {
    let (region, from) = match rule {
        RegionRule::DynamoDb => dynamodb(configured, sources),
        RegionRule::Kms => kms(configured, identity, sources).await?,
    };
    if !is_region(&region) {
        return Err(CredentialsError::Configuration(format!("{from}: {region:?} is no AWS region, such as eu-west-1")));
    }
    Ok((region, from))
}

fn dynamodb(configured: Option<&str>, sources: &Sources) -> (String, String) {
    let [first, second] = ENVIRONMENT;
    let by_variable = sources.first(&[DYNAMODB, first, second]);
    by_variable.map(named).or_else(|| stanza(configured)).unwrap_or_else(fallback)
}

async fn kms(configured: Option<&str>, identity: &Identity, sources: &Sources) -> Result<(String, String), CredentialsError> {
    if let Some(found) = stanza(configured).or_else(|| sources.first(&ENVIRONMENT).map(named)) {
        return Ok(found);
    }
    let profile = Profile::of(identity, sources)?;
    if let Some(region) = profile.region().await? {
        return Ok((region, profile.describe()));
    }
    if imds::disabled(sources) {
        let (region, from) = fallback();
        return Ok((region, format!("{from}, and {} is true", variable::IMDS_DISABLED)));
    }
    let region = imds::region(sources).await.map_err(CredentialsError::Region)?;
    Ok((region, "the instance metadata".to_owned()))
}

fn named((name, value): (&str, String)) -> (String, String) {
    (value.trim().to_owned(), name.to_owned())
}

fn stanza(configured: Option<&str>) -> Option<(String, String)> {
    let region = configured.map(str::trim).filter(|region| !region.is_empty())?;
    Some((region.to_owned(), "the stanza (`region`)".to_owned()))
}

fn fallback() -> (String, String) {
    (FALLBACK.to_owned(), "the default, since none is set".to_owned())
}
