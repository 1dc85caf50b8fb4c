//! What a probe sees of a backend's conduct, counted. The rule: whatever a guest does, what is kept of it is bounded. Of the texts that it chooses so many
//! are told apart, each up to a length, and the rest is counted together.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Mutex;
use std::time::Duration;

use cofferdam_runtime::{ImportCall, Probe, Step, Usage};

use crate::case::held;

/// The texts of one kind that are told apart.
const KINDS: usize = 1_000;
/// The longest text that is kept, in characters.
const LONGEST: usize = 200;
/// The calls of one operation whose computing time is kept.
const TIMES: usize = 20_000;
/// The calls of imports that are kept in their order.
const TRACE: usize = 50_000;

/// Texts, and how often each was seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counted {
    kinds: BTreeMap<String, u64>,
    others: u64,
}

impl Counted {
    pub(super) fn add(&mut self, text: &str) {
        let text = text.char_indices().nth(LONGEST).map_or(text, |(end, _)| text.get(..end).unwrap_or(text));
        if let Some(count) = self.kinds.get_mut(text) {
            *count += 1;
        } else if self.kinds.len() < KINDS {
            self.kinds.insert(text.to_owned(), 1);
        } else {
            self.others += 1;
        }
    }

    /// The most frequent, and how many calls named something else.
    pub(super) fn most(&self, number: usize) -> (Vec<(&str, u64)>, u64) {
        let mut all: Vec<(&str, u64)> = self.kinds.iter().map(|(text, count)| (text.as_str(), *count)).collect();
        all.sort_by(|(one, one_count), (other, other_count)| other_count.cmp(one_count).then(one.cmp(other)));
        let rest: u64 = all.iter().skip(number).map(|(_, count)| count).sum();
        all.truncate(number);
        (all, rest + self.others)
    }

    /// How often anything was seen.
    pub(super) fn total(&self) -> u64 {
        self.kinds.values().sum::<u64>() + self.others
    }
}

/// What calls of one operation used.
#[derive(Clone, Debug, Default)]
pub(crate) struct Used {
    pub(super) calls: u64,
    pub(super) cpu: Vec<Duration>,
    pub(super) cpu_most: Duration,
}

/// What some calls in a row left behind, on one instance.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Window {
    /// The fewest handles after a call; none before the first.
    pub(super) handles: Option<usize>,
    /// The most memory after a call, in bytes.
    pub(super) memory: usize,
}

/// A call of an import in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Traced {
    /// The operation of the course that was under way.
    pub(super) within: u32,
    pub(super) name: &'static str,
    detail: u64,
}

/// All that was seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watched {
    pub(super) imports: BTreeMap<&'static str, u64>,
    pub(super) paths: Counted,
    pub(super) hosts: Counted,
    pub(super) operations: Counted,
    pub(super) refused: Counted,
    pub(super) used: BTreeMap<&'static str, Used>,
    pub(super) windows: Vec<Window>,
    pub(super) memory_most: usize,
    pub(super) handles_most: usize,
    pub(super) trace: Vec<Traced>,
    counting: bool,
    within: Option<u32>,
}

impl Watched {
    /// The longest that a call computed, and its operation.
    pub(super) fn cpu_most(&self) -> Option<(&'static str, Duration)> {
        self.used.iter().map(|(operation, used)| (*operation, used.cpu_most)).max_by_key(|(_, most)| *most)
    }

    fn import(&mut self, call: ImportCall<'_>) {
        *self.imports.entry(call.name).or_default() += 1;
        match call.name {
            _ if call.detail.is_empty() => {}
            "cofferdam:backend/aws.send" => self.operations.add(call.detail),
            "wasi:http/outgoing-handler.handle" => {
                let (host, operation) = request(call.detail);
                self.hosts.add(&host);
                self.operations.add(&operation);
            }
            _ => self.paths.add(call.detail),
        }
        if let Some(within) = self.within
            && self.trace.len() < TRACE
        {
            let mut detail = DefaultHasher::new();
            call.detail.hash(&mut detail);
            self.trace.push(Traced { within, name: call.name, detail: detail.finish() });
        }
    }

