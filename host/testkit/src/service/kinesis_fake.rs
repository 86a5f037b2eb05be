//! A Kinesis that does what no other server for tests does: it throttles, fails some entries of a call,
//! cuts connections, and keeps callers waiting, as the test says. It holds callers to the limits strictly,
//! and remembers every call and, in their order, the records that it stored.

mod http;
mod streams;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub use streams::{FakeStream, StoredRecord};

/// How long a test waits for something to happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// A PutRecords that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutCall {
    /// 0 for the first one.
    pub number: usize,
    pub stream: String,
    /// Partition key and data of each entry.
    pub entries: Vec<(String, Vec<u8>)>,
}

/// What becomes of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Everything is stored.
    Store,
    /// One outcome for each entry; entries without one are stored.
    Entries(Vec<Outcome>),
    /// An error for all of it, with this status and code.
    Error(u16, &'static str),
    /// The connection is cut, and nothing is stored.
    Cut,
    /// Everything is stored, and the connection is cut before the answer.
    StoreAndCut,
    /// Nothing happens until [`KinesisFake::release`]; then everything is stored.
    Hold,
}

/// What becomes of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Store,
    Throttle,
    Fail,
}

type Script = Box<dyn FnMut(&PutCall) -> Reply + Send>;

/// The server.
pub struct KinesisFake {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    /// Something has changed.
    changed: Condvar,
}

struct State {
    script: Script,
    streams: BTreeMap<String, FakeStream>,
    calls: Vec<PutCall>,
    looks: usize,
    /// How many calls are held.
    held: usize,
    /// Raised by each release: what was held before goes on.
    releases: usize,
    /// Callers are told that they may not look at streams.
    hidden: bool,
    /// Raised by each stop: connections of before end.
    life: usize,
    connections: Vec<TcpStream>,
    is_running: bool,
}

impl KinesisFake {
    /// A server with these streams that stores everything.
    #[must_use]
    pub fn start(streams: &[&str]) -> Self {
        let named = streams.iter().map(|name| ((*name).to_owned(), FakeStream::default()));
        let state = State {
            script: Box::new(|_| Reply::Store),
            streams: named.collect(),
            calls: Vec::new(),
            looks: 0,
            held: 0,
            releases: 0,
            hidden: false,
            life: 0,
            connections: Vec::new(),
            is_running: false,
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let fake = Self { address, shared };
        fake.listen(listener);
        fake
    }

    fn listen(&self, listener: TcpListener) {
        let life = {
            let mut state = self.shared.state();
            state.is_running = true;
            state.life
        };
        let shared = Arc::clone(&self.shared);
        let accept = move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if !http::serve(&shared, stream, life) {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("kinesis-fake".to_owned());
        thread.spawn(accept).expect("a thread");
    }

    /// Cuts all connections; new ones are refused.
    pub fn stop(&self) {
        let connections = {
            let mut state = self.shared.state();
            state.is_running = false;
            state.life += 1;
            std::mem::take(&mut state.connections)
        };
        self.shared.changed.notify_all();
        for connection in connections {
            // It may have gone by itself.
            drop(connection.shutdown(std::net::Shutdown::Both));
        }
        // The listener sees that it is over with the next connection.
        drop(TcpStream::connect(self.address));
    }

    /// Listens again after [`Self::stop`], at the same address.
    pub fn restart(&self) {
        let deadline = Instant::now() + PATIENCE;
        let listener = loop {
            match TcpListener::bind(self.address) {
                Ok(listener) => break listener,
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
            std::thread::yield_now();
        };
        self.listen(listener);
    }

    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What becomes of the calls from here on.
    pub fn script(&self, script: impl FnMut(&PutCall) -> Reply + Send + 'static) {
        self.shared.state().script = Box::new(script);
    }

    /// Makes a stream, or changes what it says of itself.
    pub fn set_stream(&self, name: &str, change: impl FnOnce(&mut FakeStream)) {
        change(self.shared.state().streams.entry(name.to_owned()).or_default());
    }

    /// Takes a stream away, with all its records.
    pub fn remove_stream(&self, name: &str) {
        self.shared.state().streams.remove(name);
    }

    /// Callers may not look at streams, or may again.
    pub fn set_hidden(&self, hidden: bool) {
        self.shared.state().hidden = hidden;
    }

    /// Lets all calls go on that are held.
    pub fn release(&self) {
        self.shared.state().releases += 1;
        self.shared.changed.notify_all();
    }

    /// The calls that came, in their order.
    #[must_use]
    pub fn calls(&self) -> Vec<PutCall> {
        self.shared.state().calls.clone()
    }

    /// The records of a stream in the order in which they were stored.
    #[must_use]
    pub fn stored(&self, stream: &str) -> Vec<StoredRecord> {
        let state = self.shared.state();
        state.streams.get(stream).map(|stream| stream.records.clone()).unwrap_or_default()
    }

    /// The data of a stream by partition key, each in the order in which it was stored.
    #[must_use]
    pub fn stored_by_key(&self, stream: &str) -> BTreeMap<String, Vec<Vec<u8>>> {
        let mut by_key: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
        for record in self.stored(stream) {
            by_key.entry(record.key).or_default().push(record.data);
        }
        by_key
    }

    /// Waits until so many calls have come.
    pub fn wait_for_calls(&self, count: usize) {
        self.wait("calls", |state| state.calls.len() >= count);
    }

    /// Waits until so many calls are held.
    pub fn wait_for_held(&self, count: usize) {
        self.wait("calls to hold", |state| state.held >= count);
    }

    /// Waits until a stream was asked about so many times in all.
    pub fn wait_for_looks(&self, count: usize) {
        self.wait("looks", |state| state.looks >= count);
    }

    fn wait(&self, what: &str, is_so: impl Fn(&State) -> bool) {
        let waited =
            self.shared.changed.wait_timeout_while(self.shared.state(), PATIENCE, |s| !is_so(s));
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(is_so(&state), "no {what} within {PATIENCE:?}: there are {}", state.calls.len());
    }
}

impl Drop for KinesisFake {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
