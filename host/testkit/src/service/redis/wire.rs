//! A wire between a gateway and its Redis that a test holds in its hand: it sees each command before
//! Redis does and each reply before the gateway does, and may cut, delay, or do anything at that very
//! moment, such as kill the gateway.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

/// Bytes on their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    ToServer,
    ToClient,
}

/// What becomes of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Pass,
    /// They are lost, and with them the connection.
    Cut,
}

type Watcher = Box<dyn FnMut(Way, &[u8]) -> Fate + Send>;

/// The wire; new connections are accepted until it is dropped.
#[derive(Debug)]
pub struct Wire {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

struct Shared {
    watcher: Mutex<Option<Watcher>>,
    streams: Mutex<Vec<TcpStream>>,
    closed: AtomicBool,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shared")
    }
}

impl Wire {
    /// A wire to a server's `HOST:PORT`.
    #[must_use]
    pub fn to(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let shared = Arc::new(Shared {
            watcher: Mutex::new(None),
            streams: Mutex::default(),
            closed: AtomicBool::new(false),
        });
        let (server, for_thread) = (server.to_owned(), Arc::clone(&shared));
        let accept = move || accept(&listener, &server, &for_thread);
        let accepting = Builder::new().name("wire".to_owned()).spawn(accept).expect("a thread");
        Self { address, shared, accepting: Some(accepting) }
    }

    /// The port that leads to the server.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Has all bytes looked at from now on.
    pub fn watch(&self, watcher: impl FnMut(Way, &[u8]) -> Fate + Send + 'static) {
        *self.watcher() = Some(Box::new(watcher));
    }

    /// Lets all bytes pass from now on.
    pub fn release(&self) {
        *self.watcher() = None;
    }

    /// Cuts the connections that are open.
    pub fn cut(&self) {
        let streams = std::mem::take(&mut *self.shared.streams());
        for stream in streams {
            drop(stream.shutdown(Shutdown::Both));
        }
    }

    fn watcher(&self) -> std::sync::MutexGuard<'_, Option<Watcher>> {
        self.shared.watcher.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::SeqCst);
        self.cut();
        // Wakes the thread that accepts.
        drop(TcpStream::connect(self.address));
        if let Some(accepting) = self.accepting.take() {
            drop(accepting.join());
        }
    }
}

impl Shared {
    fn streams(&self) -> std::sync::MutexGuard<'_, Vec<TcpStream>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fate(&self, way: Way, bytes: &[u8]) -> Fate {
        let mut watcher = self.watcher.lock().unwrap_or_else(PoisonError::into_inner);
        watcher.as_mut().map_or(Fate::Pass, |watcher| watcher(way, bytes))
    }
}

fn accept(listener: &TcpListener, server: &str, shared: &Arc<Shared>) {
    for client in listener.incoming() {
        if shared.closed.load(Ordering::SeqCst) {
            return;
        }
        let (Ok(client), Ok(server)) = (client, TcpStream::connect(server)) else { continue };
        drop((client.set_nodelay(true), server.set_nodelay(true)));
        for (from, to, way) in
            [(&client, &server, Way::ToServer), (&server, &client, Way::ToClient)]
        {
            let (Ok(from), Ok(to)) = (from.try_clone(), to.try_clone()) else { continue };
            shared.streams().extend(from.try_clone());
            let shared = Arc::clone(shared);
            let copy = move || copy(from, to, way, &shared);
            Builder::new().name("wire".to_owned()).spawn(copy).expect("a thread");
        }
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream, way: Way, shared: &Shared) {
    let mut bytes = vec![0; 64 << 10];
    while let Ok(count) = from.read(&mut bytes) {
        let read = bytes.get(..count).unwrap_or_default();
        let passes = count > 0 && shared.fate(way, read) == Fate::Pass;
        if !passes || to.write_all(read).is_err() {
            break;
        }
    }
    drop((from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both)));
}

/// Does a piece of a pipeline hold a claim of a key?
#[must_use]
pub fn is_claim(bytes: &[u8]) -> bool {
    holds(bytes, b"\r\nNX\r\n")
}

/// Does a piece of a pipeline hold the commit of a key?
#[must_use]
pub fn is_commit(bytes: &[u8]) -> bool {
    holds(bytes, b"\r\nSET\r\n") && !is_claim(bytes)
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
