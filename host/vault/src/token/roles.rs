//! Token roles: `auth/token/roles/<name>`, by which a token may make others that are no subset of itself.
//!
//! They are stored at `sys/token/roles/<name>`, as the JSON that Vault and OpenBao store.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::cidr;
use super::create::sanitize;
use super::entry::Entry;
use super::fields::Body;
use super::store::Store;
use crate::auth::TokenType;
use crate::lease::entry::{nanoseconds, token_kind};
use crate::logical::{Error, Fields, Operation, Request, Response, Result, one_error};

/// A role. Lists that are missing and lists that are empty are told apart, since clients see which it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Role {
    pub(super) token_bound_cidrs: Option<Vec<String>>,
    #[serde(with = "nanoseconds")]
    pub(super) token_explicit_max_ttl: Duration,
    #[serde(with = "nanoseconds")]
    token_max_ttl: Duration,
    pub(super) token_no_default_policy: bool,
    pub(super) token_num_uses: i64,
    #[serde(with = "nanoseconds")]
    pub(super) token_period: Duration,
    token_policies: Option<Vec<String>>,
    #[serde(deserialize_with = "token_kind")]
    token_type: u64,
    #[serde(with = "nanoseconds")]
    token_ttl: Duration,
    pub(super) name: String,
    pub(super) allowed_policies: Option<Vec<String>>,
    pub(super) disallowed_policies: Option<Vec<String>>,
    pub(super) allowed_policies_glob: Option<Vec<String>>,
    pub(super) disallowed_policies_glob: Option<Vec<String>>,
    pub(super) orphan: bool,
    // Old names of members, which clients may still use and see.
    #[serde(with = "nanoseconds")]
    period: Duration,
    pub(super) path_suffix: String,
    pub(super) renewable: bool,
    #[serde(with = "nanoseconds")]
    explicit_max_ttl: Duration,
    bound_cidrs: Option<Vec<String>>,
    pub(super) allowed_entity_aliases: Option<Vec<String>>,
    #[serde(flatten)]
    other: Map<String, Value>,
}

const FIELDS: [&str; 18] = [
    "role_name",
    "allowed_policies",
    "disallowed_policies",
    "allowed_policies_glob",
    "disallowed_policies_glob",
    "orphan",
    "period",
    "path_suffix",
    "explicit_max_ttl",
    "renewable",
    "bound_cidrs",
    "allowed_entity_aliases",
    "token_bound_cidrs",
    "token_explicit_max_ttl",
    "token_period",
    "token_type",
    "token_no_default_policy",
    "token_num_uses",
];

const NO_ALIASES: &str =
    "this server has no entity aliases: 'allowed_entity_aliases' is kept, but tokens cannot be made with an 'entity_alias'";

fn word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Whether it can be the name of a role: letters, digits and `_` at both ends, and `-` and `.` between them.
pub(super) fn is_name(name: &str) -> bool {
    name.starts_with(word) && name.ends_with(word) && name.chars().all(|c| word(c) || matches!(c, '-' | '.'))
}

/// What the role's `path_suffix` has to match, as Vault's messages have it: somewhere in it, not all of it.
const SUFFIX: &str = r"\w[\w-.]+\w";

pub(super) fn suffix_matches(suffix: &str) -> bool {
    let ends_apart = |run: &str| run.find(word).zip(run.rfind(word)).is_some_and(|(first, last)| last - first >= 2);
    suffix.split(|c: char| !word(c) && !matches!(c, '-' | '.')).any(ends_apart) && suffix.split('/').all(|segment| !segment.is_empty())
}

/// Whether the text is what the pattern says, in which `*` stands for anything.
pub(super) fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

/// Trimmed, in lower case, sorted, each once: as policies, but that `root` is one of many.
fn distinct(texts: &[String]) -> Vec<String> {
    let mut texts: Vec<String> = texts.iter().map(|text| text.trim().to_lowercase()).filter(|text| !text.is_empty()).collect();
    texts.sort();
    texts.dedup();
    texts
}

