//! The section `contract`: what the contract promises, checked by doing it.

mod batches;
mod entries;
mod listing;
mod locks;
mod model;
mod physical;
mod scans;
mod seals;
mod together;

use cofferdam_runtime::World;

use crate::case::case;
use crate::{Case, Ground, OpenWith, Verdict};

/// What has to pass for anything else to be tried.
pub const OPENS: Case = case!("contract/opens", "It opens, with its settings and grants", opens);

async fn opens(ground: &Ground<'_>) -> Verdict {
    match ground.subject.info().world {
        World::Seal => ground.seal(OpenWith::again()).await.map(drop),
        World::Storage | World::StorageHa => ground.open(OpenWith::again()).await.map(drop),
    }
}

/// The checks of a storage, the plainest first.
const STORAGE: &[&[Case]] = &[physical::CASES, entries::CASES, listing::CASES, scans::CASES, batches::CASES, together::CASES, model::CASES];

/// The checks for a component of this world, without [`OPENS`].
pub fn cases(world: World) -> Vec<&'static Case> {
    let groups: &[&[&[Case]]] = match world {
        World::Storage => &[STORAGE],
        World::StorageHa => &[STORAGE, &[locks::CASES]],
        World::Seal => &[&[seals::CASES]],
    };
    groups.iter().copied().flatten().copied().flatten().collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use cofferdam_runtime::World;

    #[test]
    fn every_check_has_a_name_of_its_own() {
        let all: Vec<&str> = [World::StorageHa, World::Seal].into_iter().flat_map(super::cases).map(|case| case.id).collect();
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
        for id in all {
            let name = id.strip_prefix("contract/").unwrap();
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '-' || c.is_ascii_digit()), "{id}");
        }
    }
}
