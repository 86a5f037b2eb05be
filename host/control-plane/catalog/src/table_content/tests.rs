//! Tables of good and bad CSV, and the canonical form as a property.

use proptest::prelude::*;

use super::TableContent;

fn parse(csv: &str, key: Option<&str>) -> Result<String, Vec<(u64, String)>> {
    match TableContent::parse(csv.as_bytes(), key, 5) {
        Ok(content) => Ok(String::from_utf8(content.canonical()).unwrap()),
        Err(error) => Err(error.problems.into_iter().map(|p| (p.line, p.detail)).collect()),
    }
}

#[test]
fn good_tables_have_one_canonical_form() {
    for (csv, key, canonical) in [
        ("k,v\nb,2\na,1\n", None, "k,v\na,1\nb,2\n"),
        ("\u{feff}k,v\r\nb,2\r\na,1", None, "k,v\na,1\nb,2\n"),
        ("v,k,w\n2,b,x\n1,a,y\n", Some("k"), "k,v,w\na,1,y\nb,2,x\n"),
        ("k,v\n\"a\",\"x, \"\"y\"\"\nz\"\n", None, "k,v\na,\"x, \"\"y\"\"\nz\"\n"),
        ("k,v\na,\n", None, "k,v\na,\n"),
        ("k\n", None, "k\n"),
        ("k,v\n\nä,1\n\n", None, "k,v\nä,1\n"),
    ] {
        assert_eq!(parse(csv, key).unwrap(), canonical, "{csv:?}");
    }
}

#[test]
fn bad_tables_are_told_by_line() {
    for (csv, key, expected) in [
        ("", None, vec![(1, "no header")]),
        ("k,\na,1\n", None, vec![(1, "column 2 must have a name")]),
        ("k,k\na,1\n", None, vec![(1, "two columns are called `k`")]),
        ("k,v\na,1\n", Some("x"), vec![(1, "no column is called `x`; the columns are k, v")]),
        (
            "k,v\na\nb,1\nc,1,2\n",
            None,
            vec![(2, "1 fields"), (4, "3 fields where the header has 2")],
        ),
        ("k,v\na,1\n,2\n", None, vec![(3, "the key is empty")]),
        (
            "k,v\nb,1\na,1\nb,2\na,3\na,4\n",
            None,
            vec![(4, "`b` stands on line 2"), (5, "`a` stands on line 3"), (6, "line 3")],
        ),
        ("k,v\na,\"x\nb,y\nc,z\n", None, vec![(2, "not closed")]),
        ("k\na\nb\nc\nd\ne\nf\n", None, vec![(7, "more than 5 rows")]),
    ] {
        let problems = parse(csv, key).expect_err(csv);
        assert_eq!(problems.len(), expected.len(), "{csv:?}: {problems:?}");
        for ((line, detail), (expected_line, part)) in problems.iter().zip(expected) {
            assert_eq!(*line, expected_line, "{csv:?}: {problems:?}");
            assert!(detail.contains(part), "{csv:?}: {detail:?} lacks {part:?}");
        }
    }
    let error = TableContent::parse(b"k,v\na,1\nb,\xff\n", None, 5).expect_err("not UTF-8");
    assert_eq!(error.problems[0].line, 3);
}

#[test]
fn cells_outside_are_none() {
    let content = TableContent::parse(b"k,v\na,1\nb,2\n", None, 5).unwrap();
    assert_eq!(
        (content.cell(1, 1), content.cell(0, 2), content.cell(2, 0)),
        (Some("2"), None, None)
    );
    assert_eq!(content.cell(usize::MAX, 0), None);
    assert_eq!(content.row(2).count(), 0);
}

proptest! {
    /// Whatever the cells hold, the canonical bytes read back as the same content, and the order
    /// of the rows does not change them.
    #[test]
    fn canonical_bytes_round_trip(
        rows in proptest::collection::btree_map("[\\PC\r\n\",]{1,6}", "[\\PC\r\n\",]{0,6}", 0..12),
        turn in 0usize..12,
    ) {
        let write = |rows: &[(&String, &String)]| {
            let mut writer = csv::Writer::from_writer(Vec::new());
            writer.write_record(["v", "k"]).unwrap();
            for (key, value) in rows {
                writer.write_record([value, key]).unwrap();
            }
            writer.into_inner().unwrap()
        };
        let mut rows: Vec<(&String, &String)> = rows.iter().collect();
        let content = TableContent::parse(&write(&rows), Some("k"), 100).unwrap();
        for (index, (key, value)) in rows.iter().enumerate() {
            prop_assert_eq!(content.row(index).collect::<Vec<_>>(), [key.as_str(), value.as_str()]);
        }
        let canonical = content.canonical();
        prop_assert_eq!(&TableContent::parse(&canonical, None, 100).unwrap(), &content);
        if !rows.is_empty() {
            let turn = turn % rows.len();
            rows.rotate_left(turn);
        }
        let turned = TableContent::parse(&write(&rows), Some("k"), 100).unwrap();
        prop_assert_eq!(turned.canonical(), canonical);
    }
}
