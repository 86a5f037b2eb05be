//! What a gateway has stored, by its manifest.

use tidegate_storage::manifest;
use tidegate_testkit::Gateway;

/// How many events are stored, when all that is durable is published.
pub(crate) fn events(gateway: &Gateway) -> anyhow::Result<u64> {
    gateway.wait_published();
    let entries = manifest::read(&gateway.folder().join("parquet"))?;
    let files = entries.iter().flat_map(|entry| &entry.files);
    Ok(files.filter(|file| !file.path.starts_with("dispositions/")).map(|file| file.rows).sum())
}

/// Memory of the gateway's process that is in use, in MiB.
pub(crate) fn resident_mib(gateway: &Gateway) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.pid()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok());
    Ok(kib.ok_or_else(|| anyhow::anyhow!("the kernel tells no VmRSS"))? / 1024.0)
}
