//! Two seals whose keys are in two regions: the loss of one region keeps the server neither sealed nor from being rekeyed.

use std::process::Command;

use cofferdam_emulator::{Keys, Kms, KmsEndpoint, NewKey};
use serde_json::{Value, json};

use super::process::{LIMIT, Setup, generate_root, initialise, reads, status, write};
use crate::e2e::process::{Server, succeed, until};

const WEST: &str = "eu-west-1";
const NORTH: &str = "eu-north-1";

/// A region whose KMS can be lost.
struct Region {
    key: String,
    port: u16,
    open: Option<KmsEndpoint>,
}

impl Region {
    async fn new(kms: &Kms, name: &str) -> Region {
        let open = kms.listen(0).await.unwrap();
        let port = open.url().rsplit(':').next().unwrap().parse().unwrap();
        Region { key: kms.create(NewKey::new(name)), port, open: Some(open) }
    }

    fn lose(&mut self) {
        self.open = None;
    }

    async fn back(&mut self, kms: &Kms) {
        self.open = Some(kms.listen(self.port).await.unwrap());
    }

    fn stanza(&self, name: &str, region: &str, priority: u32) -> String {
        format!(
            "seal \"awskms\" {{\n  name = \"{name}\"\n  priority = {priority}\n  region = \"{region}\"\n  kms_key_id = \"{}\"\n  \
             endpoint = \"http://127.0.0.1:{}\"\n  health_check_interval = \"1s\"\n  health_check_interval_unhealthy = \"300ms\"\n}}\n",
            self.key, self.port
        )
    }
}

struct Ground {
    kms: Kms,
    west: Region,
    north: Region,
    setup: Setup,
    token: String,
    shares: Vec<String>,
}

impl Ground {
    fn region(&mut self, name: &str) -> &mut Region {
        if name == "west" { &mut self.west } else { &mut self.north }
    }

    async fn back(&mut self, name: &str) {
        let region = if name == "west" { &mut self.west } else { &mut self.north };
        region.back(&self.kms).await;
    }
}

/// An initialised store under both, whose server is not running.
async fn ground() -> Ground {
    let kms = Kms::start().await.unwrap();
    let (west, north) = (Region::new(&kms, WEST).await, Region::new(&kms, NORTH).await);
    let setup = Setup::files(&Keys::any()).sealed_by(&[west.stanza("west", WEST, 1), north.stanza("north", NORTH, 2)]);
    let mut server = setup.start();
    let shares = initialise(&mut server, 2, 2);
    write(&server, "kept");
    server.stop();
    Ground { kms, west, north, setup, token: server.token.clone(), shares }
}

fn rekey(server: &Server, shares: &[String]) {
    let begun = server.done("PUT", "sys/rekey/init", Some(json!({"secret_shares": 1, "secret_threshold": 1})));
    let mut last = Value::Null;
    for share in shares {
        last = server.done("PUT", "sys/rekey/update", Some(json!({"key": share, "nonce": begun["nonce"]})));
    }
    assert_eq!(last["complete"], true, "{last}");
}

/// Whether the status names this seal among what is wrong.
fn degraded(server: &Server, name: &str) -> bool {
    status(server)["warnings"].to_string().contains(name)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn either_region_alone_unseals() {
    let mut ground = ground().await;
    for lost in ["west", "north"] {
        ground.region(lost).lose();
        let mut server = ground.setup.serve(&ground.token);
        reads(&server, "kept");
        until("the lost region in the status", &server, || degraded(&server, lost));
        // The recovery key is under both, too.
        assert!(generate_root(&server, &ground.shares).is_some(), "{}", server.log());
        ground.back(lost).await;
        until("the region's return in the status", &server, || !degraded(&server, lost));
        server.stop();
    }
    // Both lost, nothing opens: the regions are what unsealed.
    ground.west.lose();
    ground.north.lose();
    let server = ground.setup.start();
    until("a failed unseal", &server, || server.log().contains("failed to unseal core"));
    assert_eq!(status(&server)["sealed"], true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rekey_without_one_region_is_taken_over_by_it_when_it_returns() {
    for lost in ["west", "north"] {
        let mut ground = ground().await;
        let mut server = ground.setup.serve(&ground.token);
        ground.region(lost).lose();
        rekey(&server, &ground.shares);
        assert!(degraded(&server, lost), "{}", status(&server));
        // Also after a restart.
        server.stop();
        server = ground.setup.serve(&ground.token);
        reads(&server, "kept");
        until("the degraded seal in the status", &server, || degraded(&server, lost));

        ground.back(lost).await;
        until("the new wrap", &server, || !degraded(&server, lost));
        server.stop();

        // Now that one alone opens what the rekey made.
        ground.region(if lost == "west" { "north" } else { "west" }).lose();
        let server = ground.setup.serve(&ground.token);
        reads(&server, "kept");
        assert!(generate_root(&server, &ground.shares).is_some(), "{}", server.log());
    }
}

/// What there is of a lost region from before a rekey opens nothing, not even if the storage gives it back; and it is replaced.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_copy_of_before_a_rekey_is_not_used() {
    let mut ground = ground().await;
    let copies = ground.setup.data().join("core/cofferdam");
    let kept = ground.setup.dir().join("kept");
    succeed(Command::new("cp").arg("-a").arg(&copies).arg(&kept), LIMIT);
    let mut server = ground.setup.serve(&ground.token);
    ground.north.lose();
    rekey(&server, &ground.shares);
    server.stop();
    for stale in [false, true] {
        if stale {
            std::fs::remove_dir_all(&copies).unwrap();
            succeed(Command::new("cp").arg("-a").arg(&kept).arg(&copies), LIMIT);
        }
        ground.back("north").await;
        ground.west.lose();
        let server = ground.setup.start();
        until("a failed unseal", &server, || server.log().contains("failed to unseal core"));
        let told = if stale { "core/cofferdam/seal/stored-keys belongs to another" } else { "nothing there is of the seal \"north\"" };
        let log = server.log();
        assert!(log.contains(told), "{told:?} is not in\n{log}");
        assert_eq!(status(&server)["sealed"], true);
        drop(server);
        ground.back("west").await;
        ground.north.lose();
    }
    ground.back("north").await;
    let mut server = ground.setup.serve(&ground.token);
    reads(&server, "kept");
    until("the new wrap", &server, || status(&server).get("warnings").is_none());
    server.stop();
    ground.west.lose();
    reads(&ground.setup.serve(&ground.token), "kept");
}