impl Role {
    /// Reads the stored form.
    pub(super) fn from_stored(name: &str, bytes: &[u8]) -> Result<Role> {
        let mut role: Role =
            serde_json::from_slice(bytes).map_err(|_| Error::Damaged(format!("sys/token/roles/{name}: not the JSON of a token role")))?;
        if role.kind() == TokenType::Default {
            role.token_type = TokenType::DefaultService.number();
        }
        // Stored before these had new names.
        if role.token_period.is_zero() {
            role.token_period = role.period;
        }
        if role.token_explicit_max_ttl.is_zero() {
            role.token_explicit_max_ttl = role.explicit_max_ttl;
        }
        if role.token_bound_cidrs.as_ref().is_none_or(Vec::is_empty) && role.bound_cidrs.as_ref().is_some_and(|old| !old.is_empty()) {
            role.token_bound_cidrs.clone_from(&role.bound_cidrs);
        }
        Ok(role)
    }

    /// The stored form.
    pub(super) fn to_stored(&self) -> Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec(self).map_err(|error| Error::Internal(error.to_string()))?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    pub(super) fn kind(&self) -> TokenType {
        TokenType::of_number(self.token_type)
    }

    /// Whether it says anything of its own about policies.
    pub(super) fn decides_policies(&self) -> bool {
        [&self.allowed_policies, &self.disallowed_policies, &self.allowed_policies_glob, &self.disallowed_policies_glob]
            .into_iter()
            .any(|list| list.as_ref().is_some_and(|list| !list.is_empty()))
    }

    /// Whether a list of patterns has one for the text.
    pub(super) fn any_glob(patterns: &[String], text: &str) -> bool {
        patterns.iter().any(|pattern| glob(pattern, text))
    }

    fn shown(&self) -> Fields {
        let shown = json!({
            "period": self.period.as_secs(),
            "token_period": self.token_period.as_secs(),
            "explicit_max_ttl": self.explicit_max_ttl.as_secs(),
            "token_explicit_max_ttl": self.token_explicit_max_ttl.as_secs(),
            "disallowed_policies": self.disallowed_policies,
            "allowed_policies": self.allowed_policies,
            "disallowed_policies_glob": self.disallowed_policies_glob,
            "allowed_policies_glob": self.allowed_policies_glob,
            "name": self.name,
            "orphan": self.orphan,
            "path_suffix": self.path_suffix,
            "renewable": self.renewable,
            "token_type": self.kind().name(),
            "allowed_entity_aliases": self.allowed_entity_aliases,
            "token_no_default_policy": self.token_no_default_policy,
        });
        let Value::Object(mut shown) = shown else { return Fields::new() };
        for (name, list) in [("token_bound_cidrs", &self.token_bound_cidrs), ("bound_cidrs", &self.bound_cidrs)] {
            if let Some(list) = list.as_ref().filter(|list| !list.is_empty()) {
                shown.insert(name.to_owned(), list.clone().into());
            }
        }
        if self.token_num_uses > 0 {
            shown.insert("token_num_uses".to_owned(), self.token_num_uses.into());
        }
        shown
    }

