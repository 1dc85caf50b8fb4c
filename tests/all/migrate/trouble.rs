//! Ends that have a bad day: a source and a destination that DynamoDB throttles, and a disk that is really full.

use std::process::Command;

use cofferdam_emulator::{Action, Client, Dynalite, Proxy, Rule};
use cofferdam_tests::table::{Table, item};

use super::tables::table;
use super::{DONE, LONG, coffer, config, directory, finish, fresh, run, store, stored, text};

const THROTTLED: Action = Action::Refuse("ProvisionedThroughputExceededException");
const READS: [&str; 4] = ["Scan", "Query", "GetItem", "BatchGetItem"];

/// The exit code of `sh` where the test may not mount anything.
const NO_MOUNT: i32 = 99;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_throttled_table_makes_it_slow_and_loses_nothing() {
    let dynalite = Dynalite::start(0).unwrap();
    Client::new(dynalite.endpoint()).create_table("old").await.unwrap();
    for number in 0..40 {
        Table::new(dynalite.endpoint(), "old").put_item(item(&format!("logical/m/k{number}"), b"value")).await.unwrap();
    }
    let proxy = Proxy::start(&dynalite).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let to = fresh(dir.path(), "to");
    proxy.rule(Rule::new(THROTTLED).of(&READS).percent(40));
    let said = run(&config(dir.path(), &table(proxy.endpoint(), "old"), &directory(&to)), &[], 0);
    assert!(said.contains(DONE) && stored(&to).len() == 40, "{said}");
    let refused = proxy.requests().len();
    proxy.rule(Rule::new(THROTTLED).of(&["PutItem", "BatchWriteItem", "TransactWriteItems"]).percent(30));
    let said = run(&config(dir.path(), &directory(&to), &table(proxy.endpoint(), "new")), &[], 0);
    assert!(said.contains(DONE) && proxy.requests().len() > refused, "{said}");
    assert_eq!(Table::new(dynalite.endpoint(), "new").entries().await.unwrap().len(), 40);
}

#[test]
fn a_disk_that_is_full_is_named_and_with_room_the_same_command_ends_the_work() {
    let dir = tempfile::tempdir().unwrap();
    let (from, disk, after) = (fresh(dir.path(), "from"), fresh(dir.path(), "disk"), fresh(dir.path(), "after"));
    for number in 0..300 {
        store(&from, &format!("logical/m/{number}"), &[b'x'; 8_000]);
    }
    let config = config(dir.path(), &directory(&from), &directory(&disk));
    // A file system of its own that only this process and its children see, and that ends with them.
    let script = "mount -t tmpfs -o size=1m,mode=0700 tmpfs \"$2\" || exit 99; \"$0\" migrate --config \"$1\"; echo \"code $?\"; \
                  mount -o remount,size=64m \"$2\" || exit 98; \"$0\" migrate --config \"$1\"; echo \"again $?\"; cp -a \"$2/.\" \"$3/\"";
    let mut command = Command::new("unshare");
    let binary = coffer();
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script]);
    command.arg(binary.get_program()).args([&config, &disk, &after]);
    command.envs(binary.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = finish(&mut command, LONG);
    let said = text(&output);
    if output.status.code() == Some(NO_MOUNT) || said.contains("unshare:") {
        println!("nothing may be mounted here; what a full disk does is tested with a limit of a file's size elsewhere");
        return;
    }
    let (first, second) = said.split_once("code 2").unwrap_or_else(|| panic!("{said}"));
    assert!(!first.contains("Success") && !first.contains("panicked") && second.contains(DONE) && second.contains("again 0"), "{said}");
    assert_eq!(stored(&after), stored(&from));
}
