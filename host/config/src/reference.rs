//! The reference: every key with default and bounds, as Markdown.

use std::fmt::Write as _;

use crate::rule::table::Table;
use crate::section::{Described, Section};
use crate::settings::jwt::issuers::KEYS as ISSUER_KEYS;
use crate::settings::sinks::kafka::KafkaSink;
use crate::settings::sinks::kinesis::KinesisSink;
use crate::source::variable;
use crate::{
    Admin, Anonymous, Catalog, Compile, Dedup, Ingress, Jwt, Keys, Log, Node, Plugins, Quotas,
    Redis, Registries, Schemas, Sinks, Storage, Telemetry, Tls, Wal, Workers,
};

const HEAD: &str = "| key | default | bounds | meaning |\n|---|---|---|---|\n";

const INTRODUCTION: &str = "\
# Configuration

Made from the declarations of `tidegate-config`; change those, not this.

Sources, the later winning: the defaults, the TOML file of `tidegate serve --config FILE`, the
environment. Sizes are bytes or like `\"64MiB\"` (KiB, MiB, GiB, TiB), times like `\"30s\"` (us, ms,
s, m, h). A key outside of its bounds, or one that is not here, stops the start.

A text of the file may name a variable of the environment, of any name: `\"${KAFKA_SERVER}\"`, or
`\"${KAFKA_SERVER:-kafka:9092}\"` with what stands for it where it is not set, or empty. `$${` is `${`
itself.

`data_dir` (variable `TIDEGATE_DATA_DIR`, default `tidegate-data`) is the folder of everything that
the node keeps.
";

pub(crate) fn markdown() -> String {
    let mut out = INTRODUCTION.to_owned();
    macro_rules! describe_all {
        ($($field:ident: $section:ident),+) => { $(section::<$section>(&mut out);)+ };
    }
    crate::with_sections!(describe_all);
    out
}

/// What the tables of lists have, after the section that the lists are in.
fn tables(section: &str) -> String {
    if section == Sinks::NAME {
        return table::<KafkaSink>() + &table::<KinesisSink>();
    }
    if section != Jwt::NAME {
        return String::new();
    }
    let mut out = "\nOf each `[[jwt.issuers]]`:\n\n".to_owned();
    out.push_str(HEAD);
    for (key, default, bounds, about) in ISSUER_KEYS {
        out.push_str(&format!("| `{key}` | {default} | {bounds} | {about} |\n"));
    }
    out
}

fn table<T: Table>() -> String {
    let mut out = format!("\nOf each `[[{}]]`:\n\n{HEAD}", T::PATH);
    for Described { key, about, default, bounds } in T::describe() {
        out.push_str(&format!("| `{key}` | {default} | {bounds} | {} |\n", about.trim()));
    }
    out
}

fn section<S: Section>(out: &mut String) {
    let (about, keys) = S::describe();
    let name = S::NAME;
    let variables = variable(name, "key");
    let head = format!("\n## `[{name}]`\n\n{} Variables: `{variables}`.\n\n{HEAD}", about.trim());
    out.push_str(&head);
    for Described { key, about, default, bounds } in keys {
        let written = writeln!(out, "| `{key}` | {default} | {bounds} | {} |", about.trim());
        written.expect("writing to a String does not fail");
    }
    out.push_str(&tables(name));
}
