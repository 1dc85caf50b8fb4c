//! The contract 0.1: its generated bindings, and how its types become those of `cofferdam-backend`.

mod aws;
mod seal;
mod storage;

use std::sync::atomic::Ordering;
use std::time::Duration;

use cofferdam_backend as backend;
use wasmtime::component::{HasSelf, Linker};

pub(crate) use self::aws::link as link_aws;
use self::bindings::cofferdam::backend::log;
use self::bindings::cofferdam::backend::types::Part;
pub(crate) use self::bindings::cofferdam::backend::types::{Error, Limits, Setting};
pub(crate) use self::bindings::exports::cofferdam::backend as exports;
pub(crate) use self::seal::SealContract;
pub(crate) use self::storage::{StorageContract, StorageExports, descriptor};
use crate::breach::{Breach, contract};
use crate::log::{Level, bounded};
use crate::state::State;

/// The versions of the contract that this host runs. A component of 0.1.x runs on a host that knows 0.1.
pub const CONTRACT_VERSIONS: &[&str] = &["0.1"];

mod bindings {
    wasmtime::component::bindgen!({
        path: "../../wit",
        // One world with everything, to have every type once; a component has one of the worlds that it is made of.
        inline: "
            package cofferdam:host;
            world every {
                include cofferdam:backend/storage-backend-ha@0.1.0;
                include cofferdam:backend/seal-backend@0.1.0;
            }
        ",
        world: "cofferdam:host/every",
        imports: {
            "cofferdam:backend/aws.send": async | trappable,
            "cofferdam:backend/fencing.current": trappable,
            "cofferdam:backend/log.write": trappable,
        },
        exports: { default: async },
    });
}

/// Links the contract's own imports that need no grant.
pub(crate) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    log::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    aws::link_fencing(linker)
}

impl log::Host for State {
    fn write(&mut self, level: log::Level, message: String) -> wasmtime::Result<()> {
        self.pass("cofferdam:backend/log.write")?;
        if self.quiet.load(Ordering::Relaxed) {
            return Ok(());
        }
        let level = match level {
            log::Level::Trace => Level::Trace,
            log::Level::Debug => Level::Debug,
            log::Level::Info => Level::Info,
            log::Level::Warn => Level::Warn,
            log::Level::Error => Level::Error,
        };
        self.log.write(level, &message);
        Ok(())
    }
}

impl From<Error> for backend::Error {
    fn from(error: Error) -> backend::Error {
        match error {
            Error::Unavailable(text) => backend::Error::Unavailable(bounded(&text)),
            Error::Throttled(delay) => backend::Error::Throttled(Duration::from_millis(delay.into())),
            Error::InvalidKey(text) => backend::Error::InvalidKey(bounded(&text)),
            Error::TooLarge(excess) => backend::Error::TooLarge {
                part: match excess.what {
                    Part::Key => backend::Part::Key,
                    Part::Segment => backend::Part::Segment,
                    Part::Value => backend::Part::Value,
                    Part::Batch => backend::Part::Batch,
                },
                size: excess.size,
                limit: excess.limit,
            },
            Error::Configuration(text) => backend::Error::Configuration(bounded(&text)),
            Error::Denied(text) => backend::Error::Denied(bounded(&text)),
            Error::Corrupt(text) => backend::Error::Corrupt(bounded(&text)),
            Error::Conflict(text) => backend::Error::Conflict(bounded(&text)),
            Error::Unsupported(text) => backend::Error::Unsupported(bounded(&text)),
            Error::Exhausted(text) => backend::Error::Exhausted(bounded(&text)),
        }
    }
}

/// Name and version of a descriptor, as the contract has them.
pub(crate) fn check_identity(name: &str, version: &str) -> Result<(), Breach> {
    let name_fits = (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !name_fits {
        return Err(contract(format!("the descriptor's name {:?} is not 1 to 64 of a-z, 0-9 and -", bounded(name))));
    }
    let core = version.split(['-', '+']).next().unwrap_or_default();
    let number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let fits = version.len() <= 64 && core.split('.').count() == 3 && core.split('.').all(number);
    if !fits || version.chars().any(|c| !c.is_ascii_graphic()) {
        return Err(contract(format!("the descriptor's version {:?} is none of semver", bounded(version))));
    }
    Ok(())
}
