//! How much an input takes: processor time of the thread, and memory of the process.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The processor time of this thread, which a busy machine does not make longer.
pub(crate) fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or_default(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// The most memory that this process ever held, in bytes, or since [`forget_peak`]. None where the system does not say.
pub(crate) fn peak() -> Option<u64> {
    field("VmHWM:")
}

/// The memory that this process holds.
pub(crate) fn held() -> Option<u64> {
    field("VmRSS:")
}

/// Begins to measure the peak anew; false where the system does not let us.
pub(crate) fn forget_peak() -> bool {
    std::fs::write("/proc/self/clear_refs", "5").is_ok()
}

fn field(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_seen() {
        let (time, before) = (thread_time(), peak().unwrap());
        let taken = vec![1_u8; 64 << 20];
        let sum: u64 = taken.iter().map(|byte| u64::from(*byte)).sum();
        assert_eq!(sum, 64 << 20);
        assert!(thread_time() > time && held().unwrap() > 64 << 20 && peak().unwrap() >= before);
    }
}
