//! Several nodes that write to one catalog at the same time.

use std::collections::BTreeSet;
use std::sync::Barrier;

use tidegate_catalog::{Catalog, Selector};

use crate::place::{PAGE, Place, document, name, tenant};

/// Versions, revisions and activations count up without a gap and without a number that two have.
pub(crate) fn writers_of_two_nodes_never_make_one_number_twice(place: &Place) {
    const EACH: usize = 12;
    let nodes = [place.node("a"), place.node("b")];
    let acme = tenant(&nodes[0], "acme");
    let start = Barrier::new(nodes.len());
    let write = |node: usize, catalog: &Catalog| {
        start.wait();
        let mut made = Vec::new();
        for turn in 0..EACH {
            let text = format!("{{\"title\":\"{node} {turn}\"}}");
            let schema = catalog.put_schema(&acme, &name("one"), text.as_bytes()).unwrap();
            let revision = catalog.store_revision(&acme, &document(&format!("n{node}t{turn}")));
            let revision = revision.unwrap().into_inner();
            let active =
                catalog.activate(&acme, &revision.digest, None, "admin").unwrap().into_inner();
            made.push((schema.into_inner().version, revision.number, active.sequence));
        }
        made
    };
    let made: Vec<_> = std::thread::scope(|scope| {
        let write = &write;
        let threads: Vec<_> =
            nodes.iter().enumerate().map(|(n, node)| scope.spawn(move || write(n, node))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let all = 1..=(nodes.len() * EACH) as u64;
    let numbers: BTreeSet<u64> = all.collect();
    assert_eq!(made.iter().map(|(version, ..)| *version).collect::<BTreeSet<_>>(), numbers);
    assert_eq!(made.iter().map(|(_, number, _)| *number).collect::<BTreeSet<_>>(), numbers);
    let history = nodes[0].activations(&acme, PAGE).unwrap();
    assert_eq!(history.len(), numbers.len());
    // Each goes back to the one before it: none was made from a state that had passed.
    let newest = nodes[1].active(&acme).unwrap().unwrap();
    assert_eq!(newest, history[0]);
    let before = nodes[1].rollback_target(&acme).unwrap().unwrap();
    assert_eq!(before, history[1]);
}

pub(crate) fn what_one_node_writes_another_reads(place: &Place) {
    let (writer, reader) = (place.node("a"), place.node("b"));
    let acme = tenant(&writer, "acme");
    let schema = writer.put_schema(&acme, &name("one"), b"{}").unwrap().into_inner();
    assert_eq!(reader.schema(&acme, &name("one"), &Selector::Latest).unwrap(), schema);
    assert_eq!(reader.content(&schema.digest).unwrap(), b"{}");
    let revision = reader.store_revision(&acme, &document("one")).unwrap().into_inner();
    reader.activate(&acme, &revision.digest, None, "admin").unwrap();
    assert_eq!(writer.active(&acme).unwrap().unwrap().digest, revision.digest);
}
