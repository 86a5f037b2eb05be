//! This node among those that share its catalog: which one it is, under which name, and where.
//!
//! Which one it is, is its data folder: a random text in the file `instance` there, drawn when the folder
//! is made. So a node that is started again is the same one, and two of one name are told apart. A
//! copy of the folder would be taken for the same node.

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use tidegate_catalog::{Catalog, NodeReport};
use tidegate_config::Config;
use tidegate_types::UnixMillis;

/// Joins the nodes that share the catalog, before anything is done under this node's name. Answers how
/// it reports itself.
///
/// # Errors
/// Where another node has the name.
pub(in crate::serve) async fn join(
    config: &Config,
    catalog: &Arc<Catalog>,
    ingress: SocketAddr,
) -> anyhow::Result<NodeReport> {
    let report = NodeReport {
        name: config.node.name.clone(),
        instance: instance(&config.data_dir)?,
        place: place(&config.data_dir, ingress)?,
        release: env!("CARGO_PKG_VERSION").to_owned(),
        started_at: UnixMillis::now(),
        version_applied: 0,
    };
    if catalog.is_shared() {
        let (catalog, own) = (Arc::clone(catalog), report.clone());
        let lost_after = config.catalog.node_lost_after;
        tokio::task::spawn_blocking(move || catalog.join(&own, lost_after)).await??;
    }
    Ok(report)
}

/// Gives the name back when the node is stopped.
pub(in crate::serve) async fn leave(catalog: Arc<Catalog>, report: NodeReport) {
    if !catalog.is_shared() {
        return;
    }
    let left = tokio::task::spawn_blocking(move || catalog.leave(&report)).await;
    let left = left.map_err(anyhow::Error::from).and_then(|left| Ok(left?));
    if let Err(error) = left {
        let cause = format!("{error:#}");
        tracing::warn!(cause, "node's name stays taken until the node counts as lost");
    }
}

/// Where the node lives, for people.
fn place(folder: &Path, ingress: SocketAddr) -> anyhow::Result<String> {
    let host = rustix::system::uname();
    let host = host.nodename().to_string_lossy();
    let folder = folder.canonicalize().context("the data folder cannot be found")?;
    Ok(format!("host {host}, data folder {}, events at {ingress}", folder.display()))
}

/// Which node the data folder is.
fn instance(folder: &Path) -> anyhow::Result<String> {
    let path = folder.join("instance");
    match std::fs::read_to_string(&path) {
        Ok(text) if is_instance(&text) => Ok(text),
        Ok(_) => bail!(
            "{} does not say which node this is: remove it, when no other process runs under this \
             node's name, and start again",
            path.display()
        ),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            draw(folder).with_context(|| format!("cannot write {}", path.display()))
        }
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Draws an instance; when this returns, it is on the disk.
fn draw(folder: &Path) -> anyhow::Result<String> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).context("the operating system gave no random bytes")?;
    let text = format!("{:032x}", u128::from_be_bytes(random));
    let new = folder.join("instance.new");
    let mut file = File::create(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&new, folder.join("instance"))?;
    File::open(folder)?.sync_all()?;
    Ok(text)
}

fn is_instance(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_stays_the_node_that_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = instance(folder.path()).expect("a place to write");
        assert!(is_instance(&first), "{first}");
        assert_eq!(instance(folder.path()).expect("it is there"), first);
        let other = tempfile::tempdir().expect("a folder");
        assert_ne!(instance(other.path()).expect("a place to write"), first);
        for wrong in ["", "0123", "g0000000000000000000000000000000"] {
            std::fs::write(folder.path().join("instance"), wrong).expect("our folder");
            assert!(instance(folder.path()).is_err(), "{wrong}");
        }
    }
}
