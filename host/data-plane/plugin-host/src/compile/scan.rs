//! What can be known of a component before it is compiled: that it is one, that no part of it is
//! larger than honest compilers make them, and what it imports. Whether it is valid in every detail
//! is the compiler's to say.

use wasmparser::{ComponentTypeRef, Encoding, Payload};

/// Bytes of one function's body.
const MAX_BODY_BYTES: usize = 256 << 10;
const MAX_FUNCTIONS: u32 = 60_000;
/// Modules and components within components.
const MAX_NESTING: usize = 4;

/// Interfaces that may be imported, without their versions.
const ALLOWED: [&str; 9] = [
    "tidegate:rules/types", "tidegate:rules/batch", "tidegate:rules/kernels",
    "tidegate:rules/tables", "tidegate:rules/log", "wasi:io/", "wasi:cli/", "wasi:clocks/",
    "wasi:random/",
];
/// Linked, and without any file: the standard libraries of several languages import it.
const ALLOWED_FILES: &str = "wasi:filesystem/";

/// An interface that a component imports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import(pub String);

/// A component that may be compiled.
#[derive(Clone, Debug)]
pub struct Scanned {
    pub imports: Vec<Import>,
    /// Names of what the component exports.
    pub exports: Vec<String>,
}

/// Why a component is refused before it is compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScanError {
    #[error("the component has {bytes} bytes; at most {limit} are taken")]
    TooLarge { bytes: usize, limit: usize },
    #[error("this is no WebAssembly: {0}")]
    NotWasm(String),
    #[error(
        "this is a core module, not a component: build it for wasm32-wasip2, or wrap it with `wasm-tools component new`"
    )]
    CoreModule,
    #[error("the component is not valid: {0}")]
    Invalid(String),
    #[error("the function at byte {offset} has {bytes} bytes; at most {MAX_BODY_BYTES} are taken")]
    LargeFunction { offset: usize, bytes: usize },
    #[error("the component has more than {MAX_FUNCTIONS} functions")]
    ManyFunctions,
    #[error("modules are nested more than {MAX_NESTING} deep")]
    Nested,
    #[error(
        "the import `{0}` is not granted: rules may import tidegate:rules, and wasi:io, cli, clocks, random and filesystem"
    )]
    Import(String),
}

pub(super) fn scan(bytes: &[u8], limit: usize) -> Result<Scanned, ScanError> {
    if bytes.len() > limit {
        return Err(ScanError::TooLarge { bytes: bytes.len(), limit });
    }
    let mut functions = 0u32;
    let mut depth = 0usize;
    let (mut imports, mut exports) = (Vec::new(), Vec::new());
    for payload in wasmparser::Parser::new(0).parse_all(bytes) {
        match payload.map_err(|error| ScanError::NotWasm(error.to_string()))? {
            Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => {
                return Err(ScanError::CoreModule);
            }
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => {
                depth += 1;
                if depth > MAX_NESTING {
                    return Err(ScanError::Nested);
                }
            }
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::CodeSectionStart { count, .. } => {
                functions = functions.saturating_add(count);
                if functions > MAX_FUNCTIONS {
                    return Err(ScanError::ManyFunctions);
                }
            }
            Payload::CodeSectionEntry(body) => {
                let (offset, bytes) = (body.range().start, body.as_bytes().len());
                if bytes > MAX_BODY_BYTES {
                    return Err(ScanError::LargeFunction { offset, bytes });
                }
            }
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    let import = import.map_err(|error| ScanError::Invalid(error.to_string()))?;
                    // Types are imported alongside the interfaces that use them.
                    if !matches!(import.ty, ComponentTypeRef::Type(_)) {
                        check_import(import.name.name)?;
                        imports.push(Import(import.name.name.to_owned()));
                    }
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    let export = export.map_err(|error| ScanError::Invalid(error.to_string()))?;
                    exports.push(export.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok(Scanned { imports, exports })
}

fn check_import(name: &str) -> Result<(), ScanError> {
    let interface = name.split('@').next().unwrap_or_default();
    let granted = ALLOWED.iter().any(|allowed| {
        if allowed.ends_with('/') { interface.starts_with(allowed) } else { interface == *allowed }
    });
    if granted || interface.starts_with(ALLOWED_FILES) {
        Ok(())
    } else {
        Err(ScanError::Import(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_component_is_refused() {
        let module = [0, b'a', b's', b'm', 1, 0, 0, 0];
        assert_eq!(scan(&module, 100).map(|_| ()), Err(ScanError::CoreModule));
        assert!(matches!(scan(b"\x7fELF", 100), Err(ScanError::NotWasm(_))));
        assert!(matches!(scan(b"", 100), Err(ScanError::NotWasm(_) | ScanError::Invalid(_))));
        assert_eq!(
            scan(&[0; 101], 100).map(|_| ()),
            Err(ScanError::TooLarge { bytes: 101, limit: 100 })
        );
    }

    #[test]
    fn imports_are_granted_by_name() {
        for good in
            ["tidegate:rules/batch@1.0.0", "wasi:cli/stdout@0.2.6", "wasi:filesystem/types@0.2.6"]
        {
            assert_eq!(check_import(good), Ok(()));
        }
        for bad in [
            "wasi:sockets/tcp@0.2.6", "wasi:http/types@0.2.0", "tidegate:rules/batchy", "env",
            "tidegate:admin/x@1.0.0",
        ] {
            assert!(check_import(bad).is_err(), "{bad}");
        }
    }
}
