//! Whether one storage may take another's place while the vault runs on it: it must hold all that the other held, and promise all that the other
//! promised.

use cofferdam_backend::Descriptor;

/// The differences that would break what was promised; empty if there are none.
pub(crate) fn differences(promised: &Descriptor, new: &Descriptor) -> Vec<String> {
    let mut differences = Vec::new();
    let (old, other) = (promised.features, new.features);
    // Locks and knowledge of folders are kept for the one kind or for the other.
    if old.atomic_folders != other.atomic_folders {
        differences.push(format!("atomic-folders is {}, and was {}", other.atomic_folders, old.atomic_folders));
    }
    for (name, had, has) in
        [("atomic-batch", old.atomic_batch, other.atomic_batch), ("parallel-scan", old.parallel_scan, other.parallel_scan)]
    {
        if had && !has {
            differences.push(format!("{name} is false, and was true"));
        }
    }
    let (old, other) = (promised.limits, new.limits);
    for (name, had, has) in [
        ("key", u64::from(old.key), u64::from(other.key)),
        ("segment", old.segment.into(), other.segment.into()),
        ("value", old.value, other.value),
        ("batch-operations", old.batch_operations.into(), other.batch_operations.into()),
        ("batch-bytes", old.batch_bytes, other.batch_bytes),
    ] {
        if has < had {
            differences.push(format!("the limit {name} is {has}, and was {had}"));
        }
    }
    differences
}

#[cfg(test)]
mod tests {
    use cofferdam_backend::{Features, Limits};

    use super::*;

    #[test]
    fn a_limit_may_grow_and_a_promise_be_added_but_nothing_may_shrink() {
        let limits = Limits { key: 100, segment: 50, value: 1000, batch_operations: 8, batch_bytes: 4000 };
        let features = Features { atomic_batch: true, parallel_scan: false, atomic_folders: false };
        let old = Descriptor { name: "a".to_owned(), version: "1.0.0".to_owned(), features, limits };
        let mut more = Descriptor { version: "2.0.0".to_owned(), ..old.clone() };
        more.features.parallel_scan = true;
        more.limits.value = 2000;
        assert!(differences(&old, &old).is_empty() && differences(&old, &more).is_empty());
        assert_eq!(differences(&more, &old), ["parallel-scan is false, and was true", "the limit value is 1000, and was 2000"]);
        for atomic_folders in [false, true] {
            let mut old = old.clone();
            old.features.atomic_folders = !atomic_folders;
            let mut new = old.clone();
            new.features.atomic_folders = atomic_folders;
            assert_eq!(differences(&old, &new), [format!("atomic-folders is {atomic_folders}, and was {}", !atomic_folders)]);
        }
    }
}
