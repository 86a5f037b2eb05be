//! The third step: does the component fit a contract version that the host speaks?

use serde_json::{Value, json};

use super::report::{Place, Step};
use crate::compile::Compiled;
use crate::compile::scan::Examined;
use crate::guest::contract::{LinkError, VersionError};
use crate::host::PluginHost;

/// Links the component.
pub(super) fn check(
    host: &PluginHost,
    compiled: &Compiled,
    scanned: &Examined,
) -> (Step, Option<()>) {
    let mut step = Step::default();
    let spoken: Vec<String> =
        host.adapters.contracts().spoken().iter().map(ToString::to_string).collect();
    let needed = compiled.component.contract();
    step.fact("contract", needed.map_or(Value::Null, |version| json!(version.to_string())));
    if let Err(error) = host.adapters.link(&compiled.component) {
        let mend = format!("build it against tidegate:rules, version {}", spoken.join(" or "));
        step.problem(error.to_string(), place(&error, scanned), &mend);
    }
    step.fact("spoken", spoken);
    step.with(())
}

/// Which of its names an error is about.
fn place(error: &LinkError, scanned: &Examined) -> Place {
    let among = |fits: &dyn Fn(&str) -> bool| {
        let import = scanned.imports.iter().map(|import| &import.0).find(|name| fits(name));
        let export = scanned.exports.iter().find(|name| fits(name));
        Place { import: import.cloned(), export: export.cloned(), ..Place::default() }
    };
    let of = |version: &dyn std::fmt::Display| {
        let end = format!("@{version}");
        among(&|name| name.starts_with("tidegate:") && name.ends_with(&end))
    };
    match error {
        LinkError::Version(VersionError::NoRule) => {
            let export = Some("tidegate:rules/rules@…".to_owned());
            Place { export, ..Place::default() }
        }
        LinkError::Version(VersionError::Unreadable(name)) => among(&|other| other == name),
        LinkError::Version(VersionError::Mixed { import, .. }) => of(import),
        LinkError::Version(VersionError::Unknown { needed, .. }) => of(needed),
        // It may name the interface by the newest version on the same track.
        LinkError::Types(why) => among(&|name| {
            let interface = name.split('@').next().unwrap_or(name);
            why.contains(name) || why.contains(&format!("{interface}@"))
        }),
    }
}
