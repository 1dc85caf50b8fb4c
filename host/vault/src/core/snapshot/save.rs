//! Taking a snapshot.

use cofferdam_backend::{Error as Backend, Storage};
use cofferdam_snapshot::{Finished, Meta, Writer};
use futures_util::future::try_join_all;
use tokio::sync::mpsc;

use super::super::{Core, SEAL_GRACE};
use super::is_ours;
use crate::logical::{Error, Result};

/// Entries on their way from the scan to the disk.
const ON_THEIR_WAY: usize = 256;
/// Entries that are asked for at once.
const PAGE: u32 = 256;
/// Parts of a storage that are read at once, if it makes use of that.
const SEGMENTS: u32 = 4;

impl Core {
    /// `GET sys/storage/raft/snapshot`: all entries as they are at one moment, at which no request is half done. What comes back holds a file without a name in the
    /// directory for temporary files. The caller has seen to it that the token may do this.
    pub async fn snapshot(&self) -> Result<Finished> {
        self.while_leading(Box::pin(self.snapshot_now())).await
    }

    async fn snapshot_now(&self) -> Result<Finished> {
        let _turn = self.snapshots.lock().await;
        let (out, mut entries) = mpsc::channel::<cofferdam_backend::Entry>(ON_THEIR_WAY);
        let following = {
            // No request is half done, nor any change of keys.
            let busy =
                |_| Error::Storage(Backend::Unavailable(format!("requests were under way for {SEAL_GRACE:?}; take the snapshot again")));
            let _requests = tokio::time::timeout(SEAL_GRACE, self.requests.write()).await.map_err(busy)?;
            self.active()?;
            let _still = tokio::time::timeout(SEAL_GRACE, self.unsealer().still()).await.map_err(busy)?;
            self.lined.draw(SEAL_GRACE, out).await?
        };
        let written = tokio::task::spawn_blocking(move || {
            // Only its directory counts.
            let mut writer = Writer::create(std::env::temp_dir().join("snapshot"), Meta::default())?;
            while let Some(entry) = entries.blocking_recv() {
                if !is_ours(&entry.key) {
                    writer.put(&entry.key, entry.value.into())?;
                }
            }
            writer.ended()
        });
        let segments = if self.lined.descriptor().features.parallel_scan { SEGMENTS } else { 1 };
        let followed = try_join_all((0..segments).map(|segment| following.follow(segment, segments, PAGE))).await;
        let ended = match followed {
            Ok(_) => following.end().await,
            Err(error) => {
                drop(following);
                Err(error)
            }
        };
        // What is wrong with the disk says more than that nobody took the entries.
        let written = written.await.map_err(|error| Error::Internal(format!("the writing of a snapshot ended: {error}")))?;
        let mut finished = written.map_err(|error| Error::Refused(format!("the snapshot could not be laid aside: {error}")))?;
        ended?;
        let sealed = self.unsealer().seal_sums(finished.sums()).await?;
        finished.seal(sealed).map_err(|error| Error::Internal(error.to_string()))?;
        tracing::info!(entries = finished.entries(), "snapshot taken");
        Ok(finished)
    }
}
