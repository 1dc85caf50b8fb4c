//! What puts and deletes cost: requests and capacity units, beside Vault's algorithm on the same emulator. A unit is what DynamoDB bills: a write of up to 1 KiB, or a
//! consistent read of up to 4 KiB, and one for a read that finds nothing (which Dynalite forgets).

use std::fmt::Write as _;

use cofferdam_backend::Storage;
use cofferdam_emulator::Request;
use cofferdam_tests::table::Table;
use cofferdam_tests::table::vault::Vault;

use super::{Emulator, Ground, ground};
use crate::conformance::{delete, put};

/// Requests, write units and read units.
type Cost = (usize, f64, f64);

const VALUE: &str = "a value of about the size of a small secret, as the barrier leaves it: a hundred bytes and some more";

/// Keys of one, three and six segments: the first of its folders, and another beside it.
const KEYS: [(usize, &str, &str); 3] = [(1, "k", "l"), (3, "a/b/k", "a/b/l"), (6, "a/b/c/d/e/k", "a/b/c/d/e/l")];

/// What is done, in this order.
const STEPS: [&str; 5] = ["first put", "put beside it", "overwrite", "delete", "last delete"];

async fn costs(storage: &dyn Storage, ground: &Ground) -> Vec<Vec<Cost>> {
    ground.proxy.measure();
    let mut all = Vec::new();
    for (_, first, second) in KEYS {
        let mut row = Vec::new();
        for step in STEPS {
            ground.proxy.take();
            match step {
                "first put" | "overwrite" => put(storage, first, VALUE).await,
                "put beside it" => put(storage, second, VALUE).await,
                "delete" => delete(storage, second).await,
                _ => delete(storage, first).await,
            }
            let requests = ground.proxy.take();
            let reads = |operation: &str| matches!(operation, "Query" | "GetItem" | "BatchGetItem");
            let (read, written): (Vec<_>, Vec<_>) = requests.iter().partition(|request| reads(&request.operation));
            let sum = |requests: Vec<&Request>| requests.iter().fold(0.0, |sum, request| sum + request.units);
            row.push((requests.len(), sum(written), sum(read)));
        }
        assert!(ground.table.items().await.unwrap().is_empty());
        all.push(row);
    }
    all
}

/// As a table for the documentation.
fn shown(ours: &[Vec<Cost>], theirs: &[Vec<Cost>]) -> String {
    let mut text = "| depth | operation | requests | write units | read units | Vault: requests | write units | read units |\n".to_owned();
    text.push_str("|---|---|---|---|---|---|---|---|\n");
    for ((ours, theirs), (depth, ..)) in ours.iter().zip(theirs).zip(KEYS) {
        for ((our, their), step) in ours.iter().zip(theirs).zip(STEPS) {
            writeln!(text, "| {depth} | {step} | {} | {} | {} | {} | {} | {} |", our.0, our.1, our.2, their.0, their.1, their.2).unwrap();
        }
    }
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_folder_is_written_again_that_is_known_to_exist() {
    let (ours, theirs) = (ground(Emulator::Mini).await, ground(Emulator::Mini).await);
    let guest = costs(&*ours.open().await, &ours).await;
    let vault = costs(&Vault::new(Table::new(theirs.proxy.endpoint(), &theirs.name)), &theirs).await;
    let table = shown(&guest, &vault);
    println!("{table}");
    if let Some(file) = std::env::var_os("COFFERDAM_UNITS") {
        std::fs::write(file, &table).unwrap();
    }
    for (index, (depth, ..)) in KEYS.into_iter().enumerate() {
        let folders = depth - 1;
        let (our, their) = (&guest[index], &vault[index]);
        // The first put: a look at the marks, the missing ones in one request, the entry.
        assert_eq!(our[0], (if folders == 0 { 1 } else { 3 }, depth as f64, folders as f64), "{table}");
        // Puts where the folders are known: the entry alone, whatever the depth.
        assert_eq!((our[1], our[2]), ((1, 1.0, 0.0), (1, 1.0, 0.0)), "{table}");
        assert_eq!((their[1].1, their[2].1), (depth as f64, depth as f64), "Vault writes every mark each time: {table}");
        // A delete beside an entry that the host knows of: nothing but itself.
        assert_eq!(our[3], (1, 1.0, 0.0), "{table}");
        // The last: the entry, and for each folder a look and its mark.
        assert_eq!(our[4], (1 + 2 * folders, depth as f64, folders as f64), "{table}");
        for (our, their) in our.iter().zip(their) {
            assert!(our.1 <= their.1 && our.2 <= their.2 + folders as f64, "dearer than Vault: {table}");
        }
    }
}
