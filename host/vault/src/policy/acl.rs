//! What the policies of a token add up to.
//!
//! For a request only one rule counts: the one for its exact path; else, of the patterns that match, the most specific. Rules that several
//! policies have for one pattern are merged first.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use super::{Capabilities, Capability, Pattern, Policy, ROOT, Rules};
use crate::logical::{Error, Fields, Operation, Result};

/// The decisions of a set of policies.
#[derive(Clone, Debug, Default)]
pub struct Acl {
    root: bool,
    exact: HashMap<String, Rules>,
    /// By prefix, without the asterisk.
    prefixes: BTreeMap<String, Rules>,
    /// By pattern.
    segments: BTreeMap<String, Rules>,
    /// What it was made of.
    policies: Vec<Arc<Policy>>,
}

impl Acl {
    /// The sum of the policies. [`Error::Internal`] if `root` is one of several, which no token may have.
    pub fn new(policies: &[Arc<Policy>]) -> Result<Acl> {
        let mut acl = Acl { policies: policies.to_vec(), ..Acl::default() };
        for policy in policies {
            if policy.name == ROOT {
                if policies.len() != 1 {
                    return Err(Error::Internal("other policies present along with root".to_owned()));
                }
                acl.root = true;
            }
            for (pattern, rules) in &policy.rules {
                match pattern {
                    Pattern::Exact(path) => merge_into(acl.exact.entry(path.clone()), rules),
                    Pattern::Prefix(prefix) => merge_into_ordered(&mut acl.prefixes, prefix, rules),
                    Pattern::Segments(pattern) => merge_into_ordered(&mut acl.segments, pattern, rules),
                    Pattern::Identity(_) => {}
                }
            }
        }
        Ok(acl)
    }

    /// Whether everything is allowed.
    pub fn root(&self) -> bool {
        self.root
    }

    /// Whether the operation is allowed, with these fields. The path of a list ends in `/`.
    ///
    /// Rules with a limit on wrapping allow nothing: the answer is not to be wrapped.
    pub fn allows(&self, operation: Operation, path: &str, data: &Fields) -> bool {
        self.allows_wrapped(operation, path, data, None)
    }

    /// The same of a request whose answer is to be wrapped, for this long.
    pub fn allows_wrapped(&self, operation: Operation, path: &str, data: &Fields, wrap_ttl: Option<Duration>) -> bool {
        if self.root {
            return true;
        }
        let Some(rules) = self.rules(operation == Operation::List, path) else { return false };
        if !rules.capabilities.has(Capability::needed(operation)) || !rules.wrapping_passes(wrap_ttl) {
            return false;
        }
        if matches!(operation, Operation::List | Operation::Delete) {
            return true;
        }
        rules.required.iter().all(|name| data.contains_key(name))
            && (data.is_empty() || rules.denied.denied_pass(data) && rules.allowed.allowed_pass(data))
    }

    /// The names of the policies that give what the operation needs, in the rule that counts for the path; for the audit log.
    pub fn granting(&self, operation: Operation, path: &str) -> Vec<String> {
        let needed = Capability::needed(operation);
        let found = self.rules(operation == Operation::List, path);
        let grants = |policy: &Policy| {
            self.root
                || policy.rules.iter().any(|(pattern, rules)| {
                    let merged = match pattern {
                        Pattern::Exact(path) => self.exact.get(path),
                        Pattern::Prefix(prefix) => self.prefixes.get(prefix),
                        Pattern::Segments(pattern) => self.segments.get(pattern),
                        Pattern::Identity(_) => None,
                    };
                    rules.capabilities.has(needed) && merged.zip(found).is_some_and(|(merged, found)| std::ptr::eq(merged, found))
                })
        };
        self.policies.iter().filter(|policy| grants(policy)).map(|policy| policy.name.clone()).collect()
    }

    /// Whether the path may be used by a token without sudo's help: `sudo` is given, or all is.
    pub fn sudo(&self, path: &str) -> bool {
        self.root || self.rules(false, path).is_some_and(|rules| rules.capabilities.has(Capability::Sudo))
    }

    /// What `sys/capabilities` answers: names, sorted; `root` or `deny` alone.
    pub fn capabilities(&self, path: &str) -> Vec<String> {
        if self.root {
            return vec![ROOT.to_owned()];
        }
        // As for a list, so that `foo/` has what `foo` has.
        self.rules(true, path).map_or_else(Capabilities::default, |rules| rules.capabilities).names()
    }

    /// Whether anything at or below the path of a mount (ending in `/`) may be done: such mounts are shown to the token.
    pub fn mount_visible(&self, mount: &str) -> bool {
        if self.root || self.rules(true, mount).is_some_and(|rules| rules.capabilities.grant()) {
            return true;
        }
        let grants = |path: &str, rules: &Rules| path.starts_with(mount) && rules.capabilities.grant();
        self.exact.iter().any(|(path, rules)| grants(path, rules))
            || self.prefixes.iter().any(|(path, rules)| grants(path, rules))
            || self.segments.iter().any(|(pattern, rules)| rules.capabilities.grant() && could_reach(pattern, mount))
    }

    fn rules(&self, list: bool, path: &str) -> Option<&Rules> {
        let path = path.trim_start_matches('/');
        // A list is of a folder, while rules mostly name it without the slash.
        let folder = if list { path.strip_suffix('/') } else { None };
        self.exact.get(path).or_else(|| self.exact.get(folder?)).or_else(|| self.by_pattern(path)).or_else(|| self.by_pattern(folder?))
    }

