//! Where a server stores that is killed between two writes: a table in memory whose further changes are held back, or files whose changes are watched.

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cofferdam_emulator::{Action, Gate, Keys, Mini, Proxy, Rule};
use rustix::fs::inotify::{CreateFlags, Reader, WatchFlags, add_watch, init};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::super::process::{LIMIT, Setup};
use crate::e2e::process::succeed;

const TABLE: &str = "killed";
const CHANGES: [&str; 5] = ["PutItem", "DeleteItem", "UpdateItem", "BatchWriteItem", "TransactWriteItems"];

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Table,
    Files,
}

/// A store, and a server's configuration on it.
pub(super) struct Ground {
    pub(super) setup: Setup,
    kind: Kind,
    mini: Arc<Mini>,
    proxy: Proxy,
}

impl Ground {
    /// Nothing stored yet.
    pub(super) async fn new(kind: Kind, seals: &str) -> Ground {
        let mini = Arc::new(Mini::new());
        let proxy = Proxy::start(&mini).await.unwrap();
        let mut setup = match kind {
            Kind::Table => Setup::table(proxy.endpoint(), TABLE, &Keys::any()),
            Kind::Files => Setup::files(&Keys::any()),
        };
        seals.clone_into(&mut setup.seals);
        Ground { setup, kind, mini, proxy }
    }

    /// Another one that holds the same.
    pub(super) async fn copy(&self) -> Ground {
        let ground = Ground::new(self.kind, &self.setup.seals).await;
        match self.kind {
            Kind::Table => copy(&self.mini, &ground.mini),
            Kind::Files if self.setup.data().exists() => {
                succeed(Command::new("cp").arg("-a").arg(self.setup.data()).arg(ground.setup.data()), LIMIT);
            }
            Kind::Files => {}
        }
        ground
    }

    /// Counts changes from now on, so that a process can be killed once so many further ones have been made, and before another one is.
    pub(super) fn trap(&self, changes: u64) -> Trap {
        if self.kind == Kind::Files {
            let queue = init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).unwrap();
            add_watch(&queue, self.setup.data().join(".cofferdam"), WatchFlags::CREATE | WatchFlags::MOVED_FROM).unwrap();
            return Trap::Files(queue, changes);
        }
        let gate = Gate::shut();
        self.proxy.rule(Rule::new(Action::Hold(Arc::clone(&gate))).of(&CHANGES).after(changes));
        Trap::Table(gate)
    }

    /// What was held back never comes, and nothing is held back any more.
    pub(super) async fn heal(&mut self) {
        if self.kind == Kind::Table {
            self.proxy = Proxy::start(&self.mini).await.unwrap();
            self.setup.storage = Setup::table(self.proxy.endpoint(), TABLE, &Keys::any()).storage;
        }
    }
}

/// What a process that makes changes falls into.
pub(super) enum Trap {
    /// The change that comes next is held back here.
    Table(Arc<Gate>),
    /// What was done to files is told here, and so many changes pass.
    Files(OwnedFd, u64),
}

impl Trap {
    /// Kills the process when its time has come. Returns whether it did so before `over`.
    pub(super) async fn kill(self, process: u32, over: Arc<AtomicBool>) -> bool {
        let process = Pid::from_raw(process.try_into().unwrap()).unwrap();
        let gate = match self {
            Trap::Table(gate) => gate,
            Trap::Files(queue, changes) => {
                return tokio::task::spawn_blocking(move || watch(&queue, changes, process, &over)).await.unwrap();
            }
        };
        while !over.load(Ordering::SeqCst) {
            if tokio::time::timeout(Duration::from_millis(5), gate.reached_by(1)).await.is_ok() {
                kill_process(process, Signal::KILL).unwrap();
                return true;
            }
        }
        false
    }
}

fn call(mini: &Mini, operation: &str, body: &Value) -> Value {
    let (status, answer) = mini.call(operation, body.to_string().as_bytes());
    assert_eq!(status, 200, "{operation}: {answer}");
    answer
}

/// Puts everything of one table into another, which is made.
fn copy(from: &Mini, to: &Mini) {
    let name = json!({"TableName": TABLE});
    if from.call("DescribeTable", name.to_string().as_bytes()).0 != 200 {
        return;
    }
    let made = json!({
        "TableName": TABLE,
        "AttributeDefinitions": [{"AttributeName": "Path", "AttributeType": "S"}, {"AttributeName": "Key", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "Path", "KeyType": "HASH"}, {"AttributeName": "Key", "KeyType": "RANGE"}],
        "ProvisionedThroughput": {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5},
    });
    call(to, "CreateTable", &made);
    let mut page = json!({"TableName": TABLE, "ConsistentRead": true});
    loop {
        let found = call(from, "Scan", &page);
        for item in found["Items"].as_array().unwrap() {
            call(to, "PutItem", &json!({"TableName": TABLE, "Item": item}));
        }
        match found.get("LastEvaluatedKey") {
            Some(key) => page["ExclusiveStartKey"] = key.clone(),
            None => return,
        }
    }
}

/// Kills the process at the begin or the end of a write to a file: each has a temporary file made, and renamed to what it is for. How soon it dies is the
/// system's affair: some of the next write may be done, too.
fn watch(queue: &OwnedFd, changes: u64, process: Pid, over: &AtomicBool) -> bool {
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut reader = Reader::new(queue, &mut buffer);
    let mut seen = 0;
    loop {
        // Before the queue is looked at: all that the operation did is in it then.
        let over = over.load(Ordering::SeqCst);
        match reader.next() {
            Ok(event) => seen += u64::from(event.file_name().is_some_and(|name| name.to_bytes().ends_with(b".tmp"))),
            Err(Errno::WOULDBLOCK) if over => return false,
            Err(Errno::WOULDBLOCK) => std::thread::sleep(Duration::from_micros(50)),
            Err(error) => panic!("{error}"),
        }
        if seen > changes {
            kill_process(process, Signal::KILL).unwrap();
            return true;
        }
    }
}
