//! A deterministic WASI for components whose language's standard library wants one: the clocks
//! stand still and cannot be waited for, random numbers are always the same, there are no arguments, environment, files or
//! sockets, and what is printed goes to the log.

use std::time::Duration;

use bytes::Bytes;
use wasmtime::component::{HasSelf, Linker, Resource};
use wasmtime::{Result, bail};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock;
use wasmtime_wasi::p2::{DynPollable, OutputStream, Pollable, StreamResult};
use wasmtime_wasi::{HostWallClock, WasiCtx, WasiCtxBuilder};

use super::log::{Level, SharedLog};
use super::state::State;

/// 2020-01-01T00:00:00Z: some libraries refuse a clock that stands at zero.
const FROZEN: Duration = Duration::from_secs(1_577_836_800);
/// Bytes that a guest may print at once.
const WRITE_BYTES: usize = 4096;
/// Bytes of random that a guest may ask for at once.
const RANDOM_BYTES: u64 = 4096;

pub(super) fn context(log: &SharedLog) -> WasiCtx {
    let mut builder = WasiCtxBuilder::new();
    builder
        .wall_clock(Frozen)
        .secure_random(Same)
        .insecure_random(Same)
        .insecure_random_seed(u128::from(SEED))
        .max_random_size(RANDOM_BYTES)
        .allow_tcp(false)
        .allow_udp(false)
        .stdout(Printed { log: log.clone(), level: Level::Info })
        .stderr(Printed { log: log.clone(), level: Level::Warn });
    builder.build()
}

struct Frozen;

impl HostWallClock for Frozen {
    fn resolution(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn now(&self) -> Duration {
        FROZEN
    }
}

/// Links WASI, with a monotonic clock of ours.
pub(crate) fn link(linker: &mut Linker<State>) -> Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    linker.allow_shadowing(true);
    monotonic_clock::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    linker.allow_shadowing(false);
    Ok(())
}

/// Stands still at 0. A timer would let a guest measure time, and hold its place while it waits: a
/// timer that has run out is ready, one that would ever run out traps.
impl monotonic_clock::Host for State {
    fn now(&mut self) -> Result<u64> {
        Ok(0)
    }

    fn resolution(&mut self) -> Result<u64> {
        Ok(1_000_000_000)
    }

    fn subscribe_instant(&mut self, when: u64) -> Result<Resource<DynPollable>> {
        self.subscribe_duration(when)
    }

    fn subscribe_duration(&mut self, duration: u64) -> Result<Resource<DynPollable>> {
        if duration > 0 {
            bail!("a rule cannot wait: its clock stands still");
        }
        let elapsed = self.table.push(Elapsed)?;
        wasmtime_wasi::p2::subscribe(&mut self.table, elapsed)
    }
}

struct Elapsed;

#[wasmtime_wasi::async_trait]
impl Pollable for Elapsed {
    async fn ready(&mut self) {}
}

const SEED: u64 = 0x7469_6465_6761_7465;

/// Begins anew at each request, so that what a guest gets does not depend on what it, or another
/// batch before, has asked for.
struct Same;

impl rand_core::TryRng for Same {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok((SEED >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        Ok(SEED)
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Self::Error> {
        let mut state = SEED;
        for chunk in out.chunks_mut(8) {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            for (slot, byte) in chunk.iter_mut().zip(state.to_le_bytes()) {
                *slot = byte;
            }
        }
        Ok(())
    }
}

/// Standard output and error, line by line into the log.
#[derive(Clone)]
struct Printed {
    log: SharedLog,
    level: Level,
}

impl IsTerminal for Printed {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Printed {
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        // Only WASI 0.3 asks for this form, and it is not linked.
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for Printed {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if let Ok(mut log) = self.log.lock() {
            for line in String::from_utf8_lossy(&bytes).lines() {
                log.line(self.level, line);
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Printed {
    async fn ready(&mut self) {}
}
