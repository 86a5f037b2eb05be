//! What can be known of a component before it is compiled: that it is one, that no part of it is
//! larger than honest compilers make them, and what it imports. Whether it is valid in every detail
//! is the compiler's to say.

use wasmparser::{ComponentTypeRef, Encoding, Payload, TypeRef};

/// Bytes of one function's body.
const MAX_BODY_BYTES: usize = 256 << 10;
const MAX_FUNCTIONS: u32 = 60_000;
/// Modules and components within components.
const MAX_NESTING: usize = 4;
/// Problems that are told of one component.
const MAX_PROBLEMS: usize = 32;

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

/// Where in a component something stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spot {
    /// Offset in the component's bytes.
    pub(crate) byte: Option<usize>,
    /// Index of a function within its module, imported ones included.
    pub(crate) function: Option<u32>,
    pub(crate) import: Option<String>,
}

/// What a scan saw.
#[derive(Debug, Default)]
pub(crate) struct Examined {
    pub(crate) functions: u32,
    pub(crate) largest_function: usize,
    /// Modules and components within components.
    pub(crate) nesting: usize,
    pub(crate) imports: Vec<Import>,
    pub(crate) exports: Vec<String>,
    pub(crate) problems: Vec<(ScanError, Spot)>,
}

/// Looks at a component; answers the first problem.
pub(super) fn scan(bytes: &[u8], limit: usize) -> Result<Scanned, ScanError> {
    let Examined { imports, exports, problems, .. } = examine(bytes, limit);
    match problems.into_iter().next() {
        Some((problem, _)) => Err(problem),
        None => Ok(Scanned { imports, exports }),
    }
}

/// Looks at a component; answers all problems, or as many as anybody reads.
pub(crate) fn examine(bytes: &[u8], limit: usize) -> Examined {
    let mut scan = Scan::default();
    if bytes.len() > limit {
        scan.problem(ScanError::TooLarge { bytes: bytes.len(), limit }, Spot::default());
        return scan.seen;
    }
    for payload in wasmparser::Parser::new(0).parse_all(bytes) {
        let parsed = match payload {
            Ok(payload) => scan.payload(payload),
            Err(error) => Err((ScanError::NotWasm(error.to_string()), at(error.offset()))),
        };
        // What follows cannot be read.
        if let Err((problem, spot)) = parsed {
            scan.problem(problem, spot);
            break;
        }
    }
    scan.seen
}

fn at(byte: usize) -> Spot {
    Spot { byte: Some(byte), ..Spot::default() }
}

fn invalid(error: &wasmparser::BinaryReaderError) -> (ScanError, Spot) {
    (ScanError::Invalid(error.to_string()), at(error.offset()))
}

/// A scan that is under way.
#[derive(Default)]
struct Scan {
    seen: Examined,
    depth: usize,
    /// Functions of the module that have passed.
    passed: u32,
}

impl Scan {
    fn problem(&mut self, problem: ScanError, spot: Spot) {
        if self.seen.problems.len() < MAX_PROBLEMS {
            self.seen.problems.push((problem, spot));
        }
    }

    /// # Errors
    /// Where nothing that follows makes sense.
    fn payload(&mut self, payload: Payload<'_>) -> Result<(), (ScanError, Spot)> {
        match payload {
            Payload::Version { encoding: Encoding::Module, .. } => {
                if self.depth == 0 {
                    return Err((ScanError::CoreModule, at(0)));
                }
                self.passed = 0;
            }
            Payload::ModuleSection { unchecked_range: range, .. }
            | Payload::ComponentSection { unchecked_range: range, .. } => {
                self.depth += 1;
                self.seen.nesting = self.seen.nesting.max(self.depth);
                if self.depth == MAX_NESTING + 1 {
                    self.problem(ScanError::Nested, at(range.start));
                }
            }
            Payload::End(_) => self.depth = self.depth.saturating_sub(1),
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import.map_err(|error| invalid(&error))?;
                    if matches!(import.ty, TypeRef::Func(_) | TypeRef::FuncExact(_)) {
                        self.passed = self.passed.saturating_add(1);
                    }
                }
            }
            Payload::CodeSectionStart { count, range, .. } => {
                let before = self.seen.functions;
                self.seen.functions = before.saturating_add(count);
                if before <= MAX_FUNCTIONS && self.seen.functions > MAX_FUNCTIONS {
                    self.problem(ScanError::ManyFunctions, at(range.start));
                }
            }
            Payload::CodeSectionEntry(body) => {
                let (offset, bytes) = (body.range().start, body.as_bytes().len());
                self.seen.largest_function = self.seen.largest_function.max(bytes);
                if bytes > MAX_BODY_BYTES {
                    let spot = Spot { function: Some(self.passed), ..at(offset) };
                    self.problem(ScanError::LargeFunction { offset, bytes }, spot);
                }
                self.passed = self.passed.saturating_add(1);
            }
            Payload::ComponentImportSection(section) if self.depth == 0 => {
                for import in section.into_iter_with_offsets() {
                    let (offset, import) = import.map_err(|error| invalid(&error))?;
                    // Types are imported alongside the interfaces that use them.
                    if !matches!(import.ty, ComponentTypeRef::Type(_)) {
                        self.import(import.name.name, offset);
                    }
                }
            }
            Payload::ComponentExportSection(section) if self.depth == 0 => {
                for export in section {
                    let export = export.map_err(|error| invalid(&error))?;
                    self.seen.exports.push(export.name.name.to_owned());
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn import(&mut self, name: &str, offset: usize) {
        if let Err(problem) = check_import(name) {
            self.problem(problem, Spot { import: Some(name.to_owned()), ..at(offset) });
        }
        self.seen.imports.push(Import(name.to_owned()));
    }
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

    /// A component with the sections of others: a name, its kind, and what it imports.
    #[test]
    fn every_problem_is_told_with_its_place() {
        let import = |name: &str| {
            // An extern name, then the type: component 0.
            [&[0, u8::try_from(name.len()).expect("short")], name.as_bytes(), &[4, 0]].concat()
        };
        let imports = [vec![2], import("wasi:http/types@0.2.0"), import("env")].concat();
        let mut bytes = vec![0, b'a', b's', b'm', 0x0d, 0, 1, 0];
        // An empty component type to import by, then the imports.
        bytes.extend([7, 3, 1, 0x41, 0]);
        bytes.extend([10, u8::try_from(imports.len()).expect("short")]);
        bytes.extend(imports);
        let seen = examine(&bytes, 1000);
        let told: Vec<_> = seen.problems.iter().map(|(_, spot)| spot.clone()).collect();
        let spot = |import: &str, byte| Spot {
            import: Some(import.into()),
            byte: Some(byte),
            function: None,
        };
        assert_eq!(told, [spot("wasi:http/types@0.2.0", 16), spot("env", 41)], "{seen:?}");
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
