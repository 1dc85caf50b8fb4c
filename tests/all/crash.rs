//! What is left of a store whose server is killed, whose power is cut, or whose disk fails.
//!
//! [`kill`] kills a real process that writes to a real directory. That cannot show what a loss of power does, since the kernel keeps what was written:
//! [`power`] runs the same component on a disk in memory ([`disk`], linked in by [`machine`]) that records every change and every sync, and rebuilds each
//! state that the disk could be in afterwards. [`faults`] has single calls of that disk fail.

mod disk;
mod faults;
mod kill;
mod machine;
mod power;
