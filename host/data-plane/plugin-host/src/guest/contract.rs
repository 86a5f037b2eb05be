//! The versions of the contract: which there are, which one a component needs, and one adapter for
//! each major, which turns that major's types into the host's own where a call crosses, and nowhere
//! else. The host's own types are those of the newest released version.

pub(crate) mod bindings;
mod first;
#[cfg(feature = "contract-2-preview")]
mod preview;
mod version;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use wasmtime::{Engine, Store};

use super::state::State;
use crate::compile::Component;
use bindings::contract::{ConfigProblem, Fault, Manifest, Outcome};
pub use version::{ContractVersion, SUPPORTED, VersionError};

/// A call into a guest, on its way.
pub(crate) type Calling<'a, T> = Pin<Box<dyn Future<Output = wasmtime::Result<T>> + Send + 'a>>;

/// One major of the contract.
pub(crate) trait Adapter: Send + Sync {
    /// Links a component with the host and checks the types of all that crosses.
    fn prepare(
        &self,
        component: &wasmtime::component::Component,
    ) -> wasmtime::Result<Box<dyn Prepared>>;
}

/// A linked component, from which instances are made.
pub(crate) trait Prepared: Send + Sync {
    fn start<'a>(&'a self, store: &'a mut Store<State>) -> Calling<'a, Box<dyn Guest>>;
}

/// An instance, which speaks the newest version whatever it was built for.
pub(crate) trait Guest: Send + Sync {
    fn configure<'a>(
        &'a self,
        store: &'a mut Store<State>,
        config: &'a str,
    ) -> Calling<'a, Result<Manifest, Vec<ConfigProblem>>>;

    fn evaluate<'a>(&'a self, store: &'a mut Store<State>) -> Calling<'a, Result<Outcome, Fault>>;
}

/// The versions that a host speaks.
#[derive(Clone, Debug)]
pub struct Contracts {
    spoken: Vec<ContractVersion>,
}

impl Contracts {
    /// The released ones, `SUPPORTED`: what every gateway speaks.
    #[must_use]
    pub fn released() -> Self {
        Self { spoken: SUPPORTED.to_vec() }
    }

    /// Adds the draft of the next major, which tests hold beside the released ones. No program that
    /// is shipped calls this.
    #[cfg(feature = "contract-2-preview")]
    #[must_use]
    pub fn with_preview(mut self) -> Self {
        self.spoken.push(preview::VERSION);
        self
    }

    /// The versions, oldest first.
    #[must_use]
    pub fn spoken(&self) -> &[ContractVersion] {
        &self.spoken
    }

    /// Is this version spoken?
    ///
    /// # Errors
    /// Where it is not; the error names those that are.
    pub fn check(&self, needed: ContractVersion) -> Result<(), VersionError> {
        if self.spoken.contains(&needed) {
            return Ok(());
        }
        Err(VersionError::Unknown { needed, spoken: self.spoken.clone() })
    }
}

/// Why a component does not fit the contract.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    #[error(transparent)]
    Version(#[from] VersionError),
    /// It imports or exports something else than the version has.
    #[error("the component does not fit the contract: {0}")]
    Types(String),
}

/// The adapters of a host, one for each major that it speaks.
pub(crate) struct Adapters {
    contracts: Contracts,
    by_major: Vec<(u32, Arc<dyn Adapter>)>,
}

impl Adapters {
    pub(crate) fn new(contracts: Contracts, engine: &Engine) -> wasmtime::Result<Self> {
        let mut by_major: Vec<(u32, Arc<dyn Adapter>)> = Vec::new();
        for ContractVersion { major, .. } in &contracts.spoken {
            if by_major.iter().all(|(known, _)| known != major) {
                by_major.push((*major, adapter(*major, engine)?));
            }
        }
        Ok(Self { contracts, by_major })
    }

    pub(crate) fn contracts(&self) -> &Contracts {
        &self.contracts
    }

    /// Links a component with the adapter of the version that it needs.
    ///
    /// # Errors
    /// Where that version is not spoken, or the component does not fit it.
    pub(crate) fn link(&self, component: &Component) -> Result<Box<dyn Prepared>, LinkError> {
        let needed = component.contract()?;
        self.contracts.check(needed)?;
        let adapter = self.by_major.iter().find(|(major, _)| *major == needed.major);
        let (_, adapter) = adapter.expect("there is an adapter for each major that is spoken");
        adapter.prepare(&component.code).map_err(|error| LinkError::Types(format!("{error:#}")))
    }
}

fn adapter(major: u32, engine: &Engine) -> wasmtime::Result<Arc<dyn Adapter>> {
    match major {
        #[cfg(feature = "contract-2-preview")]
        2 => Ok(Arc::new(preview::Preview::new(engine)?)),
        _ => Ok(Arc::new(first::First::new(engine)?)),
    }
}
