//! ARNs of IAM principals, as STS names them and as roles bind them.
//!
//! The rule: a principal is known by its canonical ARN, which for an assumed role is that of the role, without session, and which never has a path:
//! STS does not tell the path of a role. A bound ARN that ends in `*` is a pattern, in which each `*` stands for any text.

/// A principal: the caller of STS's `GetCallerIdentity`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Principal {
    /// As STS gave it.
    pub(super) arn: String,
    partition: String,
    /// Of the account, twelve digits.
    pub(super) account: String,
    /// `user`, `role`, `instance-profile` or `assumed-role`.
    kind: String,
    /// Of the user or the role.
    pub(super) name: String,
    /// Of an assumed role; its caller chose it.
    session: Option<String>,
}

impl Principal {
    /// Reads an ARN. The errors are Vault's.
    pub(super) fn parse(arn: &str) -> Result<Principal, String> {
        let parts: Vec<&str> = arn.split(':').collect();
        let [prefix, partition, service, _region, account, resource] = parts.as_slice() else {
            return Err(format!("unrecognized arn: contains {} colon-separated parts, expected 6", parts.len()));
        };
        if *prefix != "arn" {
            return Err("unrecognized arn: does not begin with \"arn:\"".to_owned());
        }
        if partition.is_empty() {
            return Err(format!("unrecognized arn: {arn:?} is missing the partition"));
        }
        if !matches!(*service, "iam" | "sts") {
            return Err(format!("unrecognized service: {service}, not one of iam or sts"));
        }
        if account.is_empty() {
            return Err(format!("unrecognized arn: {arn:?} is missing the account number"));
        }
        let segments: Vec<&str> = resource.split('/').collect();
        let fewer = |least| format!("unrecognized arn: {resource:?} contains fewer than {least} slash-separated parts");
        let (name, session) = match segments.as_slice() {
            [] | [_] => return Err(fewer(2)),
            ["assumed-role", _] => return Err(fewer(3)),
            ["assumed-role", name, session] => (*name, Some((*session).to_owned())),
            ["user" | "role" | "instance-profile", .., name] => (*name, None),
            [kind, ..] => return Err(format!("unrecognized principal type: {kind:?}")),
        };
        if name.is_empty() {
            return Err(format!("unrecognized arn: {arn:?} is missing the resource name"));
        }
        Ok(Principal {
            arn: arn.to_owned(),
            partition: (*partition).to_owned(),
            account: (*account).to_owned(),
            kind: segments.first().copied().unwrap_or_default().to_owned(),
            name: name.to_owned(),
            session,
        })
    }

    /// What it is known by: the ARN of the user or of the role, without its path.
    pub(super) fn canonical(&self) -> String {
        let kind = if self.kind == "assumed-role" { "role" } else { &self.kind };
        format!("arn:{}:iam::{}:{kind}/{}", self.partition, self.account, self.name)
    }

    /// Its name for people: of an assumed role with the session.
    pub(super) fn display_name(&self) -> String {
        match &self.session {
            Some(session) => format!("{}/{session}", self.name),
            None => self.name.clone(),
        }
    }
}

/// Whether a bound ARN names a caller that has one of these ARNs.
pub(super) fn binds(bound: &str, arns: &[&str]) -> bool {
    if bound.ends_with('*') { arns.iter().any(|arn| glob(bound, arn)) } else { arns.contains(&bound) }
}

/// Whether the text is of the pattern, in which `*` stands for any text, also none.
fn glob(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    let Some(end) = text.strip_suffix(last) else { return false };
    text = end;
    for part in middle.split('*') {
        let Some((_, after)) = text.split_once(part) else { return false };
        text = after;
    }
    true
}

