//! What a gateway has stored, by its manifest, and the memory that it uses.

use tidegate_storage::manifest;
use tidegate_testkit::Gateway;

/// How many events are stored, when all that is durable is published.
pub(crate) fn events(gateway: &Gateway) -> anyhow::Result<u64> {
    gateway.wait_published();
    let entries = manifest::read(&gateway.folder().join("parquet"))?;
    let files = entries.iter().flat_map(|entry| &entry.files);
    Ok(files.filter(|file| !file.path.starts_with("dispositions/")).map(|file| file.rows).sum())
}

/// Memory of a process that is in use.
pub(crate) struct Resident {
    pub(crate) all_mib: f64,
    /// Without what is backed by files, such as compiled code, which the kernel can take back.
    pub(crate) anonymous_mib: f64,
}

/// What the gateway's process uses now.
pub(crate) fn resident(gateway: &Gateway) -> anyhow::Result<Resident> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.pid()))?;
    let of = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok());
        kib.map(|kib| kib / 1024.0).ok_or_else(|| anyhow::anyhow!("the kernel tells no {name}"))
    };
    Ok(Resident { all_mib: of("VmRSS")?, anonymous_mib: of("RssAnon")? })
}
