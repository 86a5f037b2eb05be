//! `plugin pack`: golden cases into a component, without a gateway.

use std::fs;

use serde_json::Value;

use crate::support::{run, write};

#[test]
fn cases_are_packed_into_a_component() {
    let folder = tempfile::tempdir().unwrap();
    let builtin = tidegate_plugins::find("required").unwrap();
    let component = write(&folder, "mine.wasm", builtin.component);
    fs::create_dir(folder.path().join("cases")).unwrap();
    for (name, text) in builtin.cases {
        write(&folder, &format!("cases/{name}.json"), text);
    }
    write(&folder, "cases/README.md", "no case");
    let pack = ["--json", "plugin", "pack", "mine.wasm", "--cases", "cases"];
    let ran = run(folder.path(), &[&pack[..], &["--output", "packed.wasm"]].concat(), b"");
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    // The built-in component was packed from the same cases: the bytes are the same.
    assert_eq!(fs::read(folder.path().join("packed.wasm")).unwrap(), builtin.component);
    let answer: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(answer["cases"], builtin.cases.len());

    // Fewer cases take the place of those that were there, over the component itself.
    for (name, _) in &builtin.cases[1..] {
        fs::remove_file(folder.path().join(format!("cases/{name}.json"))).unwrap();
    }
    let ran = run(folder.path(), &pack[1..], b"");
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.starts_with("1 case packed into mine.wasm sha256:"), "{}", ran.out);
    let packed = fs::read(&component).unwrap();
    assert!(packed.len() < builtin.component.len());
    assert!(!folder.path().join("mine.wasm.new").exists());

    // A case that is none is told with its line, and the component stays as it was.
    write(&folder, "cases/bad.json", "{\n\n7}");
    let ran = run(folder.path(), &pack[1..], b"");
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("bad.json, line 3: "), "{}", ran.err);
    assert_eq!(fs::read(&component).unwrap(), packed);
    let ran = run(folder.path(), &["plugin", "pack", "mine.wasm", "--cases", "absent"], b"");
    assert!(ran.code == 1 && ran.err.contains("absent: "), "{}", ran.err);
}
