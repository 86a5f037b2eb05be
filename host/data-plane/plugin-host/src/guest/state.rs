//! What a store holds: the call that is running, the rule it runs for, the log, the meters.

use std::sync::Arc;

use tidegate_event::Hints;
use wasmtime::ResourceLimiter;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use super::log::SharedLog;
use super::manifest::Manifest;
use super::meter::{LongCalls, Meter};
use super::wasi;
use crate::evaluate::{Batch, Row};
use crate::limits::Limits;
use crate::table::Table;

/// The rows that a call is about.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) batch: Arc<Batch>,
    /// Indexes into the batch.
    pub(crate) rows: Vec<u32>,
    /// In the order of the manifest.
    pub(crate) tables: Arc<[Arc<Table>]>,
}

impl Call {
    pub(crate) fn rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter_map(|row| self.batch.rows.get(*row as usize))
    }
}

/// The data of a store.
pub(crate) struct State {
    wasi: WasiCtx,
    pub(super) table: ResourceTable,
    pub(crate) log: SharedLog,
    pub(crate) manifest: Option<Arc<Manifest>>,
    pub(crate) hints: Vec<Hints>,
    pub(crate) call: Option<Call>,
    pub(crate) meter: Arc<Meter>,
    pub(crate) memory: Memory,
    pub(crate) counts: Vec<u64>,
}

impl State {
    pub(crate) fn new(limits: &Limits, turns: &Arc<LongCalls>, tenant: u64) -> Self {
        let log = SharedLog::default();
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits.max_handles);
        Self {
            wasi: wasi::context(&log),
            table,
            log,
            manifest: None,
            hints: Vec::new(),
            call: None,
            meter: Arc::new(Meter::new(turns, tenant)),
            memory: Memory::new(limits),
            counts: Vec::new(),
        }
    }
}

impl State {
    /// Resets what is counted per call, and takes the limits of now.
    pub(crate) fn begin(&mut self, limits: &Limits) {
        self.meter.begin(limits.call_budget, limits.slice_ticks());
        self.memory = Memory { held: self.memory.held, ..Memory::new(limits) };
        self.table.set_max_capacity(limits.max_handles);
        if let Ok(mut log) = self.log.lock() {
            log.begin(limits.log_lines_per_call, limits.log_bytes_per_call);
        }
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// Bounds linear memory, and remembers that a guest wanted more.
#[derive(Debug)]
pub(crate) struct Memory {
    limit: usize,
    elements: usize,
    pub(crate) denied: bool,
    /// Bytes that the guest has, all its memories together.
    pub(crate) held: usize,
}

impl Memory {
    fn new(limits: &Limits) -> Self {
        let (limit, elements) = (limits.memory_bytes, limits.table_elements);
        Self { limit, elements, denied: false, held: 0 }
    }

    /// Can a guest take so many bytes from the host? What it could not hold need not be made.
    pub(crate) fn holds(&mut self, bytes: usize) -> bool {
        self.denied |= bytes > self.limit;
        bytes <= self.limit
    }
}

impl ResourceLimiter for Memory {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let granted = desired <= self.limit;
        self.denied |= !granted;
        if granted {
            self.held += desired.saturating_sub(current);
        }
        Ok(granted)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let granted = desired <= self.elements;
        self.denied |= !granted;
        Ok(granted)
    }

    fn instances(&self) -> usize {
        64
    }

    fn memories(&self) -> usize {
        2
    }

    fn tables(&self) -> usize {
        8
    }
}
