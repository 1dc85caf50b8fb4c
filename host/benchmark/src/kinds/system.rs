//! `ha_status`, `seal_status`, `metrics`: what monitoring asks for. Nothing is set up.

use crate::client::Plan;
use zeroize::Zeroizing;

pub(crate) enum System {
    HaStatus,
    SealStatus,
    Metrics,
}

impl System {
    pub(super) fn plan(&self) -> Plan {
        let path = match self {
            Self::HaStatus => "sys/ha-status",
            Self::SealStatus => "sys/seal-status",
            Self::Metrics => "sys/metrics",
        };
        Plan::new("GET", path, Zeroizing::default())
    }
}