    fn ended(&mut self, usage: Usage) {
        let used = self.used.entry(usage.operation).or_default();
        used.calls += 1;
        used.cpu_most = used.cpu_most.max(usage.cpu);
        if used.cpu.len() < TIMES {
            used.cpu.push(usage.cpu);
        }
        self.memory_most = self.memory_most.max(usage.memory);
        self.handles_most = self.handles_most.max(usage.handles);
        // Of a call that was ended by its deadline nothing is known.
        if let (true, Some(window)) = (self.counting && usage.memory > 0, self.windows.last_mut()) {
            window.handles = Some(window.handles.map_or(usage.handles, |fewest| fewest.min(usage.handles)));
            window.memory = window.memory.max(usage.memory);
        }
    }
}

/// Host and operation of `METHOD SCHEME://HOST/PATH`.
fn request(detail: &str) -> (String, String) {
    let (method, rest) = detail.split_once(' ').unwrap_or(("", detail));
    let (scheme, rest) = rest.split_once("://").unwrap_or(("", rest));
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    (format!("{scheme}://{authority}"), format!("{method} /{path}"))
}

/// The probe.
#[derive(Default)]
pub(super) struct Watcher(Mutex<Watched>);

impl Watcher {
    /// From here on calls are of a new window.
    pub(super) fn window(&self) {
        let mut watched = held(&self.0);
        watched.counting = true;
        watched.windows.push(Window::default());
    }

    /// From here on calls are of no window.
    pub(super) fn windows_end(&self) {
        held(&self.0).counting = false;
    }

    /// From here on calls of imports are kept in their order, as of this operation.
    pub(super) fn within(&self, operation: u32) {
        held(&self.0).within = Some(operation);
    }

    /// All that was seen.
    pub(super) fn take(&self) -> Watched {
        std::mem::take(&mut held(&self.0))
    }
}

impl Probe for Watcher {
    fn import(&self, call: ImportCall<'_>) -> Step {
        held(&self.0).import(call);
        Step::Go
    }

    fn refused(&self, what: &str) {
        held(&self.0).refused.add(what);
    }

    fn ended(&self, usage: Usage) {
        held(&self.0).ended(usage);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_bounded_and_none_is_lost_from_the_count() {
        let mut counted = Counted::default();
        for number in 0..KINDS + 500 {
            counted.add(&format!("{number:04} {}", "ä".repeat(1_000)));
        }
        (0..9).for_each(|_| counted.add("0007"));
        counted.add("0007");
        let (most, rest) = counted.most(3);
        assert_eq!((counted.kinds.len(), counted.total()), (KINDS, KINDS as u64 + 510));
        assert!(counted.kinds.keys().all(|text| text.chars().count() <= LONGEST));
        assert_eq!((most.len(), rest), (3, KINDS as u64 + 510 - most.iter().map(|(_, count)| count).sum::<u64>()));
    }

    #[test]
    fn the_most_frequent_come_first() {
        let mut counted = Counted::default();
        ["b", "a", "c", "b"].into_iter().for_each(|text| counted.add(text));
        assert_eq!(counted.most(2), (vec![("b", 2), ("a", 1)], 1));
    }

    #[test]
    fn requests_are_taken_apart() {
        let apart = |detail: &str| request(detail);
        assert_eq!(apart("POST http://a.test:8/v3/kv/put"), ("http://a.test:8".to_owned(), "POST /v3/kv/put".to_owned()));
        assert_eq!(apart("GET https://a.test"), ("https://a.test".to_owned(), "GET /".to_owned()));
    }

    #[test]
    fn windows_hold_what_calls_leave_and_not_what_a_deadline_ended() {
        let watcher = Watcher::default();
        let usage = |handles, memory| Usage {
            operation: "get",
            outcome: "ok",
            cpu: Duration::from_micros(5),
            elapsed: Duration::from_micros(9),
            memory,
            handles,
            imports: 0,
        };
        watcher.ended(usage(9, 90));
        watcher.window();
        [usage(3, 10), usage(2, 20), usage(0, 0)].into_iter().for_each(|usage| watcher.ended(usage));
        watcher.window();
        watcher.windows_end();
        watcher.ended(usage(7, 70));
        let watched = watcher.take();
        let windows: Vec<_> = watched.windows.iter().map(|window| (window.handles, window.memory)).collect();
        assert_eq!(windows, [(Some(2), 20), (None, 0)]);
        assert_eq!((watched.memory_most, watched.handles_most, watched.used["get"].calls), (90, 9, 5));
    }
}
