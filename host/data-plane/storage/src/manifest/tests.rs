//! The manifest on real files: every cut, every flipped byte, every failed step.

use super::*;

fn entry(sequence: u64) -> Entry {
    let path = format!("accepted/tenant=acme/type=t/event_date=2013-01-01/part-{sequence}.parquet");
    let sha256 = Digest([sequence as u8; 32]);
    let received = Some([UnixMillis(sequence), UnixMillis(sequence + 1)]);
    let file = FileEntry { path, rows: 10, bytes: 1000, sha256, received };
    Entry {
        sequence,
        first_lsn: Lsn((sequence - 1) * 10),
        last_lsn: Lsn(sequence * 10 - 1),
        files: vec![file],
    }
}

fn open(folder: &Path) -> Manifest {
    Manifest::open(folder, &mut |_| (), &mut Steps::unhindered()).unwrap()
}

fn with_entries(count: u64) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut manifest = open(folder.path());
    for sequence in 1..=count {
        manifest.append(entry(sequence), &mut Steps::unhindered()).unwrap();
    }
    folder
}

fn first(count: u64) -> Vec<Entry> {
    (1..=count).map(entry).collect()
}

#[test]
fn entries_come_back_and_a_reopened_manifest_goes_on() {
    let folder = with_entries(2);
    assert_eq!(read(folder.path()).unwrap(), first(2));
    let mut told = Vec::new();
    let mut manifest =
        Manifest::open(folder.path(), &mut |entry| told.push(entry), &mut Steps::unhindered())
            .unwrap();
    assert_eq!(told, first(2));
    assert_eq!((manifest.next_sequence(), manifest.next_lsn()), (3, Lsn(20)));
    manifest.append(entry(3), &mut Steps::unhindered()).unwrap();
    assert_eq!(manifest.totals(), Totals { files: 3, rows: 30, bytes: 3000 });
    assert_eq!(read(folder.path()).unwrap(), first(3));
    assert_eq!(open(folder.path()).totals(), Totals { files: 3, rows: 30, bytes: 3000 });
}

#[test]
fn a_missing_manifest_is_empty() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(read(folder.path()).unwrap(), []);
    assert_eq!(open(folder.path()).next_lsn(), Lsn(0));
}

#[test]
fn a_cut_at_any_offset_loses_only_the_last_line() {
    let folder = with_entries(3);
    let path = folder.path().join(FILE_NAME);
    let whole = std::fs::read(&path).unwrap();
    for cut in 0..whole.len() {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let lines = whole[..cut].iter().filter(|b| **b == b'\n').count() as u64;
        assert_eq!(read(folder.path()).unwrap(), first(lines), "cut at {cut}");
        let mut manifest = open(folder.path());
        let good = whole[..cut].iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        if good < cut {
            let torn = std::fs::read(folder.path().join("manifest.jsonl.torn")).unwrap();
            assert_eq!(torn, whole[good..cut], "cut at {cut}");
        }
        assert_eq!(std::fs::read(&path).unwrap(), whole[..good], "cut at {cut}");
        manifest.append(entry(lines + 1), &mut Steps::unhindered()).unwrap();
        assert_eq!(read(folder.path()).unwrap(), first(lines + 1), "cut at {cut}");
    }
}

#[test]
fn a_flipped_byte_is_damage_or_a_torn_end_and_never_a_wrong_entry() {
    let folder = with_entries(4);
    let path = folder.path().join(FILE_NAME);
    let whole = std::fs::read(&path).unwrap();
    let ends: Vec<usize> = (0..whole.len()).filter(|at| whole[*at] == b'\n').collect();
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << bit;
            std::fs::write(&path, &bytes).unwrap();
            match read(folder.path()) {
                // Without the newline before it the last line belongs to the bad one.
                Ok(entries) if at == ends[2] => assert_eq!(entries, first(2)),
                Ok(entries) => {
                    assert_eq!(entries, first(3), "byte {at} bit {bit}");
                    assert!(at > ends[2], "byte {at} bit {bit}");
                }
                Err(error @ ManifestError::Corrupt { .. }) => {
                    // A newline within the last line makes two of it.
                    let split = at > ends[2] && bytes[at] == b'\n';
                    assert!(at < ends[2] || split, "byte {at} bit {bit}: {error}");
                    assert!(
                        Manifest::open(folder.path(), &mut |_| (), &mut Steps::unhindered())
                            .is_err()
                    );
                    assert_eq!(std::fs::read(&path).unwrap(), bytes, "byte {at} bit {bit}");
                }
                Err(error) => panic!("byte {at} bit {bit}: {error}"),
            }
        }
    }
}

#[test]
fn entries_out_of_sequence_are_damage() {
    let folder = tempfile::tempdir().unwrap();
    let gap = Entry { first_lsn: Lsn(11), ..entry(2) };
    let overlap = Entry { first_lsn: Lsn(9), ..entry(2) };
    let backward = Entry { last_lsn: Lsn(9), ..entry(2) };
    let endless = Entry { last_lsn: Lsn(u64::MAX), ..entry(2) };
    for second in [entry(1), entry(3), gap, overlap, backward, endless] {
        let lines = [to_line(&entry(1)).unwrap(), to_line(&second).unwrap()].concat();
        std::fs::write(folder.path().join(FILE_NAME), lines).unwrap();
        let error = read(folder.path()).unwrap_err();
        assert!(matches!(error, ManifestError::Corrupt { line: 2, .. }), "{error}");
    }
}

#[test]
fn a_failed_append_is_finished_later_or_by_the_next_start() {
    for failing in [Step::AppendManifest, Step::SyncManifest] {
        for settle_fails_too in [false, true] {
            let folder = with_entries(1);
            let mut manifest = open(folder.path());
            let mut left = 1 + u32::from(settle_fails_too);
            let mut steps = Steps::new(move |step| {
                let fails = step == failing && left > 0;
                left -= u32::from(fails);
                if fails { Err(io::Error::other("no")) } else { Ok(()) }
            });
            manifest.append(entry(2), &mut steps).unwrap_err();
            assert_eq!((manifest.next_sequence(), manifest.totals().files), (2, 1));
            if settle_fails_too {
                manifest.settle(&mut steps).unwrap_err();
            }
            // What another process finds now is the one or the other.
            let found = read(folder.path()).unwrap();
            assert!(found == first(1) || found == first(2), "{found:?}");
            manifest.settle(&mut steps).unwrap();
            assert_eq!((manifest.next_sequence(), manifest.totals().files), (3, 2));
            manifest.append(entry(3), &mut steps).unwrap();
            assert_eq!(read(folder.path()).unwrap(), first(3));
        }
    }
}
