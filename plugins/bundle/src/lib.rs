//! The first-party rule components, embedded. The build script compiles them for Wasm.

/// A rule component that comes with Tidegate.
#[derive(Clone, Copy, Debug)]
pub struct Builtin {
    /// What revisions call it.
    pub name: &'static str,
    /// Its version, which is Tidegate's own.
    pub version: &'static str,
    /// The component's bytes; its golden cases travel in them.
    pub component: &'static [u8],
    /// Its golden cases: name and JSON text, sorted by name. The SDK documents their format.
    pub cases: &'static [(&'static str, &'static str)],
}

/// All of them.
#[must_use]
pub fn all() -> &'static [Builtin] {
    const ALL: &[Builtin] = include!(concat!(env!("OUT_DIR"), "/table.rs"));
    ALL
}

/// The one of a name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Builtin> {
    all().iter().find(|builtin| builtin.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The limit keeps uploads and instantiation cheap.
    const MOST_BYTES: usize = 288 * 1024;

    #[test]
    fn components_are_small_and_have_cases() {
        for builtin in all() {
            // "\0asm", then version 0x0d of layer 1: a component, no core module.
            assert_eq!(builtin.component[..8], *b"\0asm\x0d\0\x01\0", "{}", builtin.name);
            assert!(builtin.component.len() < MOST_BYTES, "{}", builtin.name);
            assert!(!builtin.cases.is_empty(), "{}", builtin.name);
        }
        assert!(find("required").is_some());
        assert!(find("absent").is_none());
    }
}