/// What the operator may not have meant with a bound ARN.
pub(super) fn doubts(bound: &str) -> Option<String> {
    let parts: Vec<&str> = bound.splitn(6, ':').collect();
    let account = parts.get(4).copied().unwrap_or_default();
    if account.is_empty() || account.contains('*') {
        return Some(format!("{bound:?} in bound_iam_principal_arn names no account: principals of any AWS account may match it"));
    }
    let resource = parts.get(5).copied().unwrap_or_default();
    let segments = resource.split('/').count();
    (resource.starts_with("role/") && segments > 2).then(|| {
        format!(
            "{bound:?} in bound_iam_principal_arn has the path of a role, which AWS does not tell at a login: only the role's name is matched, as in role/NAME"
        )
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ROLE: &str = "arn:aws:iam::123456789012:role/deploy";

    #[test]
    fn each_kind_of_principal_has_its_canonical_arn_and_its_name() {
        for (arn, canonical, display) in [
            ("arn:aws:iam::123456789012:user/alice", "arn:aws:iam::123456789012:user/alice", "alice"),
            ("arn:aws:iam::123456789012:user/a/b/alice", "arn:aws:iam::123456789012:user/alice", "alice"),
            ("arn:aws:sts::123456789012:assumed-role/deploy/i-1", ROLE, "deploy/i-1"),
            ("arn:aws:iam::123456789012:role/path/deploy", ROLE, "deploy"),
            ("arn:aws-cn:sts::123456789012:assumed-role/deploy/x", "arn:aws-cn:iam::123456789012:role/deploy", "deploy/x"),
            ("arn:aws:iam::123456789012:instance-profile/p/q", "arn:aws:iam::123456789012:instance-profile/q", "q"),
        ] {
            let principal = Principal::parse(arn).unwrap();
            assert_eq!((principal.canonical().as_str(), principal.display_name().as_str()), (canonical, display), "{arn}");
            assert_eq!((principal.account.as_str(), principal.arn.as_str()), ("123456789012", arn));
        }
    }

    #[test]
    fn what_is_no_principal_is_refused_as_vault_does() {
        for (arn, error) in [
            ("", "unrecognized arn: contains 1 colon-separated parts, expected 6"),
            ("arn:aws:iam::1:user/a:b", "unrecognized arn: contains 7 colon-separated parts, expected 6"),
            ("arm:aws:iam::1:user/a", "unrecognized arn: does not begin with \"arn:\""),
            ("arn::iam::1:user/a", "unrecognized arn: \"arn::iam::1:user/a\" is missing the partition"),
            ("arn:aws:s3::1:user/a", "unrecognized service: s3, not one of iam or sts"),
            ("arn:aws:iam:::user/a", "unrecognized arn: \"arn:aws:iam:::user/a\" is missing the account number"),
            ("arn:aws:iam::1:root", "unrecognized arn: \"root\" contains fewer than 2 slash-separated parts"),
            ("arn:aws:sts::1:assumed-role/a", "unrecognized arn: \"assumed-role/a\" contains fewer than 3 slash-separated parts"),
            ("arn:aws:sts::1:federated-user/a", "unrecognized principal type: \"federated-user\""),
            ("arn:aws:sts::1:assumed-role/a/b/c", "unrecognized principal type: \"assumed-role\""),
            ("arn:aws:iam::1:user/", "unrecognized arn: \"arn:aws:iam::1:user/\" is missing the resource name"),
        ] {
            assert_eq!(Principal::parse(arn), Err(error.to_owned()), "{arn}");
        }
    }

    #[test]
    fn only_what_ends_in_a_star_is_a_pattern() {
        for (bound, arn, matches) in [
            (ROLE, ROLE, true),
            (ROLE, "arn:aws:iam::123456789012:role/deployer", false),
            ("arn:aws:iam::123456789012:role/*", ROLE, true),
            ("arn:aws:iam::123456789012:role/de*", ROLE, true),
            ("arn:aws:iam::123456789013:role/*", ROLE, false),
            ("arn:aws:iam::*:role/deploy", ROLE, false),
            ("arn:aws:iam::*:role/deploy*", ROLE, true),
            ("arn:aws:*:role/*ploy*", ROLE, true),
            ("arn:aws:*:role/*ploy-*", ROLE, false),
            ("*", ROLE, true),
            ("", ROLE, false),
            ("arn:aws:iam::123456789012:role/deploy*", ROLE, true),
            ("arn:aws:iam::123456789012:role/deploy/*", ROLE, false),
            ("arn:aws:iam::1*12:role/deploy**", ROLE, true),
        ] {
            assert_eq!(binds(bound, &[arn]), matches, "{bound} {arn}");
        }
        assert!(binds("arn:aws:iam::1:user/dev/*", &["arn:aws:iam::1:user/a", "arn:aws:iam::1:user/dev/a"]));
    }

    #[test]
    fn doubtful_bindings_are_told() {
        for (bound, part) in [
            ("arn:aws:iam::1:role/x/y", Some("has the path of a role")),
            ("arn:aws:iam::*:role/y*", Some("names no account")),
            ("*", Some("names no account")),
            ("arn:aws:iam::1:user/x/y", None),
            (ROLE, None),
        ] {
            let said = doubts(bound);
            assert!(part.map_or(said.is_none(), |part| said.as_ref().is_some_and(|said| said.contains(part))), "{bound}: {said:?}");
        }
    }

    /// The plain meaning of a pattern, slow.
    fn plain(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((b'*', rest)) => (0..=text.len()).any(|skip| plain(rest, &text[skip..])),
            Some((byte, rest)) => text.split_first().is_some_and(|(first, text)| first == byte && plain(rest, text)),
        }
    }

    proptest! {
        #[test]
        fn a_pattern_matches_what_it_means(pattern in "[ab*]{0,8}", text in "[ab]{0,8}") {
            prop_assert_eq!(glob(&pattern, &text), plain(pattern.as_bytes(), text.as_bytes()), "{} {}", pattern, text);
        }

        #[test]
        fn a_canonical_arn_is_its_own(arn in "arn:aws(-cn)?:(iam|sts)::[0-9]{1,12}:(user|role|assumed-role)/[a-z/]{0,8}") {
            if let Ok(principal) = Principal::parse(&arn) {
                let canonical = principal.canonical();
                let again = Principal::parse(&canonical).unwrap();
                prop_assert_eq!(again.canonical(), canonical.clone());
                prop_assert!(binds(&canonical, &[&principal.canonical(), &principal.arn]));
            }
        }

        #[test]
        fn no_text_makes_the_parser_fall_over(text in "(arn|:|/|aws|iam|sts|role|user|\\*|[a-z\u{e9}]){0,12}") {
            let _ = (Principal::parse(&text), doubts(&text), binds(&text, &[&text]));
        }
    }
}
