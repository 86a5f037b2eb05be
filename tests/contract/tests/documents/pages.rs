//! The pages that people read are those of the documents.

use tidegate_contract::{Document, page};

/// With `UPDATE_PAGES=1` they are written.
#[test]
fn the_pages_are_up_to_date() {
    for (document, name) in [(Document::public(), "events.md"), (Document::admin(), "admin.md")] {
        let path = format!("{}/../../host/docs/api/{name}", env!("CARGO_MANIFEST_DIR"));
        let page = page::markdown(&document);
        if std::env::var_os("UPDATE_PAGES").is_some() {
            std::fs::write(&path, &page).unwrap();
        }
        let checked_in = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(checked_in == page, "run this test with UPDATE_PAGES=1 and commit {name}");
        for operation in document.operations() {
            let head = format!("### {} `{}`\n", operation.method, operation.path);
            assert!(page.contains(&head), "{name} has nothing of {head}");
        }
    }
}