    /// Takes over what a request says. With `new` what it does not say gets its default.
    fn change(&mut self, body: &Body<'_>, new: bool, max_ttl: Duration) -> Result<Vec<String>> {
        if let Some(orphan) = body.boolean("orphan")? {
            self.orphan = orphan;
        }
        if let Some(renewable) = body.boolean("renewable")?.or(new.then_some(true)) {
            self.renewable = renewable;
        }
        if body.given("path_suffix") {
            let suffix = body.text("path_suffix")?;
            if !suffix.is_empty() && !suffix_matches(&suffix) {
                return Err(Error::BadRequest(format!("given role path suffix contains invalid characters; must match {SUFFIX}")));
            }
            self.path_suffix = suffix;
        }
        if self.path_suffix.contains("..") {
            return Err(Error::bad_request("error registering path suffix: path cannot contain parent references"));
        }
        for (list, name, allows) in [
            (&mut self.allowed_policies, "allowed_policies", true),
            (&mut self.disallowed_policies, "disallowed_policies", false),
            (&mut self.allowed_policies_glob, "allowed_policies_glob", true),
            (&mut self.disallowed_policies_glob, "disallowed_policies_glob", false),
        ] {
            if let Some(given) = body.list(name)?.or_else(|| new.then(Vec::new)) {
                *list = Some(if allows { sanitize(&given) } else { distinct(&given) });
            }
        }
        self.change_token(body)?;
        let mut warnings = self.change_old(body)?;
        let explicit = if body.given("token_explicit_max_ttl") { self.token_explicit_max_ttl } else { self.explicit_max_ttl };
        if explicit > max_ttl {
            warnings.push(format!(
                "Given explicit max TTL of {} is greater than system/mount allowed value of {} seconds; until this is fixed attempting to \
                 create tokens against this role will result in an error",
                explicit.as_secs(),
                max_ttl.as_secs()
            ));
        }
        self.check_batch()?;
        if let Some(aliases) = body.list("allowed_entity_aliases")? {
            self.allowed_entity_aliases = Some(distinct(&aliases));
            if !aliases.is_empty() {
                warnings.push(NO_ALIASES.to_owned());
            }
        }
        Ok(warnings)
    }

    /// The fields that begin with `token_`.
    fn change_token(&mut self, body: &Body<'_>) -> Result<()> {
        let failed = |text: &str| Error::BadRequest(format!("error parsing role fields: {text}"));
        let kind = match body.0.get("token_type") {
            None => None,
            Some(Value::Null) => return Err(Error::bad_request("Invalid 'token_type' value: null")),
            Some(_) => Some(body.text("token_type")?),
        };
        if let Some(networks) = body.list("token_bound_cidrs")? {
            self.token_bound_cidrs = Some(cidr::parse_all(&networks).map_err(|error| failed(&error.to_string()))?);
        }
        if let Some(ttl) = body.seconds("token_explicit_max_ttl")? {
            self.token_explicit_max_ttl = ttl;
        }
        if let Some(no_default) = body.boolean("token_no_default_policy")? {
            self.token_no_default_policy = no_default;
        }
        if let Some(period) = body.seconds("token_period")? {
            self.token_period = period;
        }
        if body.given("token_num_uses") {
            self.token_num_uses = body.integer("token_num_uses")?;
        }
        if self.token_num_uses < 0 {
            return Err(failed("'token_num_uses' cannot be negative"));
        }
        if kind.is_none() && matches!(self.kind(), TokenType::Batch | TokenType::DefaultBatch) {
            let refused = |what: &str| failed(&format!("'token_type' cannot be 'batch' or 'default_batch' when set to generate {what}"));
            if !self.token_period.is_zero() {
                return Err(refused("periodic tokens"));
            }
            if self.token_num_uses != 0 {
                return Err(refused("tokens with limited use count"));
            }
        }
        let Some(kind) = kind else { return Ok(()) };
        let named = TokenType::of_name(&kind).filter(|kind| *kind != TokenType::Default);
        self.token_type = named.ok_or_else(|| Error::BadRequest(format!("invalid 'token_type' value {kind:?}")))?.number();
        Ok(())
    }

