//! Disks that tests can break, stop, and take the power from.

pub(crate) mod power_disk;
pub(crate) mod test_disk;
