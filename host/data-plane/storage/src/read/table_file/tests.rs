//! Files as other programs write them, the cells that they become, and those that are refused.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int32Array,
    Int64Array, StringArray, TimestampMicrosecondArray, TimestampMillisecondArray, UInt64Array,
};
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

use super::*;

const LIMITS: TableLimits = TableLimits { rows: 5, columns: 20, cells: 60, bytes: 4000 };

fn file(compression: Compression, columns: Vec<(&str, ArrayRef)>) -> Bytes {
    let batch = RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, column)| (name, column, true)),
    )
    .unwrap();
    let properties = WriterProperties::builder().set_compression(compression).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap().into()
}

fn rows(table: &TableFile) -> Vec<Vec<&str>> {
    let mut start = 0;
    let cells: Vec<&str> = table
        .ends
        .iter()
        .map(|end| {
            let cell = &table.text[start..*end as usize];
            start = *end as usize;
            cell
        })
        .collect();
    cells.chunks(table.columns.len()).map(<[&str]>::to_vec).collect()
}

#[test]
fn every_type_of_cell_has_its_text() {
    let text: ArrayRef = Arc::new(StringArray::from(vec![Some("ä"), None, Some("")]));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("text", text),
        ("int", Arc::new(Int32Array::from(vec![Some(-7), None, Some(0)]))),
        ("long", Arc::new(Int64Array::from(vec![i64::MIN, 1, 2]))),
        ("unsigned", Arc::new(UInt64Array::from(vec![u64::MAX, 1, 2]))),
        ("float", Arc::new(Float32Array::from(vec![1.5, 0.1, -0.0]))),
        ("double", Arc::new(Float64Array::from(vec![2.0, 1e300, 0.1]))),
        ("bool", Arc::new(BooleanArray::from(vec![true, false, true]))),
        ("date", Arc::new(Date32Array::from(vec![15706, -1, 0]))),
        (
            "at",
            Arc::new(
                TimestampMillisecondArray::from(vec![1_357_016_400_000, 1, 0]).with_timezone("UTC"),
            ),
        ),
        ("local", Arc::new(TimestampMicrosecondArray::from(vec![1_357_016_400_000_001, 0, 0]))),
        (
            "money",
            Arc::new(
                Decimal128Array::from(vec![12345, -5, 0]).with_precision_and_scale(10, 2).unwrap(),
            ),
        ),
    ];
    for compression in
        [Compression::UNCOMPRESSED, Compression::SNAPPY, Compression::ZSTD(Default::default())]
    {
        let table = read_table(file(compression, columns.clone()), &LIMITS).unwrap();
        assert_eq!(table.columns[..2], ["text", "int"]);
        let read = rows(&table);
        assert_eq!(
            read[0],
            [
                "ä", "-7", "-9223372036854775808", "18446744073709551615", "1.5", "2.0", "true",
                "2013-01-01", "2013-01-01T05:00:00Z", "2013-01-01T05:00:00.000001", "123.45"
            ]
        );
        assert_eq!(
            read[1],
            [
                "", "", "1", "1", "0.1", "1e300", "false", "1969-12-31",
                "1970-01-01T00:00:00.001Z", "1970-01-01T00:00:00", "-0.05"
            ]
        );
        assert_eq!(read[2][4..6], ["-0.0", "0.1"]);
    }
}

#[test]
fn what_is_no_table_is_told() {
    let good = file(Compression::SNAPPY, vec![("k", Arc::new(Int32Array::from(vec![1, 2])))]);
    let half = good.slice(..good.len() / 2);
    let list = {
        let schema = Schema::new(vec![Field::new_list(
            "k",
            Field::new("item", DataType::Int32, true),
            true,
        )]);
        let writer = ArrowWriter::try_new(Vec::new(), Arc::new(schema), None);
        Bytes::from(writer.unwrap().into_inner().unwrap())
    };
    let not_a_number: ArrayRef = Arc::new(Float64Array::from(vec![1.0, f64::NAN]));
    let long = StringArray::from(vec!["x".repeat(5000)]);
    let repeated = StringArray::from(vec!["x".repeat(900); 5]);
    for (what, bytes, why) in [
        ("nothing", Bytes::new(), "no Parquet file"),
        ("text", Bytes::from_static(b"k,v\n1,2\n"), "no Parquet file"),
        ("half a file", half, "no Parquet file"),
        ("a list", list, "the column `k` has the type List"),
        ("no number", file(Compression::SNAPPY, vec![("k", not_a_number)]), "row 2 of column `k`"),
        (
            "many rows",
            file(Compression::SNAPPY, vec![("k", Arc::new(Int32Array::from(vec![1; 6])))]),
            "6 rows; at most 5",
        ),
        (
            "a long text",
            file(Compression::SNAPPY, vec![("k", Arc::new(long))]),
            "bytes when it is unpacked; at most 4000",
        ),
        // Once in the file, five times in the table.
        (
            "a text that is said again and again",
            file(Compression::SNAPPY, vec![("k", Arc::new(repeated))]),
            "4500 bytes of text; at most 4000",
        ),
    ] {
        let error = read_table(bytes, &LIMITS).expect_err(what).to_string();
        assert!(error.contains(why), "{what}: `{error}` does not say `{why}`");
    }
    for at in 4..good.len() {
        let mut damaged = good.to_vec();
        damaged[at] ^= 0x40;
        // Any answer but a panic.
        drop(read_table(damaged.into(), &LIMITS));
    }
}
