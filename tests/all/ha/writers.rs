//! Clients that write numbers that only grow, each to an entry of its own, and remember what was acknowledged.
//!
//! They ask every server in turn: one that is not the active one must refuse, and one that answers must not be behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cofferdam_vault::logical::Operation;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::cluster::Cluster;

const WRITERS: u64 = 3;

/// What one writer knows.
#[derive(Debug, Default)]
struct Ledger {
    /// The last value that was acknowledged.
    acknowledged: u64,
    /// The last that was sent.
    tried: u64,
    /// How many were acknowledged.
    count: u64,
}

/// Writers at work.
pub(super) struct Writers {
    over: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<Ledger>>,
}

impl Writers {
    pub(super) fn start(cluster: &Arc<Cluster>) -> Writers {
        let over = Arc::<AtomicBool>::default();
        let tasks = (0..WRITERS).map(|writer| tokio::spawn(write(Arc::clone(cluster), writer, Arc::clone(&over)))).collect();
        Writers { over, tasks }
    }

    /// Ends them. What they were told must be there. Returns how many writes were acknowledged.
    pub(super) async fn finish(self, cluster: &Cluster) -> u64 {
        self.over.store(true, Ordering::SeqCst);
        let mut count = 0;
        for (writer, task) in self.tasks.into_iter().enumerate() {
            let ledger = task.await.unwrap();
            let stored = cluster.get(&format!("w{writer}")).await.as_u64().unwrap();
            // A later one may have taken effect without an answer.
            assert!((ledger.acknowledged..=ledger.tried).contains(&stored), "writer {writer}: {stored} is stored, {ledger:?}");
            count += ledger.count;
        }
        count
    }
}

async fn write(cluster: Arc<Cluster>, writer: u64, over: Arc<AtomicBool>) -> Ledger {
    let path = format!("s/w{writer}");
    let mut ledger = Ledger::default();
    while !over.load(Ordering::SeqCst) {
        for (number, server) in cluster.servers.iter().enumerate() {
            let tried = ledger.tried + 1;
            ledger.tried = tried;
            if let Some(Ok(_)) = server.call(&cluster.root, Operation::Update, &path, json!({ "v": tried })).await {
                ledger.acknowledged = tried;
                ledger.count += 1;
            }
            if let Some(Ok(read)) = server.call(&cluster.root, Operation::Read, &path, Value::Null).await {
                let read = read["v"].as_u64().unwrap();
                assert!((ledger.acknowledged..=tried).contains(&read), "server {number} read {read}: {ledger:?}");
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    ledger
}
