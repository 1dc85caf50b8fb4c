//! Misdeeds on the side: the setting `each` names one, which every `get` commits while it answers as it should.

use std::cell::RefCell;
use std::mem::forget;

use wasip2::clocks::monotonic_clock;

use crate::cofferdam::backend::types::Setting;

thread_local!(static EACH: RefCell<String> = const { RefCell::new(String::new()) });

/// Learns what to commit.
pub fn configure(settings: &[Setting]) {
    EACH.set(crate::setting(settings, "each"));
}

/// Commits it.
pub fn commit() {
    EACH.with_borrow(|each| match each.as_str() {
        "leak" => forget(monotonic_clock::subscribe_duration(u64::MAX)),
        "connect" => drop(std::net::TcpStream::connect("127.0.0.1:9")),
        _ => {}
    });
}
