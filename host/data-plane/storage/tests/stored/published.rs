//! New data is told: each publication once, with what it has, after readers find it.

use std::collections::BTreeSet;

use tidegate_storage::manifest::Entry;
use tidegate_storage::read::{Filter, PageLimit};
use tidegate_storage::{Data, Publication, PublishedFile, Told};
use tidegate_types::{Digest, Lsn};

use crate::ground::{Ground, each};
use crate::support::{LONG, World, event};

#[test]
fn each_publication_is_told_once_with_what_it_has() {
    each().into_iter().for_each(listen);
}

fn listen(ground: Ground) {
    let mut world = World::on(ground);
    let mut early = world.storage().published();
    world.append(90);
    world.storage().flush(LONG).unwrap();
    let first = next(&mut early);
    // Who is told finds it.
    let mut scan = world.events().scan("acme", Filter::default(), None);
    assert!(!scan.next_page(PageLimit::default()).unwrap().events.is_empty());
    drop(scan);
    let mut late = world.storage().published();
    let before = world.ground.entries(world.folder.path()).len();
    world.append(50);
    world.storage().flush(LONG).unwrap();
    world.stop();

    let mut told = vec![first];
    while let Some(Told::Published(publication)) = early.blocking_next() {
        told.push((*publication).clone());
    }
    let entries = world.ground.entries(world.folder.path());
    assert!(entries.len() > before && before > 0);
    assert!(told.iter().zip(&entries).all(|(publication, entry)| is_about(publication, entry)));
    assert_eq!(told.len(), entries.len());
    assert_eq!(next(&mut late), told[before], "what was published before is not told");
    check_files(&world, &told);

    // A restart tells nothing of what was told.
    world.restart();
    let mut again = world.storage().published();
    world.append(1);
    world.storage().flush(LONG).unwrap();
    let publication = next(&mut again);
    assert_eq!((publication.first_lsn, publication.last_lsn), (Lsn(140), Lsn(140)));
}

fn next(published: &mut tidegate_storage::Published) -> Publication {
    match published.blocking_next() {
        Some(Told::Published(publication)) => (*publication).clone(),
        other => panic!("{other:?}"),
    }
}

fn is_about(told: &Publication, entry: &Entry) -> bool {
    let files = told.files.iter().map(|file| (&file.path, file.rows, file.sha256));
    let same = (told.sequence, told.first_lsn, told.last_lsn)
        == (entry.sequence, entry.first_lsn, entry.last_lsn);
    same && files.eq(entry.files.iter().map(|file| (&file.path, file.rows, file.sha256)))
}

/// All files were told, and what is told of each is so.
fn check_files(world: &World, told: &[Publication]) {
    let told: Vec<&PublishedFile> = told.iter().flat_map(|one| &one.files).collect();
    assert_eq!(told.iter().map(|file| file.rows).sum::<u64>(), world.model.len() as u64);
    let files = world.files("");
    assert_eq!(files.len(), told.len());
    for file in files {
        let told = told.iter().find(|told| told.path == file.path).unwrap();
        assert_eq!(Digest::of(&file.bytes), told.sha256);
        let quarantined = file.path.starts_with("quarantine/");
        assert_eq!(told.data, if quarantined { Data::Quarantined } else { Data::Accepted });
        assert!(file.path.contains(&format!("/tenant={}/", told.tenant)));
    }
    let types: BTreeSet<&str> = told.iter().map(|file| file.event_type.as_str()).collect();
    let known: Vec<_> = (0..5).map(event).collect();
    assert_eq!(types, known.iter().map(|one| one.event_type.as_str()).collect(), "in full");
}
