//! Key material in pages of its own: locked in memory, left out of core dumps, wiped on drop.
//!
//! The rule: a key that outlives one call is a [`Secret`]. Its bytes are never copied to the heap; whoever needs a cipher builds
//! it from them for one operation. Pages are locked one by one: locking all of the process (`mlockall`) would pin the address
//! space that wasm instances reserve.

use std::sync::Once;

use memmap2::MmapMut;
use zeroize::Zeroize;

use crate::logical::{Error, Result};

/// Bytes of a key. It has neither `Debug` nor `Clone`.
pub struct Secret {
    page: MmapMut,
}

impl Secret {
    /// A page for `len` bytes, filled in place by `fill`, so that the key is nowhere else.
    pub fn fill_with(len: usize, fill: impl FnOnce(&mut [u8]) -> Result<()>) -> Result<Secret> {
        let page = MmapMut::map_anon(len).map_err(|error| Error::Internal(format!("no memory for key material: {error}")))?;
        if let Err(error) = page.lock() {
            warn_unlocked(&error);
        }
        #[cfg(target_os = "linux")]
        if let Err(error) = page.advise(memmap2::Advice::DontDump) {
            tracing::warn!(%error, "key material cannot be kept out of core dumps");
        }
        // Wiped by drop also if filling fails.
        let mut secret = Secret { page };
        fill(&mut secret.page)?;
        Ok(secret)
    }

    /// A new random key of 32 bytes.
    pub fn random() -> Result<Secret> {
        Secret::fill_with(32, crate::crypto::fill)
    }

    /// A copy of `bytes`, which the caller wipes.
    pub fn from_slice(bytes: &[u8]) -> Result<Secret> {
        Secret::fill_with(bytes.len(), |page| {
            page.copy_from_slice(bytes);
            Ok(())
        })
    }

    /// The key itself.
    pub fn expose(&self) -> &[u8] {
        &self.page
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.page.as_mut().zeroize();
    }
}

fn warn_unlocked(error: &std::io::Error) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing::warn!(
            %error,
            "key material cannot be locked in memory and may be written to swap; \
             raise the limit RLIMIT_MEMLOCK (LimitMEMLOCK= of the service) or turn swap off"
        );
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_holds_what_it_was_given() {
        assert_eq!(Secret::from_slice(&[7; 33]).unwrap().expose(), [7; 33]);
    }

    #[test]
    fn random_secrets_differ() {
        let (a, b) = (Secret::random().unwrap(), Secret::random().unwrap());
        assert_eq!(a.expose().len(), 32);
        assert_ne!(a.expose(), b.expose());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn its_page_is_locked_and_left_out_of_dumps() {
        let secret = Secret::random().unwrap();
        let address = secret.expose().as_ptr() as usize;
        let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut inside = false;
        let mut flags = String::new();
        for line in smaps.lines() {
            if let Some((from, to)) = line.split(' ').next().and_then(|range| range.split_once('-'))
                && let (Ok(from), Ok(to)) = (usize::from_str_radix(from, 16), usize::from_str_radix(to, 16))
            {
                inside = (from..to).contains(&address);
            } else if inside && line.starts_with("VmFlags:") {
                flags = line.to_owned();
            }
        }
        assert!(flags.contains(" lo") && flags.contains(" dd"), "flags of the page: {flags:?}");
    }
}
