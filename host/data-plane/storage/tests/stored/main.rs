//! What is stored, read back and settled: the storage at its public boundary, over a real log.

#[cfg(test)]
mod ground;
#[cfg(test)]
mod published;
#[cfg(test)]
mod quarantine;
#[cfg(test)]
mod reading;
#[cfg(test)]
mod support;
