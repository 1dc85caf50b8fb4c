//! Compiled code kept between starts.
//!
//! Loading compiled code is trusting it: the engine runs what it is given. So the rule is: any doubt, and the component is compiled anew. The
//! directory must belong to us with no rights for others, and nobody but us and root may be able to replace it or anything
//! above it: every directory on its real path belongs to us or root and is not writable by group or others, except that a
//! sticky one (as /tmp) is taken if what lies in it on our path is ours. An entry is named by the digest of the component and of the engine, and begins with
//! a digest over both and the code, which finds damage by accident; whoever could forge it could as well be us.

use std::fs::{File, Permissions};
use std::hash::{Hash, Hasher};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

const DIGEST: usize = 32;

/// The largest entry that is read, in bytes.
const LARGEST: u64 = 1 << 30;

/// A directory that was found safe.
pub(crate) struct Cache {
    path: PathBuf,
    /// What the code depends on besides the component: version, target, settings.
    engine: [u8; DIGEST],
}

impl Cache {
    /// Opens the directory, or says why it is not safe.
    pub(crate) fn open(path: &Path, engine: &Engine) -> Result<Cache, String> {
        match std::fs::DirBuilder::new().mode(0o700).create(path) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(format!("it cannot be created: {error}")),
        }
        let path = path.canonicalize().map_err(|error| format!("it cannot be found: {error}"))?;
        check(&path)?;
        let mut hash = Sha(Sha256::new());
        engine.precompile_compatibility_hash().hash(&mut hash);
        Ok(Cache { path, engine: hash.0.finalize().into() })
    }

    /// The component's code, if it is there and whole.
    pub(crate) fn get(&self, engine: &Engine, sha256: &str) -> Option<Component> {
        let path = self.entry(sha256);
        let stored = match self.read(&path) {
            Ok(stored) => stored?,
            Err(reason) => {
                tracing::warn!(path = %path.display(), reason, "cached code is not used; the component is compiled");
                return None;
            }
        };
        let (digest, code) = stored.split_at_checked(DIGEST)?;
        if digest != self.digest(sha256, code) {
            tracing::warn!(path = %path.display(), "cached code is damaged; the component is compiled");
            return None;
        }
        load(engine, code)
            .inspect_err(|error| tracing::warn!(path = %path.display(), %error, "cached code does not load; the component is compiled"))
            .ok()
    }

    /// Keeps the component's code. Failure costs time at the next start, nothing else.
    pub(crate) fn put(&self, component: &Component, sha256: &str) {
        let path = self.entry(sha256);
        let kept =
            component.serialize().map_err(std::io::Error::other).and_then(|code| self.write(&path, &self.digest(sha256, &code), &code));
        if let Err(error) = kept {
            tracing::warn!(path = %path.display(), %error, "compiled code could not be cached");
        }
    }

    fn entry(&self, sha256: &str) -> PathBuf {
        let engine = hex::encode(self.engine.get(..8).unwrap_or_default());
        self.path.join(format!("{sha256}-{engine}.code"))
    }

    fn digest(&self, sha256: &str, code: &[u8]) -> [u8; DIGEST] {
        Sha256::new().chain_update(self.engine).chain_update(sha256).chain_update(code).finalize().into()
    }

    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, String> {
        let mut options = File::options();
        options.read(true).custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32);
        let mut file = match options.open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        let metadata = file.metadata().map_err(|error| error.to_string())?;
        if !metadata.is_file() || metadata.uid() != us() || metadata.mode() & 0o022 != 0 || metadata.len() > LARGEST {
            return Err("it is not a file of ours alone".to_owned());
        }
        let mut bytes = Vec::with_capacity(metadata.len() as usize);
        file.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        Ok(Some(bytes))
    }

    fn write(&self, path: &Path, digest: &[u8], code: &[u8]) -> std::io::Result<()> {
        let temporary = path.with_extension(format!("{}.new", std::process::id()));
        // Left over by a process of the same number that was killed.
        match std::fs::remove_file(&temporary) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(&temporary)?;
        file.set_permissions(Permissions::from_mode(0o600))?;
        file.write_all(digest)?;
        file.write_all(code)?;
        drop(file);
        std::fs::rename(&temporary, path)
    }
}

/// Makes a component of its code, which is trusted.
pub(crate) fn load(engine: &Engine, code: &[u8]) -> wasmtime::Result<Component> {
    #[expect(
        unsafe_code,
        reason = "the code is ours: our own compiler's, at once or kept, whole by its digest, in a directory private to us"
    )]
    unsafe {
        Component::deserialize(engine, code)
    }
}

fn us() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Whether nobody else can change what lies at this real path.
fn check(path: &Path) -> Result<(), String> {
    let metadata = path.metadata().map_err(|error| error.to_string())?;
    if !metadata.is_dir() || metadata.uid() != us() || metadata.mode() & 0o077 != 0 {
        return Err("it must be a directory of ours with mode 0700".to_owned());
    }
    let mut below_is_ours = true;
    for above in path.ancestors().skip(1) {
        let metadata = above.metadata().map_err(|error| format!("{}: {error}", above.display()))?;
        let trusted = metadata.uid() == us() || metadata.uid() == 0;
        let others_write = metadata.mode() & 0o022 != 0;
        let sticky = metadata.mode() & 0o1000 != 0;
        if !trusted || (others_write && !(sticky && below_is_ours)) {
            return Err(format!("{} above it can be changed by others", above.display()));
        }
        below_is_ours = metadata.uid() == us();
    }
    Ok(())
}

/// Collects what the engine hashes.
struct Sha(Sha256);

impl Hasher for Sha {
    fn finish(&self) -> u64 {
        0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
}
