//! What a table comes as, and what a new generation of a followed one decides.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use serde_json::{Value, json};
use tidegate_e2e::assert_quiet;
use tidegate_testkit::{Gateway, Tenant};

use crate::{CSV, NDJSON, PARQUET, checking, ok, put, status_of};

fn parquet(compression: Compression) -> Vec<u8> {
    let columns: [(&str, ArrayRef); 4] = [
        ("year", Arc::new(Int64Array::from(vec![Some(2004), Some(1999), None]))),
        ("tailnum", Arc::new(StringArray::from(vec!["N2", "N1", "Ñ3"]))),
        ("weight", Arc::new(Float64Array::from(vec![1.5, 2.0, 1e300]))),
        ("model", Arc::new(StringArray::from(vec![Some("B, 737"), None, Some("")]))),
    ];
    let columns = columns.into_iter().map(|(name, column)| (name, column, true));
    let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    let properties = WriterProperties::builder().set_compression(compression).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

/// The same data as CSV, NDJSON and Parquet is one content with one digest.
#[test]
fn formats_make_one_content() {
    let gateway = Gateway::start();
    let _tenant = Tenant::create(&gateway, "acme");
    let csv = "year,tailnum,weight,model\n2004,N2,1.5,\"B, 737\"\n1999,N1,2.0,\n,Ñ3,1e300,\n";
    let first = ok(&put(&gateway, "?key=tailnum", CSV, csv.as_bytes()));
    assert_eq!(first["columns"], json!(["tailnum", "year", "weight", "model"]));
    let ndjson = concat!(
        r#"{"year":2004,"tailnum":"N2","weight":1.5,"model":"B, 737"}"#,
        "\n\n",
        r#"{"tailnum":"\u00d13","weight":1e300}"#,
        "\r\n",
        r#"{"model":null,"weight":2.0,"tailnum":"N1","year":"1999"}"#,
    );
    let snappy = parquet(Compression::SNAPPY);
    for (media, body) in [
        (NDJSON, ndjson.as_bytes()),
        (PARQUET, &snappy),
        (PARQUET, &parquet(Compression::ZSTD(Default::default()))),
        (PARQUET, &parquet(Compression::UNCOMPRESSED)),
    ] {
        let answer = put(&gateway, "?key=tailnum", media, body);
        assert_eq!((answer.status, &answer.json()["digest"]), (200, &first["digest"]), "{media}");
    }
    for (body, why) in [(&snappy[..snappy.len() - 5], "no Parquet file"), (b"year\n", "no Parquet")]
    {
        let refused = put(&gateway, "", PARQUET, body);
        assert!(refused.status == 400 && refused.text().contains(why), "{}", refused.text());
    }
    let refused = put(&gateway, "?key=weight", PARQUET, &parquet(Compression::SNAPPY));
    assert_eq!(refused.status, 200 + 1, "another key is another content");
    let refused = put(&gateway, "?key=year", PARQUET, &parquet(Compression::SNAPPY));
    assert_eq!(refused.json()["errors"][0]["pointer"], "/rows/3", "{}", refused.text());
    assert_quiet(&gateway);
}

/// P3: an upload to a followed table decides events as soon as it is answered, over restarts, and a
/// rollback ends that.
#[test]
fn uploads_to_a_followed_table_decide() {
    let mut gateway = Gateway::start();
    let tenant = Tenant::create(&gateway, "acme");
    ok(&put(&gateway, "", CSV, b"tailnum\nN1\n"));
    tenant.activate(&gateway, &checking(json!({ "follow": true })));
    let told = |gateway: &Gateway| {
        ["N1", "N2", "N3"].map(|tailnum| status_of(gateway, &tenant, tailnum) == "accepted")
    };
    assert_eq!(told(&gateway), [true, false, false]);
    let uploaded = ok(&put(&gateway, "", NDJSON, b"{\"tailnum\":\"N2\"}"));
    assert_eq!(uploaded["derived"]["number"], 2);
    assert_eq!(told(&gateway), [false, true, false]);
    gateway.kill();
    gateway.restart();
    assert_eq!(told(&gateway), [false, true, false]);
    let document = checking(json!({ "follow": true }));
    assert_eq!(tenant.revision(&gateway, &document).status, 200, "it is the derived revision");
    ok(&gateway.admin("POST", "/v1/tenants/acme/rollback", "", b""));
    assert_eq!(told(&gateway), [true, false, false]);
    let ignored = ok(&put(&gateway, "", CSV, b"tailnum\nN3\n"));
    assert_eq!((&ignored["generation"], &ignored["derived"]), (&json!(3), &Value::Null));
    assert_eq!(told(&gateway), [true, false, false]);
    gateway.kill();
    gateway.restart();
    assert_eq!(told(&gateway), [true, false, false], "a start ends no rollback");
    ok(&gateway.admin("POST", "/v1/tenants/acme/revisions/1/activate", "", b""));
    assert_eq!(told(&gateway), [false, false, true]);
    assert_quiet(&gateway);
}
