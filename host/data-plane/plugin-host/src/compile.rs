//! From the bytes of a component to code that can run.
//!
//! Compiling hostile input is outside of wasmtime's security promise, so it happens in a child
//! process with limits of its own, after a scan. Compiled code is kept in a private folder, under
//! a MAC; only code that we compiled is ever loaded. Uploads are never precompiled code.

mod cache;
pub mod child;
pub(crate) mod scan;
mod spawn;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tidegate_types::Digest;

pub use cache::CacheError;
pub use scan::{Import, ScanError, Scanned};
pub use spawn::ChildError;

use cache::{Cache, Loaded};

use crate::engine::Purpose;
use crate::guest::contract::{ContractVersion, LinkError, VersionError};

/// How components are compiled.
#[derive(Clone, Debug)]
pub struct CompileOptions {
    /// The program to run and its arguments; it must call `compile::child::main`.
    pub command: Vec<String>,
    /// Where compiled code is kept; made with mode 0700.
    pub cache: PathBuf,
    /// Bytes that a component may have.
    pub component_bytes: usize,
    /// Address space of the child.
    pub memory_bytes: u64,
    /// CPU time of the child.
    pub cpu_seconds: u64,
    /// Wall time of the child.
    pub wall: Duration,
}

impl CompileOptions {
    /// The defaults, with the program and folder given.
    #[must_use]
    pub fn new(command: Vec<String>, cache: PathBuf) -> Self {
        let wall = Duration::from_secs(120);
        Self {
            command,
            cache,
            component_bytes: 4 << 20,
            memory_bytes: 2 << 30,
            cpu_seconds: 60,
            wall,
        }
    }
}

/// Why a component was not compiled.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The component's fault.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// The component's fault: it cannot be compiled, or not within the limits.
    #[error(transparent)]
    Child(#[from] ChildError),
    /// The component's fault: it does not fit the contract, or a version that is not spoken here.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The component's fault: no instance of it can be made.
    #[error("the component needs more than the host gives to any: {0}")]
    Unfit(String),
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// Not the component's fault: what was read is not what was stored.
    #[error("the component that was read is {found}, not {wanted}: it must be uploaded again")]
    Digest { wanted: Digest, found: Digest },
}

/// A component that can be instantiated.
#[derive(Clone)]
pub struct Component {
    pub(crate) digest: Digest,
    pub(crate) code: wasmtime::component::Component,
    /// The version of the contract that it needs, as far as its names tell one.
    pub(crate) contract: Result<ContractVersion, VersionError>,
}

impl std::fmt::Debug for Component {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Component").field(&self.digest).finish()
    }
}

impl Component {
    /// The version of the contract that it needs.
    ///
    /// # Errors
    /// Where it names none.
    pub fn contract(&self) -> Result<ContractVersion, VersionError> {
        self.contract.clone()
    }
}

/// What became known of a component by compiling it.
#[derive(Clone, Debug)]
pub struct Compiled {
    pub component: Component,
    pub imports: Vec<Import>,
    pub exports: Vec<String>,
    /// Wall time of the child; zero where the code came from the cache.
    pub compile_time: Duration,
    pub code_bytes: usize,
}

/// Compiles components one at a time.
#[derive(Debug)]
pub(crate) struct Compiler {
    options: CompileOptions,
    cache: Cache,
    turn: tokio::sync::Semaphore,
}

impl Compiler {
    pub(crate) fn new(options: CompileOptions) -> Result<Self, CacheError> {
        let cache = Cache::open(&options.cache)?;
        Ok(Self { options, cache, turn: tokio::sync::Semaphore::new(1) })
    }

    pub(crate) fn options(&self) -> &CompileOptions {
        &self.options
    }

    /// Compiles for an engine that was made for this purpose.
    pub(crate) async fn compile(
        &self,
        engine: &wasmtime::Engine,
        purpose: Purpose,
        bytes: Bytes,
    ) -> Result<Compiled, CompileError> {
        let digest = Digest::of(&bytes);
        let scanned = scan::scan(&bytes, self.options.component_bytes)?;
        let name = format!("{}-{:016x}", digest.hex(), crate::engine::compatibility(engine));
        match self.cache.load(&name, engine)? {
            Loaded::Code(code) => return Ok(compiled(digest, code, scanned, Duration::ZERO)),
            Loaded::Unfit(why) => return Err(CompileError::Unfit(why)),
            Loaded::Absent => {}
        }
        // The semaphore is never closed. It is held until the code is stored: two writers of one
        // file would spoil it.
        let _turn =
            self.turn.acquire().await.map_err(|_| ChildError::Unavailable("closed".into()))?;
        match self.cache.load(&name, engine)? {
            Loaded::Code(code) => return Ok(compiled(digest, code, scanned, Duration::ZERO)),
            Loaded::Unfit(why) => return Err(CompileError::Unfit(why)),
            Loaded::Absent => {}
        }
        let started = Instant::now();
        let output = spawn::run(&self.options, bytes, purpose).await?;
        self.cache.store(&name, &output)?;
        match self.cache.load(&name, engine)? {
            Loaded::Code(code) => Ok(compiled(digest, code, scanned, started.elapsed())),
            Loaded::Unfit(why) => Err(CompileError::Unfit(why)),
            Loaded::Absent => Err(CacheError::Vanished.into()),
        }
    }
}

fn compiled(
    digest: Digest,
    code: wasmtime::component::Component,
    scanned: Scanned,
    compile_time: Duration,
) -> Compiled {
    let contract = ContractVersion::of(&scanned.imports, &scanned.exports);
    let code_bytes = code.image_range();
    let code_bytes = (code_bytes.end as usize).saturating_sub(code_bytes.start as usize);
    Compiled {
        component: Component { digest, code, contract },
        imports: scanned.imports,
        exports: scanned.exports,
        compile_time,
        code_bytes,
    }
}
