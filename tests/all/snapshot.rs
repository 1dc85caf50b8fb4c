//! Snapshots of the built server: exchanged with the real one both ways, by its own client and by ours.

pub(crate) mod exchange;
mod kill;
mod large;
