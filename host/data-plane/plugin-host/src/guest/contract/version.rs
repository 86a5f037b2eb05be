//! Which version of the contract a component was built for, read from the names of what it imports
//! and exports.

use std::fmt;

use crate::compile::Import;

/// The versions that this host speaks, oldest first: every released one of each major.
pub const SUPPORTED: &[ContractVersion] =
    &[ContractVersion::new(1, 0, 0), ContractVersion::new(1, 1, 0)];

/// Everything of the contract has a name that begins so.
const PACKAGE: &str = "tidegate:rules/";
/// The interface that a rule exports.
const RULES: &str = "rules";
/// Holds types alone, which are the same in every minor of a major, so its version says nothing.
const TYPES: &str = "types";

/// A version of the contract, `tidegate:rules@major.minor.patch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContractVersion {
    pub major: u32,
    pub minor: u32,
    pub patch: u32,
}

impl ContractVersion {
    #[must_use]
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self { major, minor, patch }
    }

    /// The first version that has everything that a component imports and exports: of the minors
    /// that it names, the highest.
    ///
    /// # Errors
    /// Where the component exports no rule, or names another major, or a version of another form.
    pub fn of(imports: &[Import], exports: &[String]) -> Result<Self, VersionError> {
        let rules = exports.iter().filter_map(|name| named(name));
        let mut rules = rules.filter(|(interface, _)| *interface == RULES);
        let (_, exported) = rules.next().ok_or(VersionError::NoRule)?;
        let mut needed = exported?;
        for Import(name) in imports {
            let Some((interface, version)) = named(name) else { continue };
            let version = version?;
            if version.major != needed.major {
                return Err(VersionError::Mixed { export: needed, import: version });
            }
            if interface != TYPES {
                needed = needed.max(version);
            }
        }
        Ok(needed)
    }
}

impl fmt::Display for ContractVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// A component that names no version of the contract, or one that this host does not speak.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    #[error(
        "the component does not fit the contract: it exports no rules, no `tidegate:rules/rules@…`; build it with the SDK, or against a folder of `wit/`"
    )]
    NoRule,
    #[error(
        "the component does not fit the contract: `{0}` names no version as in `tidegate:rules/rules@1.0.0`"
    )]
    Unreadable(String),
    #[error(
        "the component does not fit the contract: it exports a rule of version {export} and imports from {import}; build all of it against one major"
    )]
    Mixed { export: ContractVersion, import: ContractVersion },
    #[error(
        "the component needs version {needed} of the contract, and this gateway speaks {}: {}",
        listed(spoken),
        mend(*needed, spoken)
    )]
    Unknown { needed: ContractVersion, spoken: Vec<ContractVersion> },
}

fn listed(versions: &[ContractVersion]) -> String {
    versions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn mend(needed: ContractVersion, spoken: &[ContractVersion]) -> String {
    let newest = spoken.iter().max().copied().unwrap_or(needed);
    if needed > newest {
        format!(
            "build it against `wit/v{newest}` (the SDK of that release does), or update the gateway"
        )
    } else {
        format!("rebuild it against `wit/v{newest}` with a newer SDK")
    }
}

/// The interface and version of a name of the contract; `None` for any other name.
fn named(name: &str) -> Option<(&str, Result<ContractVersion, VersionError>)> {
    let (interface, version) = name.strip_prefix(PACKAGE)?.split_once('@').unwrap_or_default();
    let parsed = || {
        let mut parts = version.split('.').map(|part| part.parse().ok());
        let version = ContractVersion::new(parts.next()??, parts.next()??, parts.next()??);
        parts.next().is_none().then_some(version)
    };
    Some((interface, parsed().ok_or_else(|| VersionError::Unreadable(name.to_owned()))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(imports: &[&str], exports: &[&str]) -> Result<String, String> {
        let imports: Vec<_> = imports.iter().map(|name| Import((*name).to_owned())).collect();
        let exports: Vec<_> = exports.iter().map(|name| (*name).to_owned()).collect();
        let version = ContractVersion::of(&imports, &exports);
        version.map(|version| version.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_names_tell_the_version() {
        let rule = "tidegate:rules/rules@1.0.0";
        for (imports, exports, version) in [
            (vec![], vec![rule], "1.0.0"),
            (vec!["tidegate:rules/batch@1.0.0"], vec!["memory", rule], "1.0.0"),
            (
                vec!["tidegate:rules/tables@1.1.0", "tidegate:rules/batch@1.0.0"],
                vec![rule],
                "1.1.0",
            ),
            // Tools name a merged import of types after the highest minor that they have seen.
            (vec!["tidegate:rules/types@1.1.0", "wasi:io/streams@0.2.6"], vec![rule], "1.0.0"),
            (vec!["tidegate:rules/batch@1.0.0"], vec!["tidegate:rules/rules@1.1.0"], "1.1.0"),
            (vec![], vec!["tidegate:rules/rules@12.3.45"], "12.3.45"),
        ] {
            assert_eq!(of(&imports, &exports), Ok(version.into()), "{imports:?} {exports:?}");
        }
        for (imports, exports, why) in [
            (vec![], vec![], "exports no rules"),
            (vec![], vec!["tidegate:rules/batch@1.0.0", "rules"], "exports no rules"),
            (vec![], vec!["tidegate:rules/rules"], "exports no rules"),
            (
                vec![],
                vec!["tidegate:rules/rules@1.0"],
                "`tidegate:rules/rules@1.0` names no version",
            ),
            (vec![], vec!["tidegate:rules/rules@1.0.0-rc.1"], "names no version"),
            (vec!["tidegate:rules/batch@1"], vec![rule], "names no version"),
            (
                vec!["tidegate:rules/log@2.0.0"],
                vec![rule],
                "of version 1.0.0 and imports from 2.0.0",
            ),
            (
                vec!["tidegate:rules/types@2.0.0"],
                vec![rule],
                "of version 1.0.0 and imports from 2.0.0",
            ),
        ] {
            let error = of(&imports, &exports).expect_err(why);
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn an_unknown_version_is_told_with_the_mend() {
        let unknown = |needed| VersionError::Unknown { needed, spoken: SUPPORTED.to_vec() };
        let newer = unknown(ContractVersion::new(3, 0, 0)).to_string();
        assert_eq!(
            newer,
            "the component needs version 3.0.0 of the contract, and this gateway speaks 1.0.0, 1.1.0: build it against `wit/v1.1.0` (the SDK of that release does), or update the gateway"
        );
        let older = unknown(ContractVersion::new(0, 9, 0)).to_string();
        assert!(older.ends_with("rebuild it against `wit/v1.1.0` with a newer SDK"), "{older}");
    }

    #[test]
    fn the_bindings_are_of_the_newest_version() {
        let newest = SUPPORTED.last().expect("a version");
        let bindings = include_str!("bindings.rs");
        assert!(bindings.contains(&format!("path: \"../../../wit/v{newest}\"")));
        assert!(SUPPORTED.is_sorted());
    }
}
