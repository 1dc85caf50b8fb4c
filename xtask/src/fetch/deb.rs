//! Servers from Debian's archive, for tests against the real thing: unpacked into `.tools/deb`, never installed, and their scripts not run.
//!
//! A machine that cannot have them (another distribution, another processor) goes without; there the tests that want them say that they are skipped, and
//! fail if `CI` is set.

use std::cell::OnceCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::stage::run;

/// A package, and the programs in it that the tests run.
struct Package {
    name: &'static str,
    version: &'static str,
    architecture: &'static str,
    sha256: &'static str,
    programs: &'static [&'static str],
}

/// Of Debian 12.
const PACKAGES: &[Package] = &[
    Package {
        name: "docker-registry",
        version: "2.8.2+ds1-1",
        architecture: "amd64",
        sha256: "a9bd06c0e006854608f8469b4371743f40604ad90975532bb3b7ceeb72fe2913",
        programs: &["usr/bin/docker-registry"],
    },
    Package {
        name: "etcd-server",
        version: "3.4.23-4+b4",
        architecture: "amd64",
        sha256: "3a9445d4560ad6de1c375756b2a17d97713df44cbd20a658c871fe108af7ef5d",
        programs: &["usr/bin/etcd"],
    },
];

/// Unpacks the packages, each into `NAME` in the folder, unless that has been done from the same pins.
pub(super) fn fetch(folder: &Path) -> Result<()> {
    let apt = Apt { lists: folder.join("lists"), updated: OnceCell::new() };
    fs::create_dir_all(apt.lists.join("partial"))?;
    let fetched = PACKAGES.iter().try_for_each(|package| unpack(package, &folder.join(package.name), &apt));
    fs::remove_dir_all(&apt.lists)?;
    fetched
}

fn unpack(package: &Package, to: &Path, apt: &Apt) -> Result<()> {
    let stamp = to.join("pin");
    let pin = format!("{} {}\n", package.version, package.sha256);
    let present = fs::read_to_string(&stamp).is_ok_and(|text| text == pin);
    if present && package.programs.iter().all(|program| to.join(program).is_file()) {
        println!("    {} is up to date", to.display());
        return Ok(());
    }
    let _ = fs::remove_dir_all(to);
    fs::create_dir_all(to)?;
    let wanted = format!("{}:{}={}", package.name, package.architecture, package.version);
    if let Err(reason) = apt.download(&wanted, to) {
        println!("    without {}: {reason}", package.name);
        return Ok(());
    }
    let mut files = fs::read_dir(to)?.filter_map(Result::ok).map(|entry| entry.path());
    let file = files.find(|path| path.extension().is_some_and(|extension| extension == "deb")).context("apt-get downloaded no file")?;
    let digest = hex::encode(Sha256::digest(fs::read(&file)?));
    if digest != package.sha256 {
        bail!("{} has the SHA-256 {digest}, expected {}", file.display(), package.sha256);
    }
    run(Command::new("dpkg-deb").arg("-x").arg(&file).arg(to))?;
    fs::remove_file(&file)?;
    for program in package.programs {
        if !to.join(program).is_file() {
            bail!("{program} is not in {}", package.name);
        }
    }
    fs::write(&stamp, pin)?;
    println!("    {} {} in {}", package.name, package.version, to.display());
    Ok(())
}

/// apt, with lists of our own where the machine has none: it takes them without being root.
struct Apt {
    lists: PathBuf,
    /// What came of the one update of our lists.
    updated: OnceCell<Result<(), String>>,
}

impl Apt {
    /// Downloads a package into the folder; an error says why it cannot.
    fn download(&self, wanted: &str, to: &Path) -> Result<(), String> {
        get(Command::new("apt-get").current_dir(to).args(["-q", "download", wanted])).or_else(|_| {
            self.updated.get_or_init(|| get(self.own().arg("update"))).clone()?;
            get(self.own().current_dir(to).args(["download", wanted]))
        })
    }

    fn own(&self) -> Command {
        let mut command = Command::new("apt-get");
        command.args(["-q", "-oAPT::Sandbox::User=root"]);
        command.args(["State::Lists", "Cache"].map(|name| format!("-oDir::{name}={}", self.lists.display())));
        command
    }
}

fn get(apt: &mut Command) -> Result<(), String> {
    match apt.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Err(format!("apt-get: {error}")),
    }
}
