//! Which mode of a broken guest each check is there to catch.

/// A mode with the checks that it is there for.
pub(super) struct Row {
    pub(super) mode: &'static str,
    pub(super) checks: &'static [&'static str],
    /// Those of its neighbours that cannot but fail with them.
    pub(super) also: &'static [&'static str],
}

const fn row(mode: &'static str, checks: &'static [&'static str], also: &'static [&'static str]) -> Row {
    Row { mode, checks, also }
}

pub(super) const STORAGE: &[Row] = &[
    row("does-not-open", &["contract/opens"], &[]),
    row(
        "keeps-empty-folders",
        &["contract/openbao-basics"],
        &[
            "contract/openbao-prefixes",
            "contract/keys-kept-apart",
            "contract/leaf-and-folder",
            "contract/batch-limits",
            "contract/folders-come-and-go",
            "contract/folders-after-opening-anew",
            "contract/batch-in-order",
            "contract/read-by-another",
            "contract/lock-hidden",
        ],
    ),
    row("after-is-inclusive", &["contract/openbao-ten-keys"], &["contract/openbao-basics", "contract/list-after"]),
    row(
        "hides-leaf-beside-folder",
        &["contract/openbao-prefixes"],
        &[
            "contract/openbao-basics",
            "contract/keys-kept-apart",
            "contract/leaf-and-folder",
            "contract/names-sort-by-bytes",
            "contract/list-after",
        ],
    ),
    row(
        "empty-value-is-none",
        &["contract/values-any-bytes"],
        &[
            "contract/values-replaced",
            "contract/names-sort-by-bytes",
            "contract/list-after",
            "contract/scan-cursor-lasts",
            "contract/batch-in-order",
        ],
    ),
    row("longer-value-keeps-its-tail", &["contract/values-replaced"], &["contract/restart"]),
    row("folds-case", &["contract/keys-kept-apart"], &["contract/names-sort-by-bytes"]),
    row(
        "delete-removes-below",
        &["contract/leaf-and-folder"],
        &["contract/openbao-basics", "contract/keys-kept-apart", "contract/delete-missing"],
    ),
    row(
        "delete-of-missing-fails",
        &["contract/delete-missing"],
        &["contract/openbao-basics", "contract/leaf-and-folder", "contract/batch-in-order"],
    ),
    row("largest-value-is-refused", &["contract/limits-to-the-byte"], &[]),
    row("largest-batch-loses-its-last", &["contract/batch-limits"], &[]),
    row("sorts-as-utf16", &["contract/names-sort-by-bytes"], &["contract/keys-kept-apart"]),
    row("after-must-exist", &["contract/list-after"], &["contract/openbao-basics", "contract/openbao-ten-keys"]),
    row("lists-five-hundred", &["contract/large-folder"], &[]),
    row("put-has-a-gap", &["contract/pages-under-writes"], &[]),
    row(
        "folder-is-listed-once",
        &["contract/folders-come-and-go"],
        &["contract/openbao-basics", "contract/leaf-and-folder", "contract/folders-after-opening-anew"],
    ),
    row(
        "forgets-nothing",
        &["contract/folders-after-opening-anew"],
        &["contract/openbao-basics", "contract/leaf-and-folder", "contract/folders-come-and-go"],
    ),
    row("scan-skips-deep-keys", &["contract/scan-complete"], &["contract/keys-kept-apart", "contract/scan-cursor-lasts"]),
    row("segment-by-position", &["contract/scan-segments-stay"], &[]),
    row("one-segment-has-all", &["contract/scan-parallel"], &[]),
    row("cursor-in-memory", &["contract/scan-cursor-lasts"], &[]),
    row("cursor-by-position", &["contract/scan-under-writes"], &[]),
    row("batch-ends-at-missing", &["contract/batch-in-order"], &[]),
    row("batch-backwards", &["contract/batch-seen-in-order"], &[]),
    row("batch-in-pieces", &["contract/batch-stopped", "fault/batch-kept"], &[]),
    row("put-in-halves", &["contract/whole-values", "contract/race-on-one-key"], &[]),
    row("delete-prunes-late", &["contract/race-in-one-folder"], &[]),
    row(
        "writes-into-memory",
        &["contract/instances-share-nothing", "contract/restart"],
        &["contract/folders-after-opening-anew", "contract/scan-cursor-lasts", "contract/read-by-another"],
    ),
    row(
        "caches-reads",
        &["contract/read-by-another"],
        &["contract/openbao-basics", "contract/values-replaced", "contract/keys-kept-apart", "contract/lock-and-entry"],
    ),
    row("after-without-slash", &["contract/random-operations"], &["contract/openbao-basics", "contract/list-after"]),
    row("seen-is-ignored", &["contract/lock-exclusion"], &["contract/lock-release", "contract/lock-expiry", "contract/lock-restart"]),
    row("expiry-is-not-compared", &["contract/lock-seen"], &["contract/lock-renew", "contract/lock-expiry"]),
    row("renew-stores-nothing", &["contract/lock-renew"], &["contract/lock-expiry", "contract/lock-clocks", "contract/lock-values"]),
    row("renew-revives", &["contract/lock-release"], &["contract/lock-renew"]),
    row("anyone-releases", &["contract/lock-strangers"], &["contract/lock-seen"]),
    row(
        "judges-expiry",
        &["contract/lock-expiry"],
        &[
            "contract/lock-exclusion",
            "contract/lock-renew",
            "contract/lock-strangers",
            "contract/lock-clocks",
            "contract/lock-values",
            "contract/lock-and-entry",
            "contract/lock-hidden",
            "contract/lock-several",
            "contract/lock-restart",
        ],
    ),
    row(
        "expiry-in-millis",
        &["contract/lock-clocks"],
        &[
            "contract/lock-exclusion",
            "contract/lock-seen",
            "contract/lock-renew",
            "contract/lock-strangers",
            "contract/lock-expiry",
            "contract/lock-values",
            "contract/lock-and-entry",
            "contract/lock-hidden",
            "contract/lock-several",
            "contract/lock-restart",
        ],
    ),
    row("value-as-text", &["contract/lock-values"], &[]),
    row("lock-is-an-entry", &["contract/lock-and-entry"], &["contract/lock-hidden"]),
    row("lists-locks", &["contract/lock-hidden"], &[]),
    row("one-lock-for-all", &["contract/lock-several"], &[]),
    row("looks-then-takes", &["contract/lock-race"], &[]),
    row(
        "locks-in-memory",
        &["contract/lock-restart"],
        &[
            "contract/lock-exclusion",
            "contract/lock-seen",
            "contract/lock-renew",
            "contract/lock-strangers",
            "contract/lock-expiry",
            "contract/lock-clocks",
            "contract/lock-values",
            "contract/lock-several",
        ],
    ),
    row("acknowledges-failed-writes", &["fault/import-fails"], &[]),
    row("denied-when-throttled", &["fault/throttled"], &[]),
    row("corrupt-when-lost", &["fault/answer-lost"], &[]),
    row("leaves-its-lock-file", &["fault/stopped"], &[]),
    row("gives-up-when-slow", &["fault/delayed"], &[]),
    row("nothing-when-it-fails", &["fault/reads-true"], &[]),
    row("counts-failed-pages", &["fault/pages-go-on"], &[]),
    row("marks-folders-late", &["fault/listings-whole"], &[]),
    row("one-case-for-all", &["fault/error-cases"], &[]),
    row("stays-down", &["fault/recovers"], &[]),
    row("begins-anew", &["fault/opening"], &[]),
    row("has-the-lock-if-unsure", &["fault/lock-fails"], &[]),
    row("lost-the-lock-if-unsure", &["fault/lock-answer-lost"], &[]),
    row("frees-before-it-takes", &["fault/lock-stopped"], &[]),
    row("wears-out", &["conduct/answers-after-many-calls"], &["conduct/within-limits"]),
    row("reaches-outside", &["conduct/nothing-refused"], &[]),
    row("leaks-handles", &["conduct/handles-do-not-grow"], &[]),
    row("leaks-memory", &["conduct/memory-does-not-grow"], &[]),
    row("hoards-memory", &["conduct/within-limits"], &[]),
    row(
        "answers-by-chance",
        &["conduct/same-answers"],
        &["conduct/answers-after-many-calls", "conduct/handles-do-not-grow", "conduct/memory-does-not-grow"],
    ),
    row("stumbles", &["cost/operations"], &[]),
];

pub(super) const SEALS: &[Row] = &[
    row("does-not-open", &["contract/opens"], &[]),
    row("ill", &["contract/seal-health"], &[]),
    row("loses-a-key", &["contract/seal-round-trip"], &["contract/seal-rotation"]),
    row("ignores-a-byte", &["contract/seal-tampering"], &[]),
    row("ignores-the-rest", &["contract/seal-length"], &[]),
    row("another-key-for-another-name", &["contract/seal-key-id"], &[]),
    row("forgets-when-opened", &["contract/seal-rotation"], &[]),
    row("mixes-up", &["contract/seal-together"], &[]),
    row("traps-on-rubbish", &["contract/seal-oversized"], &[]),
    row("betrays-a-key", &["contract/seal-split-knowledge"], &["contract/seal-round-trip", "contract/seal-rotation"]),
    row("one-case-for-all", &["fault/seal-fails"], &[]),
    row("corrupt-when-lost", &["fault/seal-answer-lost"], &[]),
    row("leaves-its-lock-file", &["fault/seal-stopped"], &[]),
    row("gives-up-when-slow", &["fault/seal-delayed"], &[]),
    row("begins-anew", &["fault/seal-opening"], &[]),
    row(
        "wears-out",
        &["conduct/answers-after-many-calls"],
        &["conduct/handles-do-not-grow", "conduct/memory-does-not-grow", "conduct/within-limits"],
    ),
    row("reaches-outside", &["conduct/nothing-refused"], &[]),
    row("leaks-handles", &["conduct/handles-do-not-grow"], &[]),
    row("leaks-memory", &["conduct/memory-does-not-grow"], &[]),
    row("hoards-memory", &["conduct/within-limits"], &[]),
    row("answers-by-chance", &["conduct/same-answers"], &[]),
    row("stumbles", &["cost/operations"], &[]),
];

/// Checks of the contract that every mode of the contract is tried on beside its own: quick ones, whose outcome does not depend on who is faster.
const NEIGHBOURS: &[&str] = &[
    "contract/openbao*",
    "contract/values*",
    "contract/keys-kept-apart",
    "contract/leaf-and-folder",
    "contract/delete-missing",
    "contract/limits-to-the-byte",
    "contract/batch-limits",
    "contract/names-sort-by-bytes",
    "contract/list-after",
    "contract/folders*",
    "contract/scan-parallel",
    "contract/scan-cursor-lasts",
    "contract/batch-in-order",
    "contract/read-by-another",
    "contract/restart",
    "contract/lock-exclusion",
    "contract/lock-seen",
    "contract/lock-re*",
    "contract/lock-strangers",
    "contract/lock-expiry",
    "contract/lock-clocks",
    "contract/lock-values",
    "contract/lock-and-entry",
    "contract/lock-hidden",
    "contract/lock-several",
    "contract/seal-health",
    "contract/seal-round-trip",
    "contract/seal-tampering",
    "contract/seal-length",
    "contract/seal-key-id",
    "contract/seal-rotation",
    "contract/seal-oversized",
    "contract/seal-split-knowledge",
];

impl Row {
    /// Whether a quick look is enough: which imports it steps in at is left to chance.
    pub(super) fn is_quick(&self) -> bool {
        !matches!(self.mode, "marks-folders-late" | "frees-before-it-takes")
    }

    /// What it is tried on.
    pub(super) fn tried_on(&self) -> Vec<String> {
        let beside: &[&str] = match self.checks.first().and_then(|id| id.split_once('/')) {
            // To wait for another that never comes takes long.
            Some(_) if self.mode == "mixes-up" => &[],
            Some(("contract", _)) => NEIGHBOURS,
            // They all judge by one course of calls.
            Some(("conduct", _)) => &["conduct"],
            _ => &[],
        };
        beside.iter().chain(self.checks).map(|id| (*id).to_owned()).collect()
    }
}
