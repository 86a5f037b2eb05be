//! The adapter of major 1, whose newest bindings are the host's own types: nothing to convert.

use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{Engine, Result, Store};

use super::bindings::contract::{ConfigProblem, Fault, Manifest, Outcome};
use super::bindings::{Rule, RulePre};
use super::{Adapter, Calling, Guest, Prepared};
use crate::guest::state::State;

pub(super) struct First {
    linker: Linker<State>,
}

impl First {
    pub(super) fn new(engine: &Engine) -> Result<Self> {
        let mut linker = Linker::new(engine);
        crate::guest::wasi::link(&mut linker)?;
        Rule::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state)?;
        Ok(Self { linker })
    }
}

impl Adapter for First {
    fn prepare(&self, component: &Component) -> Result<Box<dyn Prepared>> {
        Ok(Box::new(RulePre::new(self.linker.instantiate_pre(component)?)?))
    }
}

impl Prepared for RulePre<State> {
    fn start<'a>(&'a self, store: &'a mut Store<State>) -> Calling<'a, Box<dyn Guest>> {
        Box::pin(async {
            let guest: Box<dyn Guest> = Box::new(self.instantiate_async(store).await?);
            Ok(guest)
        })
    }
}

impl Guest for Rule {
    fn configure<'a>(
        &'a self,
        store: &'a mut Store<State>,
        config: &'a str,
    ) -> Calling<'a, Result<Manifest, Vec<ConfigProblem>>> {
        Box::pin(self.tidegate_rules_rules().call_configure(store, config))
    }

    fn evaluate<'a>(&'a self, store: &'a mut Store<State>) -> Calling<'a, Result<Outcome, Fault>> {
        Box::pin(self.tidegate_rules_rules().call_evaluate(store))
    }
}
