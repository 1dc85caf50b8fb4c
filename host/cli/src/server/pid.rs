//! The file with the process's id.

use crate::exit::Failure;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Removed when dropped.
pub(crate) struct PidFile(PathBuf);

impl PidFile {
    /// Writes the id, in place of what a server that was killed has left. Everybody may read it.
    pub(crate) fn write(path: &Path) -> Result<Self, Failure> {
        let fail = |error: std::io::Error| Failure::failed(format!("pid_file {}: cannot be written: {error}", path.display()));
        std::fs::write(path, std::process::id().to_string()).map_err(fail)?;
        let file = Self(path.to_owned());
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).map_err(fail)?;
        Ok(file)
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "the pid file could not be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::PidFile;

    #[test]
    fn the_file_holds_the_id_while_the_server_runs() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pid");
        std::fs::write(&path, "left by a killed server").unwrap();
        let file = PidFile::write(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), std::process::id().to_string());
        drop(file);
        assert!(!path.exists());
        assert!(PidFile::write(&directory.path().join("missing/pid")).is_err());
    }
}
