//! Tables of good and bad CSV, and the canonical form as a property.

use proptest::prelude::*;

use super::{TableBounds, TableCells, TableContent, TableError, TableSource, Unit};

fn parse(csv: &str, key: Option<&str>) -> Result<String, Vec<(u64, String)>> {
    read(TableSource::Csv(csv.as_bytes()), key)
}

fn read(source: TableSource<'_>, key: Option<&str>) -> Result<String, Vec<(u64, String)>> {
    match TableContent::read(source, key, FIVE) {
        Ok(content) => {
            let canonical = content.canonical();
            assert_eq!(TableContent::read_canonical(&canonical), Ok(content));
            Ok(String::from_utf8(canonical).unwrap())
        }
        Err(error) => Err(error.problems.into_iter().map(|p| (p.at, p.detail)).collect()),
    }
}

fn csv(csv: &[u8], key: Option<&str>, rows: u64) -> Result<TableContent, TableError> {
    TableContent::read(TableSource::Csv(csv), key, TableBounds { rows, bytes: 1000 })
}

const FIVE: TableBounds = TableBounds { rows: 5, bytes: 60 };

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
            "k,v\na,01234567890123456789\nb,01234567890123456789\nc,01234567890123456789\n",
            None,
            vec![(4, "more than 60 bytes")],
        ),
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
    let error = csv(b"k,v\na,1\nb,\xff\n", None, 5).expect_err("not UTF-8");
    assert_eq!((error.problems[0].at, error.unit), (3, Unit::Line));
}

#[test]
fn lines_of_json_are_the_same_table() {
    for (lines, key, canonical) in [
        ("{\"k\":\"b\",\"v\":2}\n{\"k\":\"a\",\"v\":1}\n", None, "k,v\na,1\nb,2\n"),
        ("\u{feff}{\"v\": 1.50, \"k\": \"a\"}\r\n\n", Some("k"), "k,v\na,1.50\n"),
        ("{\"k\": \"a\\n\\u00e4\\\"\", \"v\": true}", None, "k,v\n\"a\nä\"\"\",true\n"),
        // A member that comes late, or never, or as null, is no value.
        (
            "{\"k\":1}\n{\"w\":\"\",\"k\":2}\n{\"k\":3,\"v\":null,\"w\":1e3}",
            None,
            "k,w,v\n1,,\n2,,\n3,1e3,\n",
        ),
        ("{\"k\":-0.0}", None, "k\n-0.0\n"),
    ] {
        assert_eq!(read(TableSource::Ndjson(lines.as_bytes()), key).unwrap(), canonical, "{lines}");
    }
    for (lines, key, expected) in [
        ("", None, vec![(1, "there is no object")]),
        ("{}", None, vec![(1, "there is no object")]),
        ("{\"\":1}", None, vec![(1, "column 1 must have a name")]),
        (
            "{\"k\":1}\n[2]\n{\"k\":\n{\"k\":4}}",
            None,
            vec![(2, "an object with a member"), (3, "EOF"), (4, "trailing")],
        ),
        (
            "{\"k\":1,\"v\":{}}\n{\"k\":2,\"v\":[]}\n{\"k\":3,\"k\":3}",
            None,
            vec![(1, "`v` must be a text"), (2, "`v` must be"), (3, "`k` comes twice")],
        ),
        (
            "{\"k\":1}\n{\"k\":\"1\"}\n{\"k\":null}\n{\"v\":1}",
            None,
            vec![
                (2, "the key `1` stands on line 1"),
                (3, "the key is empty"),
                (4, "the key is empty"),
            ],
        ),
        ("{\"k\":1}", Some("x"), vec![(1, "no column is called `x`; the columns are k")]),
        (
            "{\"k\":1}\n{\"k\":2}\n{\"k\":3}\n{\"k\":4}\n{\"k\":5}\n{\"k\":6}",
            None,
            vec![(6, "more than 5 rows")],
        ),
    ] {
        let problems = read(TableSource::Ndjson(lines.as_bytes()), key).expect_err(lines);
        assert_eq!(problems.len(), expected.len(), "{lines}: {problems:?}");
        for ((line, detail), (expected_line, part)) in problems.iter().zip(expected) {
            assert!(*line == expected_line && detail.contains(part), "{lines}: {problems:?}");
        }
    }
    // Few bytes, many cells.
    let wide: String = (0..1000).map(|n| format!("{{\"k\":{n},\"c{n}\":1}}\n")).collect();
    let bounds = TableBounds { rows: u64::MAX, bytes: u64::MAX };
    let error = TableContent::read(TableSource::Ndjson(wide.as_bytes()), None, bounds);
    let problems = error.expect_err("too many columns").problems;
    assert!(problems[0].at == 1000 && problems[0].detail.contains("at most 1000 columns"));
}

#[test]
fn cells_are_the_same_table() {
    let cells = |columns: &[&str], text: &str, ends: &[u32]| {
        let columns = columns.iter().map(|name| (*name).to_owned()).collect();
        TableSource::Cells(TableCells { columns, text: text.to_owned(), ends: ends.to_vec() })
    };
    assert_eq!(
        read(cells(&["v", "k"], "2b1a", &[1, 2, 3, 4]), Some("k")).unwrap(),
        "k,v\na,1\nb,2\n"
    );
    assert_eq!(read(cells(&["k", "v"], "a", &[1, 1]), None).unwrap(), "k,v\na,\n");
    for (source, at, why) in [
        (cells(&[], "", &[]), 1, "no columns"),
        (cells(&["k", "k"], "", &[]), 1, "two columns are called `k`"),
        (cells(&["k"], "aa", &[1, 2]), 2, "stands on row 1 already"),
        (cells(&["k", "v"], "ab1", &[1, 1, 1, 3]), 2, "the key is empty"),
    ] {
        let error = TableContent::read(source, None, FIVE).expect_err(why);
        assert_eq!((error.unit, error.problems[0].at), (Unit::Row, at), "{error}");
        assert!(error.to_string().contains(why), "{error}");
    }
}

#[test]
fn what_was_not_stored_is_not_read_as_stored() {
    for (bytes, why) in [
        ("", "not in order"),
        ("k,v\nb,1\na,1\n", "not in order"),
        ("k,v\na,1\na,1\n", "not in order"),
        ("k,v\na\n", "another width"),
    ] {
        let error = TableContent::read_canonical(bytes.as_bytes()).expect_err(bytes);
        assert!(error.to_string().contains(why), "{bytes:?}: {error}");
    }
}

#[test]
fn cells_outside_are_none() {
    let content = csv(b"k,v\na,1\nb,2\n", None, 5).unwrap();
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
        let content = csv(&write(&rows), Some("k"), 100).unwrap();
        for (index, (key, value)) in rows.iter().enumerate() {
            prop_assert_eq!(content.row(index).collect::<Vec<_>>(), [key.as_str(), value.as_str()]);
        }
        let canonical = content.canonical();
        prop_assert_eq!(&TableContent::read_canonical(&canonical).unwrap(), &content);
        if !rows.is_empty() {
            let turn = turn % rows.len();
            rows.rotate_left(turn);
        }
        let turned = csv(&write(&rows), Some("k"), 100).unwrap();
        prop_assert_eq!(turned.canonical(), canonical);
    }
}
