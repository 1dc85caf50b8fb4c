//! One side of a comparison: a target, and all repetitions that a file holds of it.

use super::Measure;
use crate::report::go_duration;
use crate::results::Load;
use crate::results::Metrics;
use crate::results::TOTAL;
use crate::results::Target;
use crate::results::natural;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

/// A target and its repetitions.
pub(super) struct Side<'a> {
    pub(super) address: &'a str,
    pub(super) repetitions: Vec<&'a BTreeMap<String, Metrics>>,
    /// Requests of each repetition that were due and never sent; none where that is not known.
    unsent: Vec<Option<u64>>,
    load: Option<&'a Load>,
}

/// The targets in the order in which they first occur; results of one address are its repetitions.
pub(super) fn sides(targets: &[Target]) -> Vec<Side<'_>> {
    let mut sides: Vec<Side<'_>> = Vec::new();
    for target in targets {
        let mut repetitions: Vec<_> = target.details.iter().flat_map(|details| &details.repetitions).collect();
        if repetitions.is_empty() {
            repetitions.push(&target.metrics);
        }
        let known = target.details.as_ref().map(|details| &details.unsent);
        let unsent = (0..repetitions.len()).map(|number| Some(known?.get(number).copied().unwrap_or(0)));
        match sides.iter_mut().find(|side| side.address == target.target_addr) {
            Some(side) => {
                side.unsent.extend(unsent);
                side.repetitions.extend(repetitions);
            }
            None => {
                let (unsent, load) = (unsent.collect(), target.details.as_ref().map(|details| &details.load));
                sides.push(Side { address: &target.target_addr, repetitions, unsent, load });
            }
        }
    }
    sides
}

impl<'a> Side<'a> {
    fn tests(&self) -> BTreeSet<&'a str> {
        self.repetitions.iter().flat_map(|repetition| repetition.keys()).map(String::as_str).collect()
    }

    /// The tests of both sides in natural order, the total last; and those of one, with its name.
    pub(super) fn tests_with(&self, other: &Self) -> (Vec<&'a str>, Vec<(&str, &'static str)>)
    where
        Self: 'a,
    {
        let (here, there) = (self.tests(), other.tests());
        let is_test = |test: &&str| *test != TOTAL;
        let mut both: Vec<&str> = here.iter().copied().filter(|test| there.contains(test)).filter(is_test).collect();
        both.sort_by(|one, two| natural(one, two));
        if !both.is_empty() && here.contains(TOTAL) && there.contains(TOTAL) {
            both.push(TOTAL);
        }
        let mut others: Vec<_> = here.difference(&there).copied().filter(is_test).map(|test| (test, "A")).collect();
        others.extend(there.iter().copied().filter(|test| !here.contains(test)).filter(is_test).map(|test| (test, "B")));
        (both, others)
    }

    /// The figure of each repetition that sent a request.
    pub(super) fn figures(&self, test: &str, measure: Measure) -> Vec<f64> {
        let found = self.repetitions.iter().filter_map(|repetition| repetition.get(test));
        found.filter(|metrics| metrics.requests > 0).map(|metrics| measure.of(metrics)).collect()
    }

    /// Whether requests were due and never sent.
    pub(super) fn is_overloaded(&self) -> bool {
        self.unsent.iter().flatten().any(|unsent| *unsent > 0)
    }

    /// Of the requests that were due in each repetition the share that was never sent.
    #[expect(clippy::cast_precision_loss, reason = "counts of requests")]
    pub(super) fn unsent(&self) -> Vec<f64> {
        let share = |(repetition, unsent): (&&BTreeMap<String, Metrics>, &Option<u64>)| {
            let (sent, unsent) = (repetition.get(TOTAL)?.requests, (*unsent)?);
            Some(unsent as f64 / sent.saturating_add(unsent).max(1) as f64)
        };
        self.repetitions.iter().zip(&self.unsent).filter_map(share).collect()
    }
}

/// Results of different loads cannot be told apart from results of different servers.
pub(super) fn differing_load(before: &Side<'_>, after: &Side<'_>) -> Vec<String> {
    let (Some(one), Some(two)) = (before.load, after.load) else { return Vec::new() };
    let mut notes = Vec::new();
    let mut differ = |name: &str, one: String, two: String| {
        if one != two {
            notes.push(format!("the loads differ: {name} {one} in A and {two} in B"));
        }
    };
    differ("workers", one.workers.to_string(), two.workers.to_string());
    differ("rps", one.rps.to_string(), two.rps.to_string());
    differ("duration", go_duration(one.duration), go_duration(two.duration));
    if one.interrupted || two.interrupted {
        notes.push("a run was stopped before its end".to_owned());
    }
    notes
}
