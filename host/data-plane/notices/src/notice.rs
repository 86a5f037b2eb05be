//! One notice: a CloudEvent in structured form, of the type `tidegate.data.published`.
//!
//! | member of `data` | what |
//! |---|---|
//! | `node`, `sequence` | whose publication, and its number: each node counts its own from 1 |
//! | `first_lsn`, `last_lsn` | the range of that node's log, both ends included |
//! | `storage`, `path` | where the Parquet file is |
//! | `kind` | `accepted`, `released`, `quarantined` or `decisions` |
//! | `tenant`, `endpoint` | whose events, and of which type |
//! | `rows`, `sha256` | of the file |
//!
//! `id` is `NODE/SEQUENCE/NUMBER`, the same each time that it is told.

use serde_json::json;
use tidegate_storage::{Data, Publication, PublishedFile};
use tidegate_types::UnixMillis;

/// What notices are, as CloudEvents calls it.
pub(crate) const TYPE: &str = "tidegate.data.published";

/// The body of the notice of one of a publication's files.
pub(crate) fn body(
    (node, storage): (&str, &str),
    publication: &Publication,
    number: usize,
    file: &PublishedFile,
) -> Vec<u8> {
    let Publication { sequence, first_lsn, last_lsn, .. } = publication;
    let kind = match file.data {
        Data::Accepted => "accepted",
        Data::Released => "released",
        Data::Quarantined => "quarantined",
        Data::Decisions => "decisions",
    };
    let notice = json!({
        "specversion": "1.0",
        "id": format!("{node}/{sequence}/{number}"),
        "source": source(node),
        "type": TYPE,
        "time": UnixMillis::now().to_rfc3339(),
        "datacontenttype": "application/json",
        "data": {
            "node": node,
            "sequence": sequence,
            "first_lsn": first_lsn,
            "last_lsn": last_lsn,
            "storage": storage,
            "path": file.path,
            "kind": kind,
            "tenant": file.tenant,
            "endpoint": file.event_type,
            "rows": file.rows,
            "sha256": file.sha256,
        },
    });
    notice.to_string().into_bytes()
}

/// Who tells, as CloudEvents calls it.
pub(crate) fn source(node: &str) -> String {
    format!("/tidegate/nodes/{node}")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use tidegate_types::{Digest, Lsn};

    use super::*;

    #[test]
    fn a_notice_names_the_file_and_its_range() {
        let file = PublishedFile {
            path: "accepted/x.parquet".to_owned(),
            data: Data::Released,
            tenant: "acme".to_owned(),
            event_type: "audit".to_owned(),
            rows: 3,
            sha256: Digest::of(b""),
        };
        let (first_lsn, last_lsn) = (Lsn(5), Lsn(9));
        let publication = Publication { sequence: 7, first_lsn, last_lsn, files: vec![] };
        let body = body(("n1", "s3://b/n1"), &publication, 2, &file);
        let notice: Value = serde_json::from_slice(&body).expect("JSON");
        for (pointer, expected) in [
            ("/id", json!("n1/7/2")),
            ("/source", json!("/tidegate/nodes/n1")),
            ("/data/first_lsn", json!(5)),
            ("/data/last_lsn", json!(9)),
            ("/data/kind", json!("released")),
            ("/data/storage", json!("s3://b/n1")),
            ("/data/tenant", json!("acme")),
            ("/data/endpoint", json!("audit")),
            ("/data/rows", json!(3)),
        ] {
            assert_eq!(notice.pointer(pointer), Some(&expected), "{pointer}");
        }
    }
}
