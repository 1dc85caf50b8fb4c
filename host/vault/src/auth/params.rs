//! The settings that roles of every auth method have: what the tokens of their logins are like.
//!
//! Names, kinds and order of the stored members are those of Vault and OpenBao.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Login, TokenType};
use crate::keyring::json::position;
use crate::kv::fields::{Input, Kind};
use crate::lease::entry::{nanoseconds, token_kind};
use crate::logical::{Error, Fields, Request, Result};
use crate::token::cidr;

/// What a role says of tokens. Lists that are missing and lists that are empty are told apart, since clients see which it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct TokenParams {
    pub(crate) token_bound_cidrs: Option<Vec<String>>,
    #[serde(with = "nanoseconds")]
    pub(crate) token_explicit_max_ttl: Duration,
    #[serde(with = "nanoseconds")]
    pub(crate) token_max_ttl: Duration,
    pub(crate) token_no_default_policy: bool,
    pub(crate) token_num_uses: i64,
    #[serde(with = "nanoseconds")]
    pub(crate) token_period: Duration,
    pub(crate) token_policies: Option<Vec<String>>,
    #[serde(deserialize_with = "token_kind")]
    pub(crate) token_type: u64,
    #[serde(with = "nanoseconds")]
    pub(crate) token_ttl: Duration,
    /// OpenBao's: a token is for the address that its login came from.
    pub(crate) token_strictly_bind_ip: bool,
}

/// The fields of a request that are about these, to be put among those of the path.
pub(crate) const TOKEN_FIELDS: [(&str, Kind); 10] = [
    ("token_bound_cidrs", Kind::Texts),
    ("token_explicit_max_ttl", Kind::Seconds),
    ("token_max_ttl", Kind::Seconds),
    ("token_no_default_policy", Kind::Bool),
    ("token_num_uses", Kind::Int),
    ("token_period", Kind::Seconds),
    ("token_policies", Kind::Texts),
    ("token_type", Kind::Text),
    ("token_ttl", Kind::Seconds),
    ("token_strictly_bind_ip", Kind::Bool),
];

/// A time of a request.
pub(crate) fn seconds(input: &Input<'_>, name: &str) -> Option<Duration> {
    input.seconds(name).map(|seconds| Duration::from_secs(u64::try_from(seconds).unwrap_or_default()))
}

impl TokenParams {
    /// Takes these out of a stored role's members, of which they are some. Written they are with `#[serde(flatten)]`, which cannot read numbers.
    pub(crate) fn take(members: &mut Fields) -> Result<TokenParams, String> {
        let own: Fields = TOKEN_FIELDS.iter().filter_map(|(name, _)| Some(((*name).to_owned(), members.remove(*name)?))).collect();
        serde_json::from_value(own.into()).map_err(|error| format!("what it says of tokens cannot be read: {}", position(&error)))
    }

    /// Takes over what a request says, and checks it. Warnings for the client.
    pub(crate) fn set(&mut self, input: &Input<'_>) -> Result<Vec<String>> {
        let mut warnings = Vec::new();
        if let Some(networks) = input.texts("token_bound_cidrs") {
            self.token_bound_cidrs = Some(cidr::parse_all(networks)?);
        }
        if let Some(strictly) = input.bool("token_strictly_bind_ip") {
            self.token_strictly_bind_ip = strictly;
        }
        if self.token_strictly_bind_ip && !self.bound_cidrs().is_empty() {
            return Err(Error::bad_request("'token_strictly_bind_ip' conflicts with 'token_bound_cidrs'; set only one"));
        }
        for (slot, name) in [
            (&mut self.token_explicit_max_ttl, "token_explicit_max_ttl"),
            (&mut self.token_max_ttl, "token_max_ttl"),
            (&mut self.token_period, "token_period"),
            (&mut self.token_ttl, "token_ttl"),
        ] {
            if let Some(time) = seconds(input, name) {
                *slot = time;
            }
        }
        if let Some(none) = input.bool("token_no_default_policy") {
            self.token_no_default_policy = none;
        }
        if let Some(policies) = input.texts("token_policies") {
            self.token_policies = Some(policies.to_vec());
        }
        if let Some(name) = input.text("token_type") {
            self.token_type = kind(name, &mut warnings)?.number();
        }
        if let Some(uses) = input.int("token_num_uses") {
            self.token_num_uses = uses;
        }
        self.check()?;
        Ok(warnings)
    }

