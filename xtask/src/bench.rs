//! `cargo xtask bench`: builds the measuring program and the server, then measures the performance budget of the design.

use anyhow::Result;

use crate::stage::{Stages, run as run_command};
use crate::{build, fetch};

/// Measures; an error when a row is below what the budget demands. Table on the terminal, figures in target/bench.json.
pub(crate) fn run(stages: &mut Stages, quick: bool, only: &[String]) -> Result<()> {
    build::run(stages)?;
    fetch::run(stages)?;
    if only.is_empty() || only.iter().any(|group| group == "proxy") {
        build::small(stages)?;
    }
    stages.stage("measuring program", |stages| {
        run_command(stages.cargo().args(["build", "--release", "--workspace", "--bin", "cofferdam-bench"]))
    })?;
    stages.stage("measure", |stages| {
        let root = stages.root();
        let mut command = std::process::Command::new(root.join("target/release/cofferdam-bench"));
        command.env("COFFER_BIN", root.join("target/release/coffer"));
        command.env("COFFER_PROXY_BIN", root.join("target/small/coffer-proxy"));
        command.env("GUESTS_DIR", root.join("target/guests"));
        command.env("TOOLS_DIR", fetch::tools(root));
        command.arg("--json").arg(root.join("target/bench.json"));
        if quick {
            command.arg("--quick");
        }
        for group in only {
            command.args(["--only", group]);
        }
        run_command(&mut command)
    })
}
