//! The documents have the routes that the code declares, with the scopes that open them.

use std::collections::BTreeMap;

use tidegate_contract::Document;

/// Method and path, and the scopes of which each opens it.
type Routes = BTreeMap<(String, String), Vec<String>>;

fn documented(document: &Document) -> Routes {
    let all = document.operations().into_iter().map(|operation| {
        let scopes = operation.scopes().into_iter().map(str::to_owned).collect();
        ((operation.method, operation.path), scopes)
    });
    all.collect()
}

#[test]
fn the_admin_api_is_as_its_document_says() {
    let declared = tidegate_admin_api::routes().into_iter().map(|route| {
        let scopes = route.scopes.iter().map(|scope| scope.as_str().to_owned());
        let mut scopes: Vec<String> = scopes.chain(["admin".to_owned()]).collect();
        scopes.sort_unstable();
        ((route.method.to_string(), route.path.to_owned()), scopes)
    });
    assert_eq!(documented(&Document::admin()), declared.collect::<Routes>());
}

#[test]
fn the_listener_for_events_is_as_its_document_says() {
    let declared = tidegate_ingest::PUBLIC_ROUTES.into_iter().flat_map(|route| {
        let scopes: Vec<String> = route.scope.into_iter().map(str::to_owned).collect();
        let methods = route.methods.split(", ");
        methods.map(move |method| ((method.to_owned(), route.path.to_owned()), scopes.clone()))
    });
    assert_eq!(documented(&Document::public()), declared.collect::<Routes>());
}