    fn by_pattern(&self, path: &str) -> Option<&Rules> {
        let prefix = self.longest_prefix(path).map(|(prefix, rules)| (Specificity::of_prefix(prefix), rules));
        let parts: Vec<&str> = if self.segments.is_empty() { Vec::new() } else { path.split('/').collect() };
        self.segments
            .iter()
            .filter(|(pattern, _)| segments_match(pattern, &parts))
            .map(|(pattern, rules)| (Specificity::of_segments(pattern), rules))
            .chain(prefix)
            .max_by(|(a, _), (b, _)| a.cmp(b))
            .map(|(_, rules)| rules)
    }

    fn longest_prefix(&self, path: &str) -> Option<(&str, &Rules)> {
        let mut at = path;
        loop {
            let (prefix, rules) = self.prefixes.range::<str, _>((Bound::Unbounded, Bound::Included(at))).next_back()?;
            if path.starts_with(prefix.as_str()) {
                return Some((prefix, rules));
            }
            // Every prefix of `path` that sorts before this one is within what the two have in common.
            at = common(prefix, at);
        }
    }
}

fn common<'a>(a: &str, b: &'a str) -> &'a str {
    let len = a.chars().zip(b.chars()).take_while(|(a, b)| a == b).map(|(_, b)| b.len_utf8()).sum();
    b.get(..len).unwrap_or_default()
}

fn merge_into(entry: std::collections::hash_map::Entry<'_, String, Rules>, rules: &Rules) {
    entry.and_modify(|mine| merge(mine, rules)).or_insert_with(|| rules.clone());
}

fn merge_into_ordered(map: &mut BTreeMap<String, Rules>, key: &str, rules: &Rules) {
    map.entry(key.to_owned()).and_modify(|mine| merge(mine, rules)).or_insert_with(|| rules.clone());
}

impl Rules {
    /// Whether an answer may be wrapped for this long, or not be wrapped. A minimum over the maximum, which two policies together can have, lets
    /// nothing pass.
    fn wrapping_passes(&self, ttl: Option<Duration>) -> bool {
        let (min, max) = (self.min_wrapping_ttl, self.max_wrapping_ttl);
        (min.is_zero() || ttl.is_some_and(|ttl| ttl >= min)) && (max.is_zero() || ttl.is_some_and(|ttl| ttl <= max))
    }
}

/// Adds the rules of another policy for the same pattern: `deny` wins; fields allowed, denied and required are those of both.
fn merge(mine: &mut Rules, other: &Rules) {
    let capabilities = mine.capabilities.union(other.capabilities);
    if capabilities.has(Capability::Deny) {
        *mine = Rules { capabilities, ..Rules::default() };
        return;
    }
    mine.capabilities = capabilities;
    mine.allowed.merge(&other.allowed);
    mine.denied.merge(&other.denied);
    for name in &other.required {
        if !mine.required.contains(name) {
            mine.required.push(name.clone());
        }
    }
    for (mine, other) in [(&mut mine.min_wrapping_ttl, other.min_wrapping_ttl), (&mut mine.max_wrapping_ttl, other.max_wrapping_ttl)] {
        if !other.is_zero() && (mine.is_zero() || other < *mine) {
            *mine = other;
        }
    }
}

/// How specific a pattern is. Fields in the order in which they decide, greater is more specific.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Specificity<'a> {
    first_wildcard: usize,
    whole: bool,
    fewer_wildcards: std::cmp::Reverse<usize>,
    len: usize,
    text: &'a str,
}

impl Specificity<'_> {
    fn of_prefix(prefix: &str) -> Specificity<'_> {
        Specificity { first_wildcard: prefix.len(), whole: false, fewer_wildcards: std::cmp::Reverse(0), len: prefix.len(), text: prefix }
    }

    fn of_segments(pattern: &str) -> Specificity<'_> {
        let text = pattern.strip_suffix('*').unwrap_or(pattern);
        Specificity {
            first_wildcard: pattern.find('+').unwrap_or(pattern.len()),
            whole: text.len() == pattern.len(),
            fewer_wildcards: std::cmp::Reverse(text.split('/').filter(|part| *part == "+").count()),
            len: text.len(),
            text,
        }
    }
}

/// Whether the pattern matches a path, given as its segments.
fn segments_match(pattern: &str, parts: &[&str]) -> bool {
    let (text, prefix) = pattern.strip_suffix('*').map_or((pattern, false), |text| (text, true));
    let wanted: Vec<&str> = text.split('/').collect();
    match parts.len().cmp(&wanted.len()) {
        Ordering::Less => return false,
        Ordering::Greater if !prefix => return false,
        _ => {}
    }
    let last = wanted.len() - 1;
    wanted
        .iter()
        .zip(parts)
        .enumerate()
        .all(|(at, (wanted, part))| *wanted == "+" || wanted == part || prefix && at == last && part.starts_with(wanted))
}

/// Whether a pattern could match something at or below a mount.
fn could_reach(pattern: &str, mount: &str) -> bool {
    let (text, prefix) = pattern.strip_suffix('*').map_or((pattern, false), |text| (text, true));
    let wanted: Vec<&str> = text.split('/').collect();
    let parts: Vec<&str> = mount.trim_end_matches('/').split('/').collect();
    let last = wanted.len() - 1;
    (prefix || wanted.len() > parts.len())
        && wanted
            .iter()
            .zip(&parts)
            .enumerate()
            .all(|(at, (wanted, part))| *wanted == "+" || wanted == part || prefix && at == last && part.starts_with(wanted))
}