    fn check(&self) -> Result<()> {
        let refused = |text: &str| Err(Error::bad_request(text));
        if self.token_num_uses < 0 {
            return refused("'token_num_uses' cannot be negative");
        }
        if matches!(self.kind(), TokenType::Batch | TokenType::DefaultBatch) {
            if !self.token_period.is_zero() {
                return refused("'token_type' cannot be 'batch' or 'default_batch' when set to generate periodic tokens");
            }
            if self.token_num_uses != 0 {
                return refused("'token_type' cannot be 'batch' or 'default_batch' when set to generate tokens with limited use count");
            }
        }
        if !self.token_max_ttl.is_zero() && self.token_ttl > self.token_max_ttl {
            return refused("'token_ttl' cannot be greater than 'token_max_ttl'");
        }
        Ok(())
    }

    /// What the role says of the kind.
    pub(crate) fn kind(&self) -> TokenType {
        TokenType::of_number(self.token_type)
    }

    /// The networks that tokens are bound to; none for all.
    pub(crate) fn bound_cidrs(&self) -> &[String] {
        self.token_bound_cidrs.as_deref().unwrap_or_default()
    }

    /// How the API shows them.
    pub(crate) fn show(&self, data: &mut Fields) {
        let list = |list: &Option<Vec<String>>| Value::from(list.clone().unwrap_or_default());
        for (name, value) in [
            ("token_bound_cidrs", list(&self.token_bound_cidrs)),
            ("token_explicit_max_ttl", self.token_explicit_max_ttl.as_secs().into()),
            ("token_max_ttl", self.token_max_ttl.as_secs().into()),
            ("token_no_default_policy", self.token_no_default_policy.into()),
            ("token_num_uses", self.token_num_uses.into()),
            ("token_period", self.token_period.as_secs().into()),
            ("token_policies", list(&self.token_policies)),
            ("token_strictly_bind_ip", self.token_strictly_bind_ip.into()),
            ("token_ttl", self.token_ttl.as_secs().into()),
            ("token_type", self.kind().name().into()),
        ] {
            data.insert(name.to_owned(), value);
        }
    }

    /// The login that these make of a request.
    pub(crate) fn login(&self, request: &Request) -> Login {
        let own = request.remote.filter(|_| self.token_strictly_bind_ip).map(|remote| remote.ip().to_canonical().to_string());
        Login {
            policies: self.token_policies.clone().unwrap_or_default(),
            no_default_policy: self.token_no_default_policy,
            ttl: self.token_ttl,
            max_ttl: self.token_max_ttl,
            period: self.token_period,
            explicit_max_ttl: self.token_explicit_max_ttl,
            num_uses: self.token_num_uses,
            bound_cidrs: own.map_or_else(|| self.bound_cidrs().to_vec(), |own| vec![own]),
            token_type: self.kind(),
            renewable: true,
            ..Login::default()
        }
    }
}

fn kind(name: &str, warnings: &mut Vec<String>) -> Result<TokenType> {
    let mut instead = |kind: TokenType| {
        warnings.push(format!("{name} has no useful meaning; adjusting to {}", kind.name()));
        Ok(kind)
    };
    match name {
        "" | "default" => Ok(TokenType::Default),
        "service" => Ok(TokenType::Service),
        "batch" => Ok(TokenType::Batch),
        "default-service" => instead(TokenType::Service),
        "default-batch" => instead(TokenType::Batch),
        _ => Err(Error::BadRequest(format!("invalid 'token_type' value {name:?}"))),
    }
}
