//! `cargo xtask test`: one command for every test there is. The end-to-end tests are Rust tests as the others are, so that
//! cargo's own summary counts them; they find the server, the guests and the tools by environment variables.

use anyhow::Result;

use crate::stage::{Stages, run as run_command};
use crate::{build, fetch};

/// Builds what the tests start, then runs them in the same profile, so that nothing is compiled twice.
pub(crate) fn run(stages: &mut Stages, full: bool, filter: &[String]) -> Result<()> {
    build::run(stages)?;
    fetch::run(stages)?;
    fetch::servers(stages)?;
    // Compiled on their own first: else the time of the tests would hide the time of the compiler.
    stages.stage("compile the tests", |stages| run_command(stages.cargo().args(["test", "--release", "--workspace", "--no-run"])))?;
    stages.stage("tests of the guests' own logic", |stages| {
        run_command(stages.cargo().current_dir(stages.root().join("guests")).args(["test", "--release", "--workspace"]))
    })?;
    stages.stage("tests", |stages| {
        let root = stages.root();
        let mut command = stages.cargo();
        command.args(["test", "--release", "--workspace", "--no-fail-fast"]);
        command.env("COFFER_BIN", root.join("target/release/coffer"));
        command.env("COFFER_PROXY_BIN", root.join("target/release/coffer-proxy"));
        command.env("GUESTS_DIR", root.join("target/guests"));
        command.env("TOOLS_DIR", fetch::tools(root));
        if full {
            command.env("COFFERDAM_FULL", "1");
        }
        if !filter.is_empty() {
            command.arg("--").args(filter);
        }
        run_command(&mut command)
    })
}
