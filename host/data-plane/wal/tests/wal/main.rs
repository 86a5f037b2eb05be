//! The log at its real boundary: files that are damaged, disks that fail, power that goes away.

#[cfg(test)]
mod closing;
#[cfg(test)]
mod concurrency;
#[cfg(test)]
mod damage;
#[cfg(test)]
mod disks;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod model;
#[cfg(test)]
mod support;
#[cfg(test)]
mod truncation;
