//! The signals that tell the node to stop, and the one that tells it to look again.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

pub(in super::super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(in super::super) fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    pub(in super::super) async fn received(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// SIGHUP, which would otherwise end the process: files may have been replaced.
pub(in super::super) fn hang_ups() -> io::Result<Signal> {
    signal(SignalKind::hangup())
}