    /// The old names of fields, which count only without the new ones.
    fn change_old(&mut self, body: &Body<'_>) -> Result<Vec<String>> {
        let mut warnings = Vec::new();
        let mut both = |old: &str| {
            if body.given(old) {
                warnings.push(format!("Both 'token_{old}' and deprecated '{old}' value supplied, ignoring the deprecated value"));
            }
        };
        if body.given("token_period") {
            both("period");
            self.period = Duration::ZERO;
        } else if let Some(period) = body.seconds("period")? {
            (self.period, self.token_period) = (period, period);
        }
        if body.given("token_bound_cidrs") {
            both("bound_cidrs");
            self.bound_cidrs = None;
        } else if let Some(networks) = body.list("bound_cidrs")? {
            let parsed = cidr::parse_all(&networks).map_err(|error| Error::BadRequest(format!("error parsing bound_cidrs: {error}")))?;
            (self.bound_cidrs, self.token_bound_cidrs) = (Some(parsed.clone()), Some(parsed));
        }
        if body.given("token_explicit_max_ttl") {
            both("explicit_max_ttl");
            self.explicit_max_ttl = Duration::ZERO;
        } else if let Some(ttl) = body.seconds("explicit_max_ttl")? {
            (self.explicit_max_ttl, self.token_explicit_max_ttl) = (ttl, ttl);
        }
        Ok(warnings)
    }

    fn check_batch(&self) -> Result<()> {
        if self.kind() != TokenType::Batch {
            return Ok(());
        }
        for (refused, what) in [
            (!self.orphan, "non-orphan tokens"),
            (!self.token_period.is_zero(), "periodic tokens"),
            (self.renewable, "renewable tokens"),
            (!self.token_explicit_max_ttl.is_zero(), "tokens with an explicit max TTL"),
        ] {
            if refused {
                return Err(Error::BadRequest(format!("'token_type' cannot be 'batch' when role is set to generate {what}")));
            }
        }
        Ok(())
    }
}

impl Store {
    /// The role of this name.
    pub(super) async fn role(&self, name: &str) -> Result<Option<Role>> {
        let Some(bytes) = self.view.get(&format!("roles/{name}")).await? else { return Ok(None) };
        Role::from_stored(name, &bytes).map(Some)
    }

    /// The period and the limit that a renewal goes by: those of the token's role as it is now, else its own.
    pub(super) async fn renewal_terms(&self, entry: &Entry) -> Result<(Duration, Duration)> {
        if entry.role.is_empty() {
            return Ok((entry.period, entry.explicit_max_ttl));
        }
        let role = self.role(&entry.role).await?.ok_or_else(|| {
            Error::Refused(one_error(format_args!(
                "failed to renew entry: original token role {:?} could not be found, not renewing",
                entry.role
            )))
        })?;
        Ok((role.token_period, role.token_explicit_max_ttl))
    }

    /// Answers a request to `roles/<name>`.
    pub(super) async fn answer_role(&self, request: &Request, name: &str) -> Result<Response> {
        match request.operation {
            Operation::Read => Ok(Response::data(self.role(name).await?.ok_or(Error::NotFound)?.shown())),
            Operation::Delete => {
                let _changing = self.lock(&format!("roles/{name}")).await?;
                self.view.delete(&format!("roles/{name}")).await?;
                Ok(Response::empty())
            }
            Operation::Create | Operation::Update => self.write_role(&Body(&request.data), name).await.map_err(as_is),
            Operation::Patch | Operation::List => Err(Error::UnsupportedOperation),
        }
    }

    async fn write_role(&self, body: &Body<'_>, name: &str) -> Result<Response> {
        let _changing = self.lock(&format!("roles/{name}")).await?;
        let stored = self.role(name).await?;
        let new = stored.is_none();
        let mut role = stored.unwrap_or_else(|| Role { name: name.to_owned(), ..Role::default() });
        if new {
            role.token_type = TokenType::DefaultService.number();
        }
        let mut warnings = role.change(body, new, self.max_lease_ttl)?;
        if !warnings.is_empty() {
            // As the reference, which says it only where it says something else.
            warnings.splice(0..0, body.ignored(&FIELDS));
        }
        self.view.put(&format!("roles/{name}"), &role.to_stored()?).await?;
        Ok(Response { warnings, ..Response::empty() })
    }
}

/// Of roles Vault says only what is wrong, not that it was found before anything was done.
fn as_is(error: Error) -> Error {
    match error {
        Error::BadRequest(text) => Error::BadRequest(text.strip_prefix("Field validation failed: ").map(str::to_owned).unwrap_or(text)),
        other => other,
    }
}
